import { assert, assertEquals, assertRejects } from "@std/assert";
import { artefact, mustSkip } from "./environment.ts";
import { bootQemuGuest } from "./qemu_guest.ts";
import { bootUmlHost } from "./uml_host.ts";

const ignore = await mustSkip("qemuOld", "qemuNew", "guestKernel", "initramfs");

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name: `the guest of the ${qemu} QEMU boots and runs commands`,
    ignore,
    fn: async () => {
      await using guest = await bootQemuGuest({ qemu });
      assert(/^\d+\.\d+\.\d+/.test(await guest.run("uname -r")));
      assert((await guest.run("gpioinfo --version")).includes("v2.2"));
      const long = "0123456789".repeat(500);
      assertEquals(await guest.run(`printf %s ${long} | wc -c`), "5000");
      assertEquals((await guest.exec("seq 1 5000")).output.length, 23893);
      assertEquals(await guest.exec("ls /nonexistent; exit 4"), {
        code: 4,
        output: "ls: /nonexistent: No such file or directory\n",
      });
    },
  });
}

Deno.test({
  name: "a QEMU that ends is reported with its messages",
  ignore,
  fn: async () => {
    const error = await assertRejects(
      () => bootQemuGuest({ qemu: "new", sockets: ["/nonexistent/gpio.sock"] }),
      Error,
      "The test machine did not come up",
    );
    assert(String(error.cause).includes("/nonexistent/gpio.sock"));
  },
});

Deno.test({
  name: "a guest that powers off ends its QEMU",
  ignore,
  fn: async () => {
    await using guest = await bootQemuGuest({ qemu: "new" });
    await guest.sendLast("poweroff -f");
    assertEquals((await guest.process.waitForExit()).code, 0);
  },
});

Deno.test({
  name: "QEMU boots its guest inside the UML host",
  ignore: ignore || await mustSkip("uml", "gpiod", "busybox"),
  fn: async () => {
    await using host = await bootUmlHost();
    const module = new URL("./qemu_guest.ts", import.meta.url).href;
    await Deno.writeTextFile(
      `${host.share}/boot.ts`,
      `import { bootQemuGuest } from "${module}";
       await using guest = await bootQemuGuest({ qemu: "new" });
       console.log(await guest.run("echo from the guest: $(uname -m)"));`,
    );
    const deno = await artefact("deno");
    assertEquals(
      await host.run(`${deno} run -A --no-check --no-lock /mnt/boot.ts`, {
        timeoutMs: 90_000,
      }),
      "from the guest: x86_64",
    );
  },
});
