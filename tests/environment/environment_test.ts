import { assert, assertEquals } from "@std/assert";
import {
  artefact,
  ARTEFACTS,
  missingReason,
  REPOSITORY,
} from "./environment.ts";

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
    assertEquals(Object.keys(paths), [...ARTEFACTS]);
    assertEquals(paths.uml, null);
    assertEquals(paths.qemuNew, null);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
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
  const result = await new Deno.Command(`${REPOSITORY}/scripts/environment`, {
    args: ["everything"],
  }).output();
  assertEquals(result.code, 1);
  assert(
    new TextDecoder().decode(result.stderr).includes(
      "unknown command 'everything'",
    ),
  );
});
