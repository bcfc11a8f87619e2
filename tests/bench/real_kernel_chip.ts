/**
 * Kernel chips by USB of Debian's own kernels, in QEMU: `bench --kernel-chip` in
 * machines of their own.
 *
 * @module
 */
import { bootStockHost } from "../environment/stock_host.ts";
import type { Effort } from "./effort.ts";
import type { Measure } from "./report.ts";

const BENCH = "tests/bench/main.ts";
/** Programs that are started there. */
const PROGRAMS = [
  BENCH,
  "tests/bench/restless_server.ts",
  "tests/bench/restless_worker.ts",
];
/** The start of a service and all rounds, under emulation. */
const LIMIT_MS = 1_800_000;

/** Kernels, and adapters that their drivers make chips of. */
const KERNELS = [
  ["trixie", "ljca"],
  ["bookworm", "cp2112"],
] as const;

/**
 * Measures a kernel chip of each kernel, beside virtio-gpio in the same machine.
 *
 * @param isQuick Set for one round.
 * @throws {Error} If a machine does not come up, or its kernel makes no chip.
 */
export async function measureStockKernels(
  { rounds }: Effort,
  isQuick: boolean,
): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const [kernel, adapter] of KERNELS) {
    await using host = await bootStockHost(kernel, { programs: PROGRAMS });
    const { code, output } = await host.program(
      BENCH,
      `--kernel-chip ${adapter} --restless --json --quick ` +
        `--rounds ${isQuick ? 1 : rounds}`,
      { timeoutMs: LIMIT_MS },
    );
    if (code !== 0) {
      const log = await host.run("dmesg | tail -n 40");
      throw new Error(`${kernel}: ${output.trim()}\n${log}`);
    }
    measures.push(...measuresIn(output));
  }
  return measures;
}

/**
 * Takes the measures of `--json` out of what a program and its machine wrote.
 *
 * @throws {SyntaxError} If there are none.
 */
export function measuresIn(output: string): Measure[] {
  const from = output.indexOf("{");
  const to = output.lastIndexOf("}");
  const { measures } = JSON.parse(output.slice(from, to + 1)) as {
    measures: Measure[];
  };
  return measures;
}
