import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { GUESTS } from "./guests.ts";
import { examineHost, type HostAccess } from "./host.ts";
import { guestReport, hostReport } from "./report.ts";
import { EXPOSURES, exposuresFor } from "./exposures.ts";

const DEVICE_HELP = `Network devices:
name "e1000", bus PCI, desc "Intel Gigabit Ethernet"
USB devices:
name "usb-redir", bus usb-bus
Misc devices:
name "vhost-user-gpio-pci", bus PCI
`;

interface Given {
  programs?: Record<string, { version: string; devices?: string }>;
  files?: Record<string, string>;
  chips?: Record<string, string | undefined>;
  isRoot?: boolean;
}

function access(given: Given): HostAccess {
  const { programs = {}, files = {}, chips = {} } = given;
  return {
    arch: "x86_64",
    isRoot: given.isRoot ?? false,
    run: (program, args) => {
      const found = programs[program];
      return Promise.resolve(
        args.includes("--version") ? found?.version : found?.devices,
      );
    },
    read: (path) => files[path],
    exists: (path) => files[path] !== undefined,
    whyNoKernelChip: () => "no gpio-aggregator",
    findUsbChipProblem: () => "no vhci-hcd",
    chips: () => Object.keys(chips),
    whyNotOpen: (chip) => chips[chip],
  };
}

function qemu(version: string, devices = DEVICE_HELP) {
  return { version: `QEMU emulator version ${version} (Debian)\n`, devices };
}

Deno.test("examineHost() reads versions and devices of QEMU programs", async () => {
  const host = await examineHost(access({
    programs: { "qemu-system-x86_64": qemu("10.0.2") },
    files: { "/proc/sys/kernel/osrelease": "6.12.3\n", "/dev/kvm": "" },
    chips: {
      "/dev/gpiochip0": undefined,
      "/dev/gpiochip1": "permission denied (EACCES)",
    },
  }));
  assertEquals(
    host.qemus.map(({ program, version, major }) => [program, version, major]),
    [["qemu-system-x86_64", "10.0.2", 10]],
  );
  assert(host.qemus[0]!.devices.has("usb-redir"));
  const text = hostReport(host).join("\n");
  assertStringIncludes(text, "Linux 6.12.3 (x86_64)");
  assertStringIncludes(text, "/dev/gpiochip0: can be opened");
  assertStringIncludes(text, "permission denied (EACCES)");
  assert(/vhost-user +yes/.test(text), text);
  assert(
    /qemu-pins, device=pl061 +no: no qemu-system-aarch64/.test(text),
    text,
  );
  assert(
    /kernel-chip +no: no gpio-aggregator/.test(text),
  );
  assert(
    /kernel-chip, interface=usb +no: no vhci-hcd/.test(text),
    text,
  );
});

Deno.test("the report says whether the user is root", async () => {
  const report = async (isRoot: boolean) =>
    hostReport(await examineHost(access({ isRoot }))).join("\n");
  assert(/^ {2}user +root$/m.test(await report(true)));
  assert(/^ {2}user +not root, which kernel/m.test(await report(false)));
});

Deno.test("an exposure that this host lacks is named with what to do", async () => {
  const reasons = async (given: Given, arch?: "amd64" | "arm64") => {
    const host = await examineHost({
      ...access(given),
      whyNoKernelChip: () => undefined,
      findUsbChipProblem: () => undefined,
    });
    return EXPOSURES.map((exposure) => exposure.whyNot(host, arch));
  };
  // No QEMU, one of the other architecture, and one without devices.
  const bare = qemu("6.2.0", "");
  for (
    const [programs, arch, count] of [
      [{}, undefined, 7],
      [{}, "arm64", 7],
      [{ "qemu-system-x86_64": qemu("10.0.2") }, "arm64", 7],
      [{ "qemu-system-aarch64": bare }, undefined, 6],
      [{ "qemu-system-aarch64": bare }, "arm64", 6],
    ] as const
  ) {
    const found = (await reasons({ programs }, arch)).filter((reason) =>
      reason !== undefined
    );
    assertEquals(found.length, count);
    for (const reason of found) {
      assert(/: (install|run gpioagg with sudo)/.test(reason), reason);
    }
  }
  assertEquals(
    (await reasons({ isRoot: true })).map((reason) => reason?.split(": ")[0]),
    [
      ...Array.from({ length: 3 }, () => "no QEMU found"),
      "no qemu-system-aarch64 found",
      "no QEMU found",
      undefined,
      undefined,
    ],
  );
});

Deno.test("examineHost() takes a program that answers nonsense for none", async () => {
  const host = await examineHost(
    access({ programs: { mine: { version: "I am no QEMU" } } }),
    ["mine", "absent"],
  );
  assertEquals(host.qemus, []);
  const text = hostReport(host).join("\n");
  assertStringIncludes(text, "none found");
  assertStringIncludes(text, "simulated lines");
});

Deno.test("the report contains no control characters of a program", async () => {
  const host = await examineHost(access({
    files: { "/proc/sys/kernel/osrelease": "6.1\x1b[2J" },
    chips: { "/dev/gpiochip0": "bad\nline\x9b" },
  }));
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(hostReport(host).join("\n")));
});

Deno.test("recipes follow the version of QEMU", async () => {
  const report = async (version: string) => {
    const host = await examineHost(
      access({ programs: { "qemu-system-x86_64": qemu(version) } }),
    );
    return guestReport(
      host,
      GUESTS.filter(({ name, arch }) => name === "fedora" && arch === "amd64"),
    ).join("\n");
  };
  const old = await report("7.2.22");
  assertStringIncludes(
    old,
    "path=/run/press.sock,id=gpio0,reconnect=1 -device vhost-user-gpio-pci",
  );
  const nine = await report("9.2.0");
  assertStringIncludes(nine, "id=gpio0 -device vhost-user-gpio-pci");
  assertStringIncludes(nine, "id=gpio0,reconnect-ms=500 -device usb-redir");
  const ten = await report("10.0");
  assertStringIncludes(ten, "id=gpio0,reconnect-ms=500 -device usb-redir");
});

Deno.test("a guest without GPIO is told what to do", async () => {
  const host = await examineHost(
    access({ programs: { "qemu-system-x86_64": qemu("10.0.2") } }),
  );
  const cloud = GUESTS.filter((guest) =>
    guest.name === "debian-13-cloud" && guest.arch === "amd64"
  );
  const text = guestReport(host, cloud).join("\n");
  assertStringIncludes(text, "no exposure works");
  assertStringIncludes(text, "linux-image-amd64");
});

Deno.test("an exposure that only this host lacks is named, without a recipe", async () => {
  const host = await examineHost(access({}));
  const [debian] = GUESTS.filter((guest) => guest.name === "debian-13");
  const text = guestReport(host, [debian!]).join("\n");
  assertStringIncludes(text, "but not from this host: no QEMU found");
  assert(!text.includes("libvirt:"), text);
});

Deno.test("a recipe is for a QEMU of the guest's architecture that has the device", async () => {
  const card = DEVICE_HELP + 'name "vfio-user-pci", bus PCI\n';
  const host = await examineHost(
    access({
      programs: {
        "/old/qemu-system-x86_64": qemu("7.2.0"),
        "/new/qemu-system-x86_64": qemu("11.1.3", card),
      },
    }),
    ["/old/qemu-system-x86_64", "/new/qemu-system-x86_64"],
  );
  const text = (arch: string) =>
    guestReport(
      host,
      GUESTS.filter((guest) =>
        guest.name === "debian-13" && guest.arch === arch
      ),
    ).join("\n");
  assertStringIncludes(
    text("amd64"),
    "/old/qemu-system-x86_64 … -device qemu-",
  );
  assertStringIncludes(text("amd64"), "/new/qemu-system-x86_64 … -device '{");
  const arm = text("arm64");
  assertStringIncludes(
    arm,
    "hid-cp2112, but not from this host: no qemu-system-aarch64 found",
  );
  assert(!arm.includes("libvirt:"), arm);
});

Deno.test("a program of another name has guests of the host's architecture", async () => {
  const host = await examineHost(
    access({ programs: { "/opt/vm": qemu("9.1.0") } }),
    ["/opt/vm"],
  );
  const text = guestReport(
    host,
    GUESTS.filter(({ name }) => name === "debian-13"),
  ).join("\n");
  // Before 9.2.
  assertStringIncludes(text, "/opt/vm … -device qemu-xhci -chardev");
  assertStringIncludes(text, "reconnect=1 -device usb-redir");
  assertStringIncludes(text, "no qemu-system-aarch64 found");
});

Deno.test("libvirt's lines say where in a domain they belong", async () => {
  const devices = DEVICE_HELP + 'name "vfio-user-pci", bus PCI\n';
  const host = await examineHost(access({
    programs: {
      "qemu-system-x86_64": qemu("11.1.3", devices),
      "qemu-system-aarch64": qemu("10.0.2"),
    },
  }));
  for (const { name, driver, recipe } of EXPOSURES) {
    if (driver === undefined) continue;
    const [place, ...elements] = recipe(host, "amd64").libvirt!;
    const isDevice = elements.some((line) =>
      /^<(controll|redirdev)/.test(line)
    );
    // An element of QEMU's namespace needs it declared.
    assertStringIncludes(
      place!,
      isDevice ? "<!-- in <devices>" : "<!-- in <domain xmlns:qemu='http",
      name,
    );
  }
});

Deno.test("every driver of the table belongs to an exposure", () => {
  for (const guest of GUESTS) {
    const { known, unknown } = exposuresFor(guest);
    const drivers = new Set(known.map(({ driver }) => driver));
    assertEquals(
      [...drivers].toSorted(),
      [...guest.drivers].toSorted(),
      guest.name,
    );
    assert(
      !unknown.some(({ driver }) => drivers.has(driver)),
      guest.name,
    );
    assert(guest.drivers.length > 0 || guest.note !== undefined, guest.name);
  }
  assert(EXPOSURES.some(({ driver }) => driver === undefined));
});
