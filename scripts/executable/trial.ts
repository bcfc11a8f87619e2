/**
 * Tries an executable: what it says of itself, the demo, and a service with the
 * control API, a lane and an aggregator in a process of its own.
 *
 * @module
 */
import { API_SINCE, hasApi } from "../../src/http/runtime.ts";

/** Output of `gpioagg version --json`. */
export interface Version {
  readonly version: string;
  /** Deno's version, of the runtime in the executable. */
  readonly deno: string;
  /** As `uname -m` names it. */
  readonly machine: string;
  /** Set for an executable. */
  readonly isExecutable: boolean;
}

/** Limit of each step, on a machine that has other work. **Units**: ms. */
const LIMIT_MS = 300_000;
/**
 * A line without a chip: its lane runs, and waits for the chip to come.
 */
const LANE_LINE = "no-such-chip/0,lane,optional";

/**
 * Asks the executable for its versions.
 *
 * @throws {Error} If it does not run, or its answer is not one.
 */
export async function askVersion(program: string): Promise<Version> {
  const text = await output(program, ["version", "--json"]);
  return JSON.parse(text) as Version;
}

/**
 * Runs the demo, and a service whose sockets are spoken to.
 *
 * @returns What was tried.
 * @throws {Error} If a part of it does not work, with what it said.
 */
export async function tryExecutable(program: string): Promise<string[]> {
  await output(program, ["demo"]);
  const { deno } = await askVersion(program);
  const isApiTried = hasApi(deno);
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-trial-" });
  try {
    await tryService(program, directory, isApiTried);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return [
    "tried: demo, serve with a lane, isolated aggregator",
    isApiTried
      ? "tried: control API"
      : `not tried: control API, which needs Deno ${API_SINCE} or newer`,
  ];
}

async function tryService(
  program: string,
  directory: string,
  hasApi: boolean,
): Promise<void> {
  const api = `${directory}/api.sock`;
  await Deno.writeTextFile(
    `${directory}/trial.yaml`,
    JSON.stringify({
      aggregators: {
        here: {
          "vhost-user": `${directory}/here.sock`,
          lines: ["sim/1,as=LAMP", LANE_LINE],
        },
        apart: {
          "vhost-user": `${directory}/apart.sock`,
          isolate: "process",
          lines: ["sim/1"],
        },
      },
    }),
  );
  const service = new Deno.Command(program, {
    args: [
      ...["serve", "--json", "--config", `${directory}/trial.yaml`],
      ...(hasApi ? ["--api", api] : []),
    ],
    cwd: "/",
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let hasEnded = false;
  const end = service.status.finally(() => hasEnded = true);
  const kill = (signal: Deno.Signal) => {
    if (!hasEnded) service.kill(signal);
  };
  const timer = setTimeout(() => kill("SIGKILL"), LIMIT_MS);
  const reader = service.stdout.pipeThrough(new TextDecoderStream())
    .getReader();
  try {
    let said = "";
    while (!said.includes('"event":"ready"')) {
      const { value, done } = await reader.read();
      if (done) {
        const { code, signal } = await end;
        throw new Error(
          `serve ended with ${signal ?? code} before it was ready: ${said}`,
        );
      }
      said += value;
    }
    for (const name of ["here", "apart"]) {
      await output(program, ["probe", `${directory}/${name}.sock`]);
    }
    if (hasApi) {
      const listed = await output(program, ["list", "--json", "--api", api]);
      for (const name of ["here", "apart"]) {
        if (!listed.includes(`"${name}"`)) {
          throw new Error(`list --api does not name ${name}: ${listed}`);
        }
      }
    }
  } finally {
    kill("SIGTERM");
    while (!(await reader.read()).done);
    clearTimeout(timer);
  }
  const { code, signal } = await end;
  if (code !== 0) throw new Error(`serve ended with ${signal ?? code}`);
}

async function output(program: string, args: string[]): Promise<string> {
  const { success, code, signal, stdout, stderr } = await new Deno.Command(
    program,
    { args, cwd: "/", stdin: "null", signal: AbortSignal.timeout(LIMIT_MS) },
  ).output();
  const decoder = new TextDecoder();
  if (!success) {
    const said = decoder.decode(stdout) + decoder.decode(stderr);
    throw new Error(
      `gpioagg ${args.join(" ")} ended with ${signal ?? code}:\n${said}`,
    );
  }
  return decoder.decode(stdout);
}
