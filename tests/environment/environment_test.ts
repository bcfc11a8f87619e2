import { assert, assertEquals } from "@std/assert";
import {
  artefact,
  ARTEFACTS,
  missingReason,
  OPTIONAL_ARTEFACTS,
  REPOSITORY,
} from "./environment.ts";
import { lacksTool, runTool } from "./tool.ts";

Deno.test("scripts/environment provides everything on a machine that ran it", async () => {
  assertEquals(await missingReason(...ARTEFACTS), undefined);
  for (const name of ARTEFACTS) await Deno.stat(await artefact(name));
});

Deno.test("an empty cache is reported with what to do", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const result = await new Deno.Command(`${REPOSITORY}/scripts/environment`, {
      args: ["paths", "--json"],
      env: { GPIOAGG_CACHE: cache },
    }).output();
    const paths = JSON.parse(new TextDecoder().decode(result.stdout));
    assertEquals(Object.keys(paths), [...ARTEFACTS, ...OPTIONAL_ARTEFACTS]);
    assertEquals(paths.uml, null);
    assertEquals(paths.qemuNew, null);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

/** Runs scripts/environment with this environment and no other. */
async function runScript(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const result = await new Deno.Command(`${REPOSITORY}/scripts/environment`, {
    args,
    env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  return {
    code: result.code,
    stdout: new TextDecoder().decode(result.stdout),
    stderr: new TextDecoder().decode(result.stderr),
  };
}

Deno.test("without HOME the cache is in the home of the passwd database", async () => {
  const { stdout: home } = await new Deno.Command("bash", {
    args: ["-c", 'getent passwd "$(id -u)" | cut -d: -f6'],
  }).output();
  const expected = new TextDecoder().decode(home).trim() + "/.cache/gpioagg";
  for (const env of [{}, { HOME: "" }]) {
    const { code, stdout } = await runScript(["help"], env);
    assertEquals(code, 0);
    assert(stdout.includes(`\n  ${expected}\n`), stdout);
  }
});

Deno.test("clean keeps what this checkout uses, and the lock in any case", async () => {
  const env = { GPIOAGG_CACHE: await Deno.makeTempDir() };
  const entries = async () =>
    (await Array.fromAsync(Deno.readDir(env.GPIOAGG_CACHE)))
      .map((entry) => entry.name).toSorted();
  try {
    const used = ["apt", "foreign-arm64", "foreign-armhf", "log"];
    for (const name of ["busybox", "gpiod", "uml"] as const) {
      const path = (await artefact(name)).match(/[^/]+-[0-9a-f]{16}(?=\/)/);
      used.push(path![0]);
    }
    for (const name of [...used, "uml-0000", "gpiod-0000.new"]) {
      await Deno.mkdir(`${env.GPIOAGG_CACHE}/${name}`);
    }
    assertEquals((await runScript(["clean"], env)).code, 0);
    assertEquals(await entries(), [...used, "lock"].toSorted());
    assertEquals((await runScript(["clean", "--all"], env)).code, 0);
    assertEquals(await entries(), ["lock"]);
  } finally {
    await Deno.remove(env.GPIOAGG_CACHE, { recursive: true });
  }
});

Deno.test({
  name: "shellcheck finds nothing in the scripts",
  ignore: await lacksTool("shellcheck", "run scripts/environment judges"),
  fn: async () => {
    const scripts = `${REPOSITORY}/scripts`;
    const parts = await Array.fromAsync(Deno.readDir(`${scripts}/lib`));
    const programs = ["environment", "gpioagg", "libgpiod_tools_suite", "test"];
    const files = [
      ...programs.map((name) => `${scripts}/${name}`),
      ...parts.map(({ name }) => `${scripts}/lib/${name}`),
      `${REPOSITORY}/.ci/run`,
    ];
    const options = ["--shell=bash", "-x", "--source-path=SCRIPTDIR"];
    const result = await runTool("shellcheck", [...options, ...files]);
    assert(result!.success, result!.output);
  },
});

Deno.test("both QEMUs have the device, and are of the two ages", async () => {
  for (const [name, version] of [["qemuOld", "7.2."], ["qemuNew", "10."]]) {
    const run = async (...args: string[]) => {
      const command = new Deno.Command(
        await artefact(name as "qemuOld" | "qemuNew"),
        { args },
      );
      return new TextDecoder().decode((await command.output()).stdout);
    };
    const text = await run("--version");
    assert(text.startsWith(`QEMU emulator version ${version}`), text);
    assert((await run("-device", "help")).includes("vhost-user-gpio-pci"));
  }
});

Deno.test("scripts/environment refuses an unknown command", async () => {
  const { code, stderr } = await runScript(["everything"], {});
  assertEquals(code, 1);
  assert(stderr.includes("unknown command 'everything'"), stderr);
});
