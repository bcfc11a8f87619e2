/** The systemd units and the CDI file, as other programs take them. */
import { assert, assertEquals } from "@std/assert";
import { ApiService } from "../environment/api_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { lacksTool, runTool } from "../environment/tool.ts";
import { LAUNCHER, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const UNITS = `${REPOSITORY}/scripts/systemd`;

const noAnalyze = await lacksTool(
  "systemd-analyze",
  "it is in Debian's package systemd",
);

Deno.test({
  name: "systemd-analyze accepts the units",
  ignore: noAnalyze,
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-units-" });
    try {
      const files: string[] = [];
      for await (const { name } of Deno.readDir(UNITS)) {
        if (!/\.(service|socket)$/.test(name)) continue;
        const text = await Deno.readTextFile(`${UNITS}/${name}`);
        // A program has to be there to be accepted: the checkout's own.
        const installed = text.replaceAll(
          "/usr/bin/gpioagg",
          LAUNCHER,
        );
        const file = `${directory}/${name.replace("@", "@plc0")}`;
        await Deno.writeTextFile(`${directory}/${name}`, installed);
        await Deno.writeTextFile(file, installed);
        files.push(file);
        // Whatever takes too much ends in its own unit, not the host.
        if (!/^ExecStart=\S+ serve /m.test(installed)) continue;
        for (const limit of ["MemoryMax=", "TasksMax="]) {
          assert(installed.includes(`\n${limit}`), `${name}: ${limit}`);
        }
        // Without it guests' unused memory could use the first of these up.
        assert(/^SystemCallFilter=.*\bmincore\b/m.test(installed), name);
      }
      assertEquals(files.length, 7);
      await Deno.mkdir(`${directory}/gpioagg.service.d`);
      await Deno.copyFile(
        `${UNITS}/kernel-chips.conf`,
        `${directory}/gpioagg.service.d/kernel-chips.conf`,
      );
      const checked = await runTool("/usr/bin/env", [
        `SYSTEMD_UNIT_PATH=${directory}:`,
        "systemd-analyze",
        "verify",
        "--man=no",
        ...files,
      ]);
      assert(checked!.success, checked!.output);
      assertEquals(checked!.output, "");
      // The command lines are such that gpioagg takes them.
      for (const file of files) {
        const command = /^ExecStart=\S+ (.*)$/m.exec(
          await Deno.readTextFile(file),
        )?.[1]?.replace(" -- $VMM", "");
        if (command === undefined) continue;
        const { success, stderr } = await new Deno.Command(
          PROGRAM_FILE,
          { args: [...PROGRAM, ...command.split(" "), "--help"] },
        ).output();
        assert(success, new TextDecoder().decode(stderr));
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("the package's removal ends all units", async () => {
  const script = await Deno.readTextFile(
    `${REPOSITORY}/scripts/debian/gpioagg.prerm`,
  );
  for await (const { name } of Deno.readDir(UNITS)) {
    if (!/\.(service|socket)$/.test(name)) continue;
    const unit = name.replace("@.", "@*.");
    assert(script.split(/[\s']+/).includes(unit), unit);
  }
});

Deno.test("cdi writes what a service serves, whole", async () => {
  await using service = await ApiService.start({
    aggregators: { plc0: ["sim/2"] },
  });
  const file = `${service.directory}/gpioagg.json`;
  const { success, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [
      ...PROGRAM,
      "cdi",
      "--api",
      service.lookClient.socketPath,
      "--output",
      file,
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { kind, devices } = JSON.parse(await Deno.readTextFile(file));
  assertEquals(kind, "gpioagg/aggregator");
  assertEquals(devices[0].name, "plc0");
  assertEquals(
    devices[0].containerEdits.mounts[0].hostPath,
    service.socket("plc0"),
  );
  const left = [...Deno.readDirSync(service.directory)].map(({ name }) => name);
  assert(!left.includes("gpioagg.json.new"));
});
