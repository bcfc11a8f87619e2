import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { fillPlaceholders, type VmSockets } from "./vmm_arguments.ts";

const ONE = { sockets: [{ name: "plc", path: "/run/a,b.sock" }], pins: [] };
const TWO = {
  sockets: [...ONE.sockets, { name: "lamps", path: "/run/c.sock" }],
  pins: [],
};

Deno.test("fillPlaceholders() puts the socket in anywhere", () => {
  assertEquals(
    fillPlaceholders(["vmm", "--gpio=x{socket}.y", "{other}"], ONE),
    ["vmm", "--gpio=x/run/a,b.sock.y", "{other}"],
  );
  assertEquals(
    fillPlaceholders(["{socket:lamps}", "{socket:plc}"], TWO),
    ["/run/c.sock", "/run/a,b.sock"],
  );
});

Deno.test("fillPlaceholders() lets no path set anything else of a VMM", () => {
  const fill = (path: string, arg: string) =>
    fillPlaceholders([arg], { sockets: [{ name: "a", path }], pins: [] });
  for (
    const [path, arg, vmm] of [
      ["/run/a,id=b.sock", "socket,path={socket},id=c", "a VMM"],
      ["/run/a,id=b.sock", "{cloud-hypervisor}", "Cloud Hypervisor"],
      ['/run/"a.sock', "{cloud-hypervisor}", "Cloud Hypervisor"],
      ["/run/a.sock:2", "{uml}", "User-Mode Linux"],
      ["/run/a init=/run/b", "{uml}", "User-Mode Linux"],
      ["/run/a\ninit=/run/b", "{uml}", "User-Mode Linux"],
    ] as const
  ) {
    assertThrows(() => fill(path, arg), ConfigError, vmm, path);
  }
  assertEquals(fill("/run/a.sock", "socket,path={socket},id=c"), [
    "socket,path=/run/a.sock,id=c",
  ]);
});

Deno.test("fillPlaceholders() makes QEMU share as much memory as -m says", () => {
  const objects = (...args: string[]) =>
    fillPlaceholders(["qemu", ...args, "{qemu}"], ONE).filter((arg) =>
      arg.startsWith("memory-backend")
    );
  const memory = (size: string) => [
    `memory-backend-memfd,id=gpioagg-memory,size=${size},share=on`,
  ];
  assertEquals(objects(), memory("128M"));
  assertEquals(objects("-m", "512"), memory("512M"));
  assertEquals(objects("-m", "2G"), memory("2G"));
  assertEquals(objects("-m", "size=1g,slots=2"), memory("1g"));
  const own = "memory-backend-file,id=m,size=1G,share=on,mem-path=/dev/shm";
  assertEquals(objects("-object", own), [own]);
  assertThrows(() => objects("-m", "lots"), ConfigError, "-m lots");
});

Deno.test("fillPlaceholders() gives QEMU a device for each socket", () => {
  const args = fillPlaceholders(["{qemu}"], TWO);
  assertEquals(args.slice(4), [
    "-chardev",
    "socket,path=/run/a,,b.sock,id=gpioagg0",
    "-device",
    "vhost-user-gpio-pci,chardev=gpioagg0",
    "-chardev",
    "socket,path=/run/c.sock,id=gpioagg1",
    "-device",
    "vhost-user-gpio-pci,chardev=gpioagg1",
  ]);
});

Deno.test("fillPlaceholders() knows what others want", () => {
  assertEquals(fillPlaceholders(["{uml}"], TWO), [
    "virtio_uml.device=/run/a,b.sock:41",
    "virtio_uml.device=/run/c.sock:41",
  ]);
  assertEquals(
    fillPlaceholders(["{cloud-hypervisor}"], {
      sockets: [TWO.sockets[1]!],
      pins: [],
    }),
    [
      "--generic-vhost-user",
      "socket=/run/c.sock,device_type=gpio,queue_sizes=[256,256]",
    ],
  );
});

for (const arg of ["{crosvm}", "{kvmtool}", "{socket}", "{socket:no}"]) {
  Deno.test(`fillPlaceholders() refuses ${arg} where it cannot be`, () => {
    assertThrows(() => fillPlaceholders([arg], TWO), ConfigError, arg);
  });
}

Deno.test("fillPlaceholders() does not send users of kvmtool to what it cannot open", () => {
  const { message } = assertThrows(
    () => fillPlaceholders(["{kvmtool}"], ONE),
    ConfigError,
    "no GPIO device",
  );
  assert(!message.includes("gpioagg kernel"), message);
});

Deno.test("fillPlaceholders() says when there is nothing to put in, or too much", () => {
  const pins = [{ qtest: "/q", qmp: "/m" }];
  for (
    const [arg, places, words] of [
      ["{qemu}", { sockets: [], pins }, "no vhost-user aggregator"],
      ["{socket}", { sockets: [], pins }, "no vhost-user aggregator"],
      ["{qemu-pins}", ONE, "there is no --qemu-pins aggregator"],
      [
        "{qemu-pins}",
        { sockets: [], pins: [...pins, ...pins] },
        "the pins of one controller",
      ],
    ] as const
  ) {
    assertThrows(() => fillPlaceholders([arg], places), ConfigError, words);
  }
});

Deno.test("fillPlaceholders() wants private sockets of pins put in", () => {
  const places = { ...ONE, pins: [{ qtest: "/q", qmp: "/m" }] };
  assertThrows(
    () => fillPlaceholders(["{qemu}"], { ...places, arePinsPrivate: true }),
    ConfigError,
    "is not given the sockets of --qemu-pins",
  );
  // Who chose the paths can have told QEMU by a script.
  assertEquals(fillPlaceholders(["vmm"], places), ["vmm"]);
});

Deno.test("fillPlaceholders() makes QEMU open the sockets of its pins", () => {
  const args = fillPlaceholders(["qemu", "{qemu-pins}"], {
    sockets: [],
    pins: [{ qtest: "/q", qmp: "/m" }],
  });
  assertEquals(args.filter((arg) => arg.startsWith("unix:")), [
    "unix:/q,server=on,wait=off",
    "unix:/m,server=on,wait=off",
  ]);
});

Deno.test("fillPlaceholders() gives QEMU adapters on USB, and a controller for them", () => {
  const places: VmSockets = {
    sockets: [],
    pins: [],
    adapters: [
      { path: "/run/a,b", device: "ljca", connects: true },
      { path: "/run/c", device: "cp2112" },
    ],
    reconnect: ",reconnect=1",
  };
  const controller = ["-device", "qemu-xhci,id=gpioagg-xhci,p2=15"];
  const adapters = (bus = "") => [
    ...["-chardev", "socket,id=gpioagg-usb0,path=/run/a,,b,server=on,wait=off"],
    ...["-device", `usb-redir,chardev=gpioagg-usb0${bus}`],
    ...["-chardev", "socket,id=gpioagg-usb1,path=/run/c,reconnect=1"],
    ...["-device", `usb-redir,chardev=gpioagg-usb1${bus}`],
  ];
  const filled = (...own: string[]) =>
    fillPlaceholders([...own, "{usbredir}"], places).slice(own.length);
  // Its own controller alone can have them: an EHCI refuses their speed.
  const both = [...controller, ...adapters(",bus=gpioagg-xhci.0")];
  assertEquals(filled("qemu"), both);
  assertEquals(filled("-device", "usb-ehci"), both);
  assertEquals(filled("-drive", "file=/usb.img"), both);
  assertEquals(filled("-drive", "file=/images/qemu-xhci.img"), both);
  assertEquals(filled("-serial", "file:/log/usb-ohci,usb=on"), both);
  assertEquals(filled("-M", "pc,usb=off"), both);
  for (
    const own of [
      ["-usb"],
      ["-device", "qemu-xhci"],
      ["-device", "nec-usb-xhci,id=x"],
      ["-device", "piix3-usb-uhci"],
      ["-device", "ich9-usb-uhci1,masterbus=e.0"],
      ["-M", "pc,usb=on"],
      ["-machine", "usb=on"],
      ["--device", '{"driver":"qemu-xhci"}'],
    ]
  ) assertEquals(filled(...own), adapters(), own.join(" "));
  assertThrows(
    () => fillPlaceholders(["{usbredir}"], { sockets: [], pins: [] }),
    ConfigError,
    "there is no GPIO adapter on USB",
  );
});

Deno.test("fillPlaceholders() gives a guest one LJCA", () => {
  const filled = (...devices: ("ljca" | "cp2112")[]) =>
    fillPlaceholders(["{usbredir}"], {
      sockets: [],
      pins: [],
      adapters: devices.map((device, i) => ({ path: `/run/${i}`, device })),
    }).filter((arg) => arg.startsWith("usb-redir")).length;
  assertEquals(filled("ljca", "cp2112", "cp2112"), 3);
  assertThrows(
    () => filled("ljca", "cp2112", "ljca"),
    ConfigError,
    "a guest has one LJCA, but there are several",
  );
});

Deno.test("fillPlaceholders() wants private sockets of adapters put in", () => {
  const places: VmSockets = {
    sockets: [],
    pins: [],
    adapters: [{ path: "/run/usb0.sock", device: "cp2112", connects: true }],
  };
  assertThrows(
    () => fillPlaceholders(["vmm"], { ...places, areAdaptersPrivate: true }),
    ConfigError,
    "is not given the sockets of --usbredir",
  );
  assertEquals(fillPlaceholders(["vmm"], places), ["vmm"]);
});

Deno.test("fillPlaceholders() gives QEMU a PCI card for each --vfio-user", () => {
  const places = {
    sockets: [],
    cards: [{ name: "a", path: "/run/a,b.sock" }],
    pins: [],
  };
  assertEquals(fillPlaceholders(["qemu", "{vfio-user}"], places), [
    "qemu",
    "-device",
    '{"driver":"vfio-user-pci","id":"gpioagg-card0",' +
    '"socket":{"type":"unix","path":"/run/a,b.sock"}}',
  ]);
  assertThrows(
    () => fillPlaceholders(["qemu", "{vfio-user}"], { ...places, cards: [] }),
    ConfigError,
    "there is no PCI card",
  );
});
