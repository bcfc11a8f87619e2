import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../config/config_error.ts";
import { fillPlaceholders } from "./vmm_arguments.ts";

const ONE = { sockets: [{ name: "plc", path: "/run/a,b.sock" }], pins: [] };
const TWO = {
  sockets: [...ONE.sockets, { name: "lamps", path: "/run/c.sock" }],
  pins: [],
};

Deno.test("fillPlaceholders() puts the socket in anywhere", () => {
  assertEquals(
    fillPlaceholders(["vmm", "--gpio=x{socket},y", "{other}"], ONE),
    ["vmm", "--gpio=x/run/a,b.sock,y", "{other}"],
  );
  assertEquals(
    fillPlaceholders(["{socket:lamps}", "{socket:plc}"], TWO),
    ["/run/c.sock", "/run/a,b.sock"],
  );
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
      ["{qemu-pins}", ONE, "there are no pins"],
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
    "is not told of the sockets of --qemu-pins",
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
