/** The package: what `deno publish` takes, and the command that it installs. */
import { assert, assertEquals } from "@std/assert";
import { artefact, REPOSITORY } from "../environment/environment.ts";

const MANIFEST = JSON.parse(
  await Deno.readTextFile(`${REPOSITORY}/deno.json`),
);

async function deno(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(
    await artefact("deno"),
    { args: [...args], cwd: REPOSITORY, env: { NO_COLOR: "1", ...env } },
  ).output();
  const text = new TextDecoder();
  return { success, output: text.decode(stdout) + text.decode(stderr) };
}

Deno.test("the package has the sources, the documentation and the units, and no tests", async () => {
  const { success, output } = await deno([
    "publish",
    "--dry-run",
    "--allow-dirty",
  ]);
  assert(success, output);
  const files = [...output.matchAll(/^ +file:\/\/(\S+) \(/gm)].map(([, path]) =>
    path!.slice(REPOSITORY.length + 1)
  );
  for (
    const wanted of [
      "README.md",
      "LICENSE",
      "mod.ts",
      "docs/guide.md",
      "ffi/libc.ts",
      "src/cli/main.ts",
      "src/service/reactor/reactor_worker.ts",
      "scripts/systemd/gpioagg.service",
    ]
  ) assert(files.includes(wanted), wanted);
  assertEquals(
    files.filter((file) =>
      /_(test|bench)\.ts$|^tests\/|^\.ci\//.test(file) ||
      /^scripts\/(?!systemd\/)/.test(file)
    ),
    [],
  );
});

Deno.test("deno install makes the command of the package", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-install-" });
  try {
    const { success, output } = await deno([
      "install",
      "--global",
      "--allow-all",
      "--no-lock",
      "--config",
      "deno.json",
      "--name",
      "gpioagg",
      "--root",
      directory,
      MANIFEST.exports["./cli"],
    ]);
    assert(success, output);
    const path = (await artefact("deno")).replace(/\/[^/]*$/, "");
    const { stdout } = await new Deno.Command(`${directory}/bin/gpioagg`, {
      args: ["--version"],
      env: { PATH: `${path}:${Deno.env.get("PATH")}` },
    }).output();
    assertEquals(
      new TextDecoder().decode(stdout),
      `gpioagg ${MANIFEST.version}\n`,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
