/**
 * Runs libgpiod's test-suite for its tools in test machines, each of which has
 * a part of the tests: the second half of `scripts/libgpiod_tools_suite`.
 *
 * Usage: `deno run -P=unit libgpiod_tools_suite.ts SUITE [OPTION...] [TEST...]`
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { REPOSITORY } from "../tests/environment/environment.ts";
import { bootUmlHost } from "../tests/environment/uml_host.ts";

/** Options of a run. */
interface Options {
  /** The directory of the suite's files. */
  readonly suite: string;
  /** The directory of the tools; ours if there is none. */
  readonly tools: string | undefined;
  readonly machines: number;
  readonly realTime: boolean;
}

/** Result of one test. */
interface Outcome {
  readonly test: string;
  /** Complaints of the suite about it. */
  readonly complaints: readonly string[];
}

const SCRIPT = "gpio-tools-test.bash";
/** Long enough for the slowest of machines; a hang is found by it. */
const LIMIT_MS = 30 * 60_000;

async function main(args: readonly string[]): Promise<number> {
  const given = parseArgs([...args], {
    string: ["tools", "machines", "_"],
    boolean: ["real-time"],
    default: { machines: "2" },
    unknown: (argument: string) => {
      if (!argument.startsWith("-")) return true;
      console.error(`unknown option ${argument}; see --help`);
      Deno.exit(2);
    },
  });
  const [suite = "", ...named] = given["_"] as string[];
  const options: Options = {
    suite,
    tools: given["tools"],
    machines: Math.max(1, Number(given["machines"]) || 1),
    realTime: given["real-time"],
  };
  const all = await testNames(suite);
  const unknown = named.filter((test) => !all.includes(test));
  if (unknown.length > 0) {
    console.error(`the suite has no test ${unknown.join(", ")}`);
    return 2;
  }
  const wanted = named.length > 0 ? named : all;
  const start = performance.now();
  const parts = shares(wanted, options.machines);
  const outcomes = (await Promise.all(
    parts.map((tests) => runPart(tests, options)),
  )).flat();
  const failed = outcomes.filter(({ complaints }) => complaints.length > 0);
  const missing = wanted.filter((test) =>
    !outcomes.some((outcome) => outcome.test === test)
  );
  for (const test of missing) console.log(`${test} was not run`);
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(`${seconds} s on ${parts.length} machines`);
  console.log(
    `${outcomes.length - failed.length} passed, ${
      failed.length + missing.length
    } failed`,
  );
  return failed.length + missing.length === 0 && outcomes.length > 0 ? 0 : 1;
}

/** The names of the suite's tests, in their order. */
async function testNames(suite: string): Promise<string[]> {
  const text = await Deno.readTextFile(`${suite}/${SCRIPT}`);
  return [...text.matchAll(/^(test_\w+)\(\)/gm)].map((match) => match[1]!);
}

/** The tests dealt out like cards, so that slow neighbours are parted. */
function shares(tests: readonly string[], machines: number): string[][] {
  const parts = Array.from(
    { length: Math.min(machines, tests.length) },
    (): string[] => [],
  );
  for (const [i, test] of tests.entries()) parts[i % parts.length]!.push(test);
  return parts;
}

/** Runs some tests in a machine of their own. */
async function runPart(
  tests: readonly string[],
  { suite, tools, realTime }: Options,
): Promise<Outcome[]> {
  await using host = await bootUmlHost({ virtualTime: !realTime });
  // The suite calls the tools that are beside it, and shunit2 and modprobe
  // from PATH; the simulator needs no module here.
  await host.run(`mkdir /root/suite && cd /root/suite && cp '${suite}'/* . &&
    printf '#!/bin/sh\\n' > modprobe && chmod +x modprobe`);
  await host.run(
    tools === undefined
      ? `'${REPOSITORY}/scripts/gpioagg' install-tools /root/suite`
      : `cp '${tools}'/gpio* /root/suite/`,
  );
  const grace = realTime
    ? `. '${REPOSITORY}/scripts/lib/waiting_grace.bash' &&`
    : "";
  await host.run(`cat > /root/suite/run <<'END'
#!/bin/bash
cd /root/suite && export PATH=/root/suite:$PATH SHUNIT_COLOR=none && ${grace}
exec bash ./${SCRIPT} -- ${tests.join(" ")}
END
chmod +x /root/suite/run`);
  const report = new Report(tests);
  const { output } = await host.exec("/root/suite/run 2>&1", {
    timeoutMs: LIMIT_MS,
    onOutput: (text) => report.read(text, false),
  });
  report.read(output, true);
  return report.outcomes;
}

/** Reads shunit2's output while it grows, and tells of each test as it ends. */
class Report {
  readonly outcomes: Outcome[] = [];
  readonly #tests: ReadonlySet<string>;
  #position = 0;
  #current: { test: string; complaints: string[] } | undefined;

  constructor(tests: readonly string[]) {
    this.#tests = new Set(tests);
  }

  read(output: string, last: boolean): void {
    const end = last ? output.length : output.lastIndexOf("\n") + 1;
    for (const line of output.slice(this.#position, end).split("\n")) {
      if (this.#tests.has(line) || /^Ran \d+ tests?\./.test(line)) {
        this.#finish();
        if (this.#tests.has(line)) {
          this.#current = { test: line, complaints: [] };
        }
      } else if (line.trim() !== "") this.#current?.complaints.push(line);
    }
    this.#position = end;
  }

  #finish(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    // Programs may write to the terminal; shunit2's own words count.
    const failed = current.complaints.some((line) =>
      /^(ASSERT:|shunit2:ERROR)/.test(line)
    );
    const outcome = failed ? current : { ...current, complaints: [] };
    this.outcomes.push(outcome);
    console.log(`${outcome.test} ... ${failed ? "FAILED" : "ok"}`);
    for (const line of outcome.complaints) console.log(`    ${line}`);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
