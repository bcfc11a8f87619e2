/**
 * `scripts/gpioagg` with programs of a test's choice.
 *
 * @module
 */
import { REPOSITORY } from "../environment/environment.ts";

/** The launcher of this checkout. */
export const LAUNCHER: string = `${REPOSITORY}/scripts/gpioagg`;
/** Files of a checkout that decide what the launcher runs. */
const CHECKOUT = [
  ".deno-version",
  "deno.json",
  "deno.lock",
  "scripts/gpioagg",
  "scripts/lib/common.sh",
  "scripts/lib/deno.sh",
];
/** Programs that the launcher uses; Deno and Node.js are not among them. */
const NEEDED = [
  "bash",
  "cat",
  "chmod",
  "env",
  "flock",
  "grep",
  "gzip",
  "mkdir",
  "mv",
  "readlink",
  "rm",
  "sed",
  "sh",
  "sha512sum",
  "sleep",
  "stat",
  "tail",
  "tar",
  "uname",
];

/** A launch that ended. */
export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the launcher with these variables and no others. */
export async function launch(
  args: readonly string[],
  env: Record<string, string>,
  cwd = "/",
  launcher = LAUNCHER,
): Promise<Result> {
  const { code, stdout, stderr } = await new Deno.Command(launcher, {
    args: [...args],
    env,
    cwd,
    clearEnv: true,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Runs `action` with an empty directory and a PATH without Deno. */
export async function withPrograms(
  action: (directory: string, path: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-launcher-" });
  try {
    const path = `${directory}/bin`;
    await Deno.mkdir(path);
    for (const name of NEEDED) {
      for (const place of ["/usr/bin", "/bin"]) {
        const found = await Deno.stat(`${place}/${name}`).then(
          () => true,
          () => false,
        );
        if (!found) continue;
        await Deno.symlink(`${place}/${name}`, `${path}/${name}`);
        break;
      }
    }
    await action(directory, path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Makes a checkout whose programs, by the names of their files, are these. */
export async function makeCheckout(
  directory: string,
  programs: Readonly<Record<string, string>>,
): Promise<string> {
  const checkout = `${directory}/checkout`;
  for (const file of CHECKOUT) {
    const to = `${checkout}/${file}`;
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(`${REPOSITORY}/${file}`, to);
  }
  await Deno.mkdir(`${checkout}/src/cli`, { recursive: true });
  for (const [name, text] of Object.entries(programs)) {
    await Deno.writeTextFile(`${checkout}/src/cli/${name}.ts`, text);
  }
  return checkout;
}

/** Proxies and certificate stores that this machine needs. */
export function machineEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) =>
      /proxy|cert|^SSL_|^npm_config_|^NODE_EXTRA|^DENO_TLS/i.test(name)
    ),
  );
}
