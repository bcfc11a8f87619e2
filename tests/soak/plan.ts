/**
 * Aggregators that are served during a soak: cells of aggregators whose values are known,
 * others for guests that come and go, and targets of hostile peers.
 *
 * @module
 */

/** Aggregators of a cell: their guests see each other's lines. */
export const CELL = ["a", "b", "c", "d"] as const;
/** Directories with targets of hostile peers. */
export const TARGETS = 2;
/** vhost-user sockets in each of them. */
export const SOCKETS_PER_TARGET = 4;
/** Aggregators in each of them: those sockets, and pins inside a QEMU. */
const AGGREGATORS_PER_TARGET = SOCKETS_PER_TARGET + 1;
const HOSTILE_LINES = 1000;
/** Few, so that a full disk costs some, which must be counted. */
const KEPT_EDGES = 4000;

/** Number of each kind. */
export interface SoakPlan {
  /** Directory of the sockets. */
  readonly directory: string;
  /** Socket of the control API. */
  readonly api: string;
  /** File of edges; absent if there is none. */
  readonly edges: string | undefined;
  readonly cells: number;
  /** Aggregators for guests that come and go. */
  readonly passing: number;
}

/** Divides `aggregators` so that at most `guests` well-behaved ones have work. */
export function plan(
  directory: string,
  aggregators: number,
  guests: number,
  files: { readonly api: string; readonly edges?: string },
): SoakPlan {
  const others = TARGETS * AGGREGATORS_PER_TARGET + 1;
  const cells = Math.floor(
    Math.min(guests, aggregators - others) / CELL.length,
  );
  if (cells < 1) {
    throw new RangeError(
      `--aggregators must be at least ${others + CELL.length} and --guests ` +
        `at least ${CELL.length}`,
    );
  }
  return {
    directory,
    api: files.api,
    edges: files.edges,
    cells,
    passing: aggregators - cells * CELL.length - others + 1,
  };
}

/** The directory with a target's sockets, named as hostile peers expect them. */
export function targetDirectory({ directory }: SoakPlan, i: number): string {
  return `${directory}/target${i}`;
}

/** The name of a target's vhost-user socket. */
export function targetSocket(i: number): string {
  return i === 0 ? "hostile.sock" : `hostile${i}.sock`;
}

/** The name of an aggregator for guests that come and go. */
export function passingName(i: number): string {
  return `p${i}`;
}

/**
 * The configuration file.
 *
 * @param extra Aggregators that reloads bring and take away.
 */
export function configText(plan: SoakPlan, extra: number): string {
  const { directory } = plan;
  const lines = plan.edges === undefined
    ? []
    : [`record: { keep: ${KEPT_EDGES}, file: ${plan.edges}, size: 4MB }`];
  lines.push("aggregators:");
  const add = (
    name: string,
    socket: string,
    list: readonly string[],
  ) => {
    lines.push(`  ${name}:`, `    vhost-user: ${directory}/${socket}`);
    lines.push("    lines:", ...list.map((line) => `      - ${line}`));
  };
  for (let i = 0; i < plan.cells; i++) {
    const cell = cellLines(`c${i}`);
    for (const part of CELL) {
      add(`c${i}${part}`, `c${i}${part}.sock`, cell[part]);
    }
  }
  for (let i = 0; i < plan.passing; i++) {
    const name = passingName(i);
    add(name, `${name}.sock`, ["{ sim: 4, as: LINE, safe: 0 }"]);
  }
  for (let i = 0; i < extra; i++) {
    add(`x${i}`, `x${i}.sock`, ["{ sim: 2, as: LINE }"]);
  }
  for (let i = 0; i < TARGETS; i++) {
    for (let j = 0; j < SOCKETS_PER_TARGET; j++) {
      add(`t${i}s${j}`, `target${i}/${targetSocket(j)}`, [
        `{ sim: ${HOSTILE_LINES}, as: LINE }`,
      ]);
    }
    const place = targetDirectory(plan, i);
    lines.push(
      `  t${i}pins:`,
      `    qemu-pins: { qtest: ${place}/qtest.sock, qmp: ${place}/qmp.sock }`,
      "    lines:",
      "      - { sim: 8, as: LINE }",
    );
  }
  lines.push("interlocks:");
  for (let i = 0; i < plan.cells; i++) {
    lines.push(`  - exclusive: [c${i}a.FORWARD, c${i}a.REVERSE]`);
  }
  return lines.join("\n") + "\n";
}

/** Line numbers of a cell's aggregators, in the order of {@linkcode cellLines}. */
export const A = { OUT: 0, FORWARD: 1, REVERSE: 2, INPUT: 3, ANY: 4 } as const;
export const B = { PEER: 0, COPY: 1, NOT: 2, OUT: 3, ONE: 4 } as const;
export const C = { PEER: 0, COPY: 1, OUT: 2, ABSENT: 3 } as const;
export const D = { PEER: 0, NOT: 1, OUT: 2, ABSENT: 3 } as const;

function cellLines(
  cell: string,
): Record<typeof CELL[number], readonly string[]> {
  // A chip that never comes: what is shared and combined stands on real chips.
  const chip = `chip: gpioagg-soak-${cell}, optional: true`;
  return {
    a: [
      "{ sim: 1, as: OUT, direction: output, safe: 0 }",
      "{ sim: 1, as: FORWARD, direction: output, safe: 0 }",
      "{ sim: 1, as: REVERSE, direction: output, safe: 0 }",
      "{ sim: 1, as: INPUT, direction: input }",
      "{ sim: 1, as: ANY, on-disconnect: input }",
    ],
    b: [
      `{ wire: ${cell}a.OUT, as: PEER }`,
      `{ copy: ${cell}a.FORWARD, as: COPY }`,
      `{ invert: ${cell}a.REVERSE, as: NOT }`,
      "{ sim: 1, as: OUT, direction: output, safe: 1 }",
      "{ const: 1, as: ONE }",
    ],
    c: [
      `{ wire: ${cell}b.OUT, as: PEER }`,
      `{ copy: ${cell}a.INPUT, as: COPY }`,
      "{ sim: 1, as: OUT, direction: output, on-disconnect: keep }",
      `{ ${chip}, offset: 0, as: ABSENT, direction: input, shared: true }`,
    ],
    d: [
      `{ wire: ${cell}c.OUT, as: PEER }`,
      `{ invert: ${cell}a.INPUT, as: NOT }`,
      "{ sim: 1, as: OUT, direction: output, safe: 0 }",
      `{ ${chip}, offset: 0, as: ABSENT, direction: input, shared: true }`,
    ],
  };
}
