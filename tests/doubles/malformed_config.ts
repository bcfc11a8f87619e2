/**
 * Broken configurations as tests: the text marks with `»` each place where an
 * error must point, so that line and column are never counted by hand.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { flushOutput } from "../../src/cli/output/output.ts";
import { run } from "../../src/cli/main.ts";
import { parseConfig } from "../../src/config/file/config_file.ts";

/** A broken text, and per mark, in order, `key path: part of the problem`. */
export type Malformed = readonly [text: string, ...errors: string[]];

const MARK = "»";

/** Puts a line's text, in flow style or as a SPEC, into a configuration. */
export function lineConfig(line: string): string {
  return `aggregators:
  a:
    vhost-user: /run/a.sock
    lines:
      - ${line}
      - { sim: 1, as: OTHER }
`;
}

/** Puts an aggregator's keys, indented by four, into a configuration. */
export function aggregatorConfig(keys: string): string {
  return `aggregators:
  a:
${keys.replace(/^/gm, "    ")}
`;
}

/** Lines of two aggregators, each a list member's text. */
export function twoAggregators(
  a: readonly string[],
  b: readonly string[],
  rest = "",
): string {
  const lines = (members: readonly string[]) =>
    members.map((member) => `      - ${member}\n`).join("");
  return `aggregators:
  a:
    vhost-user: /run/a.sock
    lines:
${lines(a)}  b:
    vhost-user: /run/b.sock
    lines:
${lines(b)}${rest}`;
}

/** Registers one test per broken configuration, by `define`. */
export function testMalformed(
  area: string,
  cases: readonly Malformed[],
  wrap: (text: string) => string = (text) => text,
  define: (name: string, body: () => Promise<void>) => void = Deno.test,
): void {
  for (const [text, ...errors] of cases) {
    const plain = text.replaceAll(MARK, "").trim().replaceAll("\n", " ⏎ ");
    const title = plain.length <= 100 ? plain : errors.join(", ");
    define(`parseConfig() refuses ${area}: ${title}`, async () => {
      const { plain, places } = readMarks(wrap(text));
      checkErrors(plain, places, errors);
      await checkProgram(plain, places);
    });
  }
}

function readMarks(marked: string): { plain: string; places: string[] } {
  const pieces = marked.split(MARK);
  const places = pieces.slice(0, -1).map((_, i) => {
    const before = pieces.slice(0, i + 1).join("");
    const line = before.split("\n");
    return `${line.length}:${line.at(-1)!.length + 1}`;
  });
  return { plain: pieces.join(""), places };
}

/** The errors are those that are marked, in this order, and no others. */
function checkErrors(
  plain: string,
  places: readonly string[],
  errors: readonly string[],
): void {
  const result = parseConfig(plain, "test.yaml");
  const found = "errors" in result ? result.errors : [];
  const expected = errors.map((error, i) => {
    const at = error.indexOf(": ");
    const path = at < 0 ? error : error.slice(0, at);
    return { place: places[i] ?? "", path, problem: error.slice(at + 2) };
  });
  assertEquals(
    found.map(({ line, column, path }) => ({
      place: `${line}:${column}`,
      path,
    })),
    expected.map(({ place, path }) => ({ place, path })),
    found.map(({ message }) => message).join("\n"),
  );
  for (const [i, { problem }] of expected.entries()) {
    assertStringIncludes(`${found[i]!.problem} | ${found[i]!.hint}`, problem);
    assertStringIncludes(found[i]!.message, `test.yaml:${expected[i]!.place}:`);
  }
}

/** Both commands that read a file say all of it, exit 2, and start nothing. */
async function checkProgram(
  plain: string,
  places: readonly string[],
): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, plain);
    for (const args of [["check", file], ["serve", "--config", file]]) {
      const { code, said, workers } = await runHere(args);
      assertEquals(code, 2, said);
      for (const place of places) {
        assertStringIncludes(said, `${file}:${place}:`);
      }
      assertEquals(workers, 0, "a reactor was started");
    }
  } finally {
    await Deno.remove(file);
  }
}

/** Runs a command in this process: its status, its errors, its Workers. */
async function runHere(
  args: readonly string[],
): Promise<{ code: number; said: string; workers: number }> {
  const { writeSync, write } = Deno.stderr;
  const { Worker } = globalThis;
  let said = "";
  let workers = 0;
  Deno.stderr.writeSync = (bytes: Uint8Array) => {
    said += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  // What serve writes waits in a queue.
  Deno.stderr.write = (bytes: Uint8Array) =>
    Promise.resolve(Deno.stderr.writeSync(bytes));
  globalThis.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      workers++;
      super(url, options);
    }
  };
  try {
    const code = await run(args, "gpioagg");
    await flushOutput(1000);
    return { code, said, workers };
  } finally {
    Deno.stderr.writeSync = writeSync;
    Deno.stderr.write = write;
    globalThis.Worker = Worker;
  }
}
