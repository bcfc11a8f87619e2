import { assert, assertEquals, assertRejects } from "@std/assert";
import { mustSkip } from "./environment.ts";
import { bootUmlGuest } from "./uml_guest.ts";
import { bootUmlHost, denoTestInUml, runInUml } from "./uml_host.ts";

const ignore = await mustSkip("uml", "gpiod", "busybox", "deno");

Deno.test({
  name: "a simulated chip in the UML host is a real chip",
  ignore,
  fn: async () => {
    await using host = await bootUmlHost();
    const chip = await host.makeChip({
      label: "plant",
      lines: 4,
      names: { 0: "valve", 2: "it's a pump" },
      hogs: { 3: "the kernel" },
    });
    const info = await host.run("gpioinfo");
    assert(info.includes(`${chip.name} - 4 lines:`), info);
    assert(/line +0:\s+"valve"\s+input/.test(info), info);
    assert(/line +2:\s+"it's a pump"/.test(info), info);
    assert(/line +3:\s.*consumer=the kernel/.test(info), info);

    await chip.pull(1, "up");
    assertEquals(
      await host.run(`gpioget --numeric -c ${chip.name} 0 1`),
      "0 1",
    );
    await host.run(
      `gpioset -c ${chip.name} 0=1 >/dev/null 2>&1 & sleep 0.3`,
    );
    assertEquals(await chip.level(0), 1);
  },
});

Deno.test({
  name: "a simulated chip goes when it is disposed of, and when unplugged",
  ignore,
  fn: async () => {
    await using host = await bootUmlHost();
    {
      await using chip = await host.makeChip({ lines: 1, hogs: { 0: "hog" } });
      await chip.unplug();
      assertEquals(await host.run("gpiodetect"), "");
      assert(/^gpiochip\d+$/.test(await chip.plug()));
      assert((await host.run("gpiodetect")).includes("(1 lines)"));
    }
    assertEquals(await host.run("gpiodetect"), "");
    assertEquals(await host.run("ls /sys/kernel/config/gpio-sim"), "");
  },
});

Deno.test({
  name: "Deno runs in the UML host, and sees the checkout",
  ignore,
  fn: async () => {
    const { code, output } = await runInUml(
      `deno eval 'console.log(Deno.version.deno, Deno.build.os)' && ls deno.json`,
    );
    assertEquals(code, 0);
    assert(/^\d+\.\d+\.\d+ linux\ndeno\.json\n$/.test(output), output);
  },
});

Deno.test({
  name: "what the UML host writes changes nothing here but the share",
  ignore,
  fn: async () => {
    await using host = await bootUmlHost();
    const file = import.meta.filename!;
    await host.run(`echo changed > '${file}' && grep -q changed '${file}'`);
    await host.run("echo kept > /mnt/result");
    assert((await Deno.readTextFile(file)).length > 100);
    assertEquals(await Deno.readTextFile(`${host.share}/result`), "kept\n");
  },
});

Deno.test({
  name: "deno test runs in the UML host, and its failures arrive",
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    try {
      const file = `${directory}/two_test.ts`;
      await Deno.writeTextFile(
        file,
        `Deno.test("good", () => {});
         Deno.test("bad", () => { throw new Error("as it should") });`,
      );
      const { code, output } = await denoTestInUml([file]);
      assertEquals(code, 1);
      assert(output.includes("1 passed | 1 failed"), output);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: "virtual time passes at once when nothing is computed",
  ignore,
  fn: async () => {
    await using guest = await bootUmlGuest({ virtualTime: true });
    const begun = performance.now();
    const times = await guest.run("date +%s; sleep 600; date +%s");
    const [before = 0, after = 0] = times.split("\n").map(Number);
    assert(after - before >= 600, times);
    assert(performance.now() - begun < 60_000);
  },
});

Deno.test({
  name: "commands of any length and content pass, and their output too",
  ignore,
  fn: async () => {
    await using guest = await bootUmlGuest();
    const odd = "a\\nb\tc  'd' \"e\" $f `g` %s é\n\n  h\\";
    assertEquals(
      await guest.run(`cat <<'END'\n${odd}\nEND`),
      odd,
    );
    const long = "0123456789".repeat(2500);
    assertEquals(await guest.run(`printf %s ${long} | wc -c`), "25000");
    const { output } = await guest.exec("seq 1 30000");
    assertEquals(output.split("\n").length, 30001);
    assertEquals(await guest.exec("echo out; echo err >&2; exit 7"), {
      code: 7,
      output: "out\nerr\n",
    });
  },
});

Deno.test({
  name: "a command that takes too long is named, and so is what it wrote",
  ignore,
  fn: async () => {
    await using guest = await bootUmlGuest();
    const error = await assertRejects(
      () => guest.exec("echo begun; sleep 30", { timeoutMs: 300 }),
      Error,
      'Cannot run "echo begun; sleep 30" in the test machine',
    );
    assert(String(error.cause).includes("begun"));
    await assertRejects(
      () => guest.exec("true"),
      Error,
      "an earlier command",
    );
  },
});

Deno.test({
  name: "a UML machine whose test goes away ends by itself",
  ignore,
  fn: async () => {
    const guest = await bootUmlGuest();
    await guest.process.closeInput();
    const status = await guest.process.waitForExit();
    assertEquals(status.signal, null);
    await guest[Symbol.asyncDispose]();
  },
});

Deno.test({
  name: "a UML machine that does not come up is reported with its messages",
  ignore,
  fn: async () => {
    const error = await assertRejects(
      () => bootUmlGuest({ kernelArguments: ["init=/nonexistent"] }),
      Error,
      "The test machine did not come up",
    );
    assert(String(error.cause).includes("Requested init /nonexistent failed"));
  },
});
