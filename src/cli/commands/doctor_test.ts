/** `gpioagg doctor` on the kernel double, with QEMUs that are not started. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { EPERM } from "../../../ffi/errno.ts";
import { effectiveUserId } from "../../../ffi/sysfs.ts";
import {
  type ChipOptions,
  GpioKernel,
} from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";

const HELP = `name "usb-redir", bus usb-bus
name "vhost-user-gpio-pci", bus PCI
`;
const [X86, ARM] = ["qemu-system-x86_64", "qemu-system-aarch64"];

/** Outcome of starting a program: its version, its failure, or an error. */
type Programs = Readonly<Record<string, string | undefined | Error>>;

/** A host with these programs and chips. */
function rig(programs: Programs = {}, chips: readonly ChipOptions[] = []) {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  for (const chip of chips) kernel.addChip(chip);
  const RealCommand = Deno.Command;
  const started = new Set<string>();
  const command = function (program: string, { args }: { args: string[] }) {
    started.add(program);
    const found = program in programs
      ? programs[program]
      : new Deno.errors.NotFound(program);
    const spawn = () => {
      if (found instanceof Error) throw found;
      const text = args.includes("--version") ? found ?? "" : HELP;
      return {
        stdout: ReadableStream.from([new TextEncoder().encode(text)]),
        status: Promise.resolve({ success: found !== undefined }),
      };
    };
    return { spawn };
  };
  stack.defer(() => Object.assign(Deno, { Command: RealCommand }));
  Object.assign(Deno, { Command: command });
  return {
    kernel,
    started,
    doctor: (...args: readonly string[]) => gpioagg(["doctor", ...args]),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const version = (text: string) => `QEMU emulator version ${text}\n`;

testSerially(
  "doctor prints what this host has, and which exposures work",
  async () => {
    using it = rig({ [X86]: version("10.0.2") }, [{ lines: 2 }, { lines: 2 }]);
    it.kernel.refuse("GPIO_GET_CHIPINFO_IOCTL", EPERM);
    const { code, stdout, stderr } = await it.doctor();
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^ {2}GPIO chips +.*EPERM/m);
    assertMatch(stdout, /^ +\/dev\/gpiochip1: can be opened$/m);
    assertMatch(stdout, /^ {2}QEMU +qemu-system-x86_64 10\.0\.2$/m);
    assertMatch(stdout, /^ {2}vhost-user +yes$/m);
    assertMatch(
      stdout,
      /^ {2}vfio-user +no: no QEMU of this host has the device vfio-user-pci: install QEMU 10\.1/m,
    );
    assertMatch(
      stdout,
      /^ {2}qemu-pins.* +no: no qemu-system-aarch64 found: in/m,
    );
    assertMatch(stdout, /^ {2}user +\S/m);
    assertMatch(
      stdout,
      /^ {2}kernel-chip +no: This kernel has no gpio-aggreg/m,
    );
    assertEquals(stdout.includes("Guest"), false);
  },
);

testSerially(
  "doctor finds the kernel's aggregator, which needs root",
  async () => {
    using it = rig();
    it.kernel.addAggregatorDriver();
    const { stdout } = await it.doctor();
    assertMatch(
      stdout,
      effectiveUserId() === 0
        ? /^ {2}kernel-chip +yes$/m
        : /^ {2}kernel-chip +no: it needs root$/m,
    );
    assertMatch(stdout, /^ {2}GPIO chips +none: simulated lines/m);
  },
);

testSerially(
  "doctor examines the QEMUs that are named, in place of others",
  async () => {
    using it = rig({ mine: version("9.2.0"), [X86]: version("10.0.2") });
    const { stdout } = await it.doctor("--qemu", "mine", "--qemu", "absent");
    assertMatch(stdout, /^ {2}QEMU +mine 9\.2\.0$/m);
    assertEquals([...it.started], ["mine", "absent"]);
    using usual = rig();
    await usual.doctor();
    assertEquals([...usual.started].slice(0, 2), [X86, ARM]);
  },
);

testSerially("a program that cannot be run, or fails, is no QEMU", async () => {
  const { NotADirectory, PermissionDenied } = Deno.errors;
  using it = rig({
    directory: new PermissionDenied("Failed to spawn"),
    "/etc/passwd/qemu": new NotADirectory("Failed to spawn"),
    failing: undefined,
  });
  for (const program of ["directory", "/etc/passwd/qemu", "failing", "none"]) {
    const { code, stdout, stderr } = await it.doctor("--qemu", program);
    assertEquals([code, stderr], [0, ""], program);
    assertMatch(stdout, /^ {2}QEMU +none found: name one with --qemu/m);
  }
});

testSerially(
  "doctor --guest prints the lines to paste for one kernel or for both",
  async () => {
    using it = rig({ [X86]: version("10.0.2"), [ARM]: version("10.0.2") });
    const one = await it.doctor("--guest", "debian-13/amd64");
    assertEquals(one.code, 0);
    assertEquals(one.stdout.match(/^Guest .*$/gm), [
      "Guest debian-13 (amd64, Linux 6.12)",
    ]);
    assertStringIncludes(
      one.stdout,
      "gpioagg serve --usbredir /run/press.sock",
    );
    const both = await it.doctor("--guest", "debian-13");
    assertEquals(both.stdout.match(/^Guest debian-13 \(\w+/gm)?.length, 2);
  },
);

testSerially(
  "doctor's status says whether every named guest can have an exposure",
  async () => {
    using it = rig({ [X86]: version("10.0.2") });
    const status = async (...guests: readonly string[]) =>
      (await it.doctor(...guests.flatMap((guest) => ["--guest", guest]))).code;
    assertEquals(await status("debian-13/amd64"), 0);
    assertEquals(await status("debian-13-cloud/amd64"), 1);
    assertEquals(await status("debian-13/amd64", "debian-13-cloud/amd64"), 1);
    // Without an architecture one of the two is enough.
    assertEquals(await status("debian-13"), 0);
    assertEquals(await status("debian-13/arm64"), 1);
    // This host has no QEMU for it that has what its driver needs.
    using none = rig();
    assertEquals((await none.doctor("--guest", "debian-13/amd64")).code, 1);
  },
);

testSerially("doctor --json prints the same", async () => {
  using it = rig({ [X86]: version("10.0.2") }, [{ lines: 1 }]);
  const { stdout } = await it.doctor("--json", "--guest", "debian-13/amd64");
  const { host, exposures, guests } = JSON.parse(stdout);
  assertEquals(host.chips, [{ path: "/dev/gpiochip0" }]);
  assertEquals(host.qemus, [{ program: X86, version: "10.0.2" }]);
  const named = (name: string) =>
    exposures.find((one: { name: string }) => one.name === name);
  assertEquals(named("vhost-user"), { name: "vhost-user", works: true });
  assertEquals(named("vfio-user").works, false);
  assertMatch(named("vfio-user").reason, /vfio-user-pci/);
  assertEquals([guests.length, guests[0].name, guests[0].arch], [
    1,
    "debian-13",
    "amd64",
  ]);
  // Only what works from here, with what is to be pasted.
  const names = guests[0].exposures.map((one: { name: string }) => one.name);
  assertEquals(names, ["usbredir, device=ljca", "usbredir, device=cp2112"]);
  assertMatch(
    guests[0].exposures[0].qemu[0],
    /^qemu-system-x86_64 .*usb-redir/,
  );
});

testSerially("doctor suggests the guest that was probably meant", async () => {
  using it = rig();
  for (
    const [guest, hint] of [
      ["debain-13", "Did you mean debian-13?"],
      ["plan9", "Known guests: debian-12, "],
    ] as const
  ) {
    const { code, stdout, stderr } = await it.doctor("--guest", guest);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, `--guest: unknown guest "${guest}"`);
    assertStringIncludes(stderr, hint);
  }
  const other = await it.doctor("--guest", "fedora/riscv64");
  assertEquals([other.code, other.stdout], [2, ""]);
  assertStringIncludes(
    other.stderr,
    '--guest fedora: unknown architecture "riscv64"',
  );
  assertStringIncludes(other.stderr, "Architectures: amd64, arm64");
  const stray = await it.doctor("debian-13");
  assertEquals(stray.code, 2);
  assertStringIncludes(stray.stderr, "gpioagg doctor --guest debian-13");
  assertEquals(it.started.size, 0);
});
