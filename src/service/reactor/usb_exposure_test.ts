/** An aggregator as USB adapters, with everything but a QEMU. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { receiveBytes, send } from "../../../ffi/socket_message.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { all, HostRig } from "../../../tests/doubles/host_rig.ts";
import { T, UsbredirPeer } from "../../../tests/doubles/usbredir_peer.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";

/** 20 lines as three adapters. */
function cp2112Rig(): HostRig & { path: string } {
  const rig = new HostRig();
  const path = `${rig.directory}/usb`;
  rig.add({
    name: "press",
    lines: parseLineSpec("sim/20"),
    usbredir: { socketPath: path, device: "cp2112" },
  });
  return Object.assign(rig, { path });
}

Deno.test("all adapters of an aggregator are named, with their sockets", () => {
  using rig = new HostRig();
  const said = (
    name: string,
    lines: string,
    device: "ljca" | "cp2112",
    connects?: true,
  ) => {
    const socketPath = `${rig.directory}/${name}`;
    rig.add({
      name,
      lines: parseLineSpec(lines),
      usbredir: { socketPath, device, ...connects && { connects } },
    });
    const [answer] = [...rig.host.describe(name)];
    return answer!.aggregators![0]!.presentation
      .replaceAll(socketPath, "PATH");
  };
  assertEquals(said("a", "sim/20", "ljca"), "as a USB adapter (LJCA) at PATH");
  assertEquals(
    said("b", "sim/20", "cp2112", true),
    "as 3 USB adapters (CP2112) in the QEMU behind PATH, PATH.1, PATH.2",
  );
  assertEquals(
    said("c", "sim/64", "cp2112"),
    "as 8 USB adapters (CP2112) at PATH, PATH.1, … PATH.7",
  );
});

Deno.test("a line of the second adapter is reported under its own number", () => {
  using rig = cp2112Rig();
  all(rig.host.observe(true));
  all(rig.host.pull("press", [["sim11", 1]]));
  rig.pass(50);
  assertEquals(
    rig.changes.flatMap(({ lines }) =>
      lines.map(({ lineNumber }) => lineNumber)
    ),
    [11],
  );
});

Deno.test("the counters of all adapters are those of the aggregator", () => {
  using rig = cp2112Rig();
  const peer = new UsbredirPeer();
  using fd = connectUnix(`${rig.path}.1`);
  const read = (id: number) => peer.control(id, 0xa1, 1, 0x0303, 0, 2);
  const sendAll = (...all: Uint8Array[]) => {
    for (const bytes of all) assertEquals(send(fd.fd, bytes), bytes.length);
    rig.turn();
  };
  sendAll(peer.hello(), peer.packet(T.setConfiguration, 1, [1]));
  // Unknown, and two reads that are polls.
  sendAll(peer.control(2, 0xa1, 1, 0x0377, 0, 2), read(3), read(4));
  for (let i = 1; i <= 99; i++) {
    all(rig.host.pull("press", [["sim11", i % 2 === 0 ? 0 : 1]]));
    rig.turn();
  }
  const { usb } = all(rig.host.count())[0]!.counts![0]!.guests!.exposure;
  assertEquals([usb?.invalid, usb?.overflows], [1, 0]);
  assertEquals(
    [...usb!.lostEdges].flatMap((count, line) => count > 0 ? [line] : []),
    [11],
  );
});

Deno.test("a host's driver is answered in time on a slow machine, beside others", () => {
  // Each unit of work takes longer than most requests of others may.
  using rig = new HostRig(0.5);
  const hosts = ["press", "drill"].map((name) => {
    const socketPath = `${rig.directory}/${name}`;
    rig.add({
      name,
      lines: parseLineSpec("sim/8"),
      usbredir: { socketPath, device: "ljca" },
    });
    return { peer: new UsbredirPeer(), fd: connectUnix(socketPath) };
  });
  using stack = new DisposableStack();
  for (const { fd, peer } of hosts) {
    stack.use(fd);
    assert(send(fd.fd, peer.hello()) > 0);
    assert(send(fd.fd, peer.packet(T.setConfiguration, 1, [1])) > 0);
  }
  rig.turn();
  const answers = new Uint8Array(64 * 1024);
  let longest = 0;
  for (let i = 0; i < 400; i++) {
    const { fd, peer } = hosts[i % 2]!;
    while (receiveBytes(fd.fd, answers) > 0);
    assert(send(fd.fd, peer.bulk(5 + i, 1, [3, 2, 5, 3, 1, 0, 0])) > 0);
    const since = rig.now;
    while (receiveBytes(fd.fd, answers) < 0) rig.loop.turn(0);
    longest = Math.max(longest, rig.now - since);
  }
  // The driver of an LJCA gives a transfer up after 200 ms; it waits for two.
  assert(longest < 100, `${longest} ms`);
});

for (const device of ["ljca", "cp2112"] as const) {
  Deno.test(`${device}: a guest without its driver is told of, once`, () => {
    using rig = new HostRig();
    const socketPath = `${rig.directory}/usb`;
    rig.add({
      name: "press",
      lines: parseLineSpec("sim/8"),
      usbredir: { socketPath, device },
    });
    const peer = new UsbredirPeer();
    using fd = connectUnix(socketPath);
    const sendAll = (...all: Uint8Array[]) => {
      for (const bytes of all) assertEquals(send(fd.fd, bytes), bytes.length);
      rig.turn();
    };
    const faults = () =>
      rig.events.filter(({ event }) => event === "fault")
        .map(({ detail = "" }) => detail);
    sendAll(peer.hello());
    const configured = peer.packet(T.setConfiguration, 1, [1]);
    // What every guest does: it configures the device, and its HID core looks.
    const core = peer.control(2, 0x21, 10, 0, device === "ljca" ? 1 : 0, 0);
    sendAll(configured, core);
    rig.pass(29_000);
    assertEquals(faults(), []);
    rig.pass(60_000);
    assertEquals(faults().length, 1);
    assertStringIncludes(
      faults()[0]!,
      device === "ljca" ? "from Linux 6.7 on" : "needs hid-cp2112",
    );
    // One that reboots in time, and then one with a driver.
    sendAll(peer.packet(T.reset, 3, []), configured);
    rig.pass(20_000);
    sendAll(peer.packet(T.reset, 4, []));
    rig.pass(60_000);
    const asked = device === "ljca"
      ? peer.bulk(5, 1, [1, 4, 5, 0])
      : peer.control(5, 0xa1, 1, 0x0305, 0, 3);
    sendAll(configured, asked);
    rig.pass(60_000);
    assertEquals(faults().length, 1);
  });
}
