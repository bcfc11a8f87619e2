/**
 * The orders in which real frontends say the same things, message by message:
 * opening, start, use, pause or reboot, use, end.
 */
import { assertEquals } from "@std/assert";
import { receive } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import {
  ALL_PROTOCOL,
  F,
  GUEST_FEATURES,
  join,
  NEED_REPLY,
  P,
  PLAIN,
  R,
  u32,
  u64,
} from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

const BOTH_EDGES = 3;
const GET_VALUE = 4;
const RINGS = [0, 1];

/** Reads what is there; how many bytes that was. */
function readAll(fd: number, target: Uint8Array): number {
  return Math.max(0, receive(fd, target, []));
}

/** Says things as one frontend does. */
class Frontend {
  readonly rig = new VhostRig();
  /** Set if this frontend asks for acknowledgements of everything. */
  acknowledges = false;

  say(
    request: number,
    payload?: Uint8Array,
    fds: readonly number[] = [],
    needReply = this.acknowledges,
  ): void {
    const { peer } = this.rig;
    if (!needReply) {
      peer.send(request, payload, { flags: PLAIN, fds });
      this.rig.turn();
      assertEquals(peer.read(), undefined, `request ${request} was answered`);
      return;
    }
    const answer = this.rig.ask(request, payload, { flags: NEED_REPLY, fds });
    assertEquals([answer.request, answer.flags], [request, 5]);
    assertEquals(answer.payload, u64(0), `request ${request} was refused`);
  }

  ask(request: number, payload?: Uint8Array): Uint8Array {
    // UML and others set need-reply on these, too: it must change nothing.
    return this.rig.ask(request, payload, {
      flags: this.acknowledges ? NEED_REPLY : PLAIN,
    }).payload;
  }

  num = (i: number) => this.say(R.SET_VRING_NUM, u32(i, 64));
  base = (i: number, base = 0) => this.say(R.SET_VRING_BASE, u32(i, base));
  addr = (i: number) => this.say(R.SET_VRING_ADDR, this.rig.guest.vringAddr(i));
  kick = (i: number) =>
    this.say(R.SET_VRING_KICK, u64(i), [this.rig.guest.kicks[i]!.fd]);
  call = (i: number) =>
    this.say(R.SET_VRING_CALL, u64(i), [this.rig.guest.calls[i]!.fd]);
  enable = (i: number, on = 1) => this.say(R.SET_VRING_ENABLE, u32(i, on));
  memory = (needReply = this.acknowledges) =>
    this.say(
      R.SET_MEM_TABLE,
      this.rig.guest.memTable(),
      [this.rig.guest.file.fd],
      needReply,
    );
  features = (features: bigint) => this.say(R.SET_FEATURES, u64(features));
  protocol = (features: bigint) =>
    this.say(R.SET_PROTOCOL_FEATURES, u64(features));
  config = (offset: number, size: number) =>
    this.ask(R.GET_CONFIG, join(u32(offset, size, 0), new Uint8Array(size)));

  /** GET_VRING_BASE; the base that it tells. */
  stop(i: number): number {
    const payload = this.ask(R.GET_VRING_BASE, u32(i, 0));
    return new DataView(payload.buffer).getUint32(4, true);
  }

  /** A guest that uses requests, and interrupts where they are negotiated. */
  use(interrupts = true): void {
    const { rig } = this;
    const level = 1 - rig.ports[0]!.level;
    if (interrupts) rig.armLine(0, BOTH_EDGES);
    rig.ports[0]!.pull(level);
    if (interrupts) assertEquals(rig.guest.interrupts(), [[0, 1]]);
    assertEquals(rig.gpio(GET_VALUE, 0), [0, level]);
    // Left armed for what comes next.
    if (interrupts) {
      rig.guest.arm(0);
      rig.guest.kick(1);
      rig.turn();
    }
  }

  /** The guest goes on after a pause: what was armed still is. */
  goOn(): void {
    const { rig } = this;
    assertEquals(rig.device.resets, 0);
    rig.ports[0]!.pull(1 - rig.ports[0]!.level);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
  }

  /** The frontend goes; nothing of it stays. */
  end(): void {
    this.rig.hangUp();
    assertEquals(this.rig.leftovers(), { fds: 0, mappings: 0 });
    assertEquals(
      this.rig.log.filter((line) => line.startsWith("fault")),
      [],
    );
    this.rig[Symbol.dispose]();
  }
}

/** hw/virtio/vhost.c: a dummy call at once, the real one after the kick. */
function qemuStart(qemu: Frontend, features: bigint, bases = [0, 0]): void {
  qemu.features(features);
  qemu.memory(true);
  for (const i of RINGS) {
    qemu.num(i);
    qemu.base(i, bases[i]);
    qemu.addr(i);
    qemu.kick(i);
    qemu.call(i);
  }
}

Deno.test("QEMU 7.2: no interrupts, config once, rings enabled last", () => {
  const qemu = new Frontend();
  const features = GUEST_FEATURES & ~F.IRQ;
  qemu.ask(R.GET_FEATURES);
  qemu.ask(R.GET_PROTOCOL_FEATURES);
  qemu.protocol(P.MQ | P.REPLY_ACK | P.CONFIG);
  qemu.ask(R.GET_QUEUE_NUM);
  qemu.say(R.SET_OWNER);
  qemu.ask(R.GET_FEATURES);
  for (const i of RINGS) qemu.call(i);
  qemu.config(0, 8);
  qemuStart(qemu, features);
  for (const i of RINGS) qemu.enable(i);
  qemu.use(false);
  // The guest masks and unmasks its vector.
  for (const i of RINGS) qemu.call(i);
  qemu.use(false);
  // Paused.
  for (const i of RINGS) qemu.enable(i, 0);
  let bases = RINGS.map((i) => qemu.stop(i));
  assertEquals(bases, [2, 0]);
  qemuStart(qemu, features, bases);
  for (const i of RINGS) qemu.enable(i);
  qemu.use(false);
  assertEquals(qemu.rig.device.resets, 0);
  // Rebooted.
  for (const i of RINGS) qemu.enable(i, 0);
  bases = RINGS.map((i) => qemu.stop(i));
  qemu.rig.guest.boot();
  qemuStart(qemu, features);
  for (const i of RINGS) qemu.enable(i);
  qemu.use(false);
  assertEquals(qemu.rig.device.resets, 1);
  qemu.end();
});

Deno.test("QEMU 9 and newer: interrupts, memory by slots, status, config at every read", () => {
  const qemu = new Frontend();
  const { rig } = qemu;
  const protocol = P.MQ | P.REPLY_ACK | P.BACKEND_REQ | P.CONFIG |
    P.RESET_DEVICE | P.CONFIGURE_MEM_SLOTS | P.STATUS | P.INFLIGHT_SHMFD;
  qemu.ask(R.GET_FEATURES);
  qemu.ask(R.GET_PROTOCOL_FEATURES);
  qemu.protocol(protocol);
  qemu.ask(R.GET_QUEUE_NUM);
  qemu.ask(R.GET_MAX_MEM_SLOTS);
  using channel = rig.newChannel();
  qemu.say(R.SET_BACKEND_REQ_FD, undefined, [channel.theirs.fd], true);
  qemu.say(R.SET_OWNER);
  qemu.ask(R.GET_FEATURES);
  for (const i of RINGS) qemu.call(i);
  const region = () => join(u64(0), rig.guest.region());
  const addStatus = (bits: number) => {
    const now = qemu.ask(R.GET_STATUS)[0]!;
    qemu.say(R.SET_STATUS, u64(now | bits));
  };
  const start = (bases: number[]) => {
    qemu.features(GUEST_FEATURES);
    addStatus(8);
    for (const i of RINGS) {
      qemu.num(i);
      qemu.base(i, bases[i]);
      qemu.say(R.SET_VRING_ADDR, rig.guest.vringAddr(i), [], true);
      qemu.kick(i);
      qemu.call(i);
    }
    for (const i of RINGS) qemu.enable(i);
    addStatus(7);
  };
  const stop = () => {
    for (const i of RINGS) qemu.enable(i, 0);
    const bases = RINGS.map((i) => qemu.stop(i));
    // Where QEMU says this, it does for a pause just as for a reset.
    qemu.say(R.SET_STATUS, u64(0));
    return bases;
  };
  // Byte by byte, as a guest reads.
  for (let i = 0; i < 8; i++) assertEquals(qemu.config(i, 1).length, 13);
  qemu.say(R.ADD_MEM_REG, region(), [rig.guest.file.fd], true);
  start([0, 0]);
  qemu.use();
  assertEquals(qemu.ask(R.GET_STATUS)[0], 15);
  // `stop` and `cont`.
  start(stop());
  qemu.goOn();
  qemu.use();
  // A DIMM goes and comes while the guest runs.
  qemu.say(R.REM_MEM_REG, region(), [], true);
  qemu.say(R.ADD_MEM_REG, region(), [rig.guest.file.fd], true);
  qemu.goOn();
  // The guest reboots; QEMU 10.0 does not say so (seen), others may.
  stop();
  rig.guest.boot();
  start([0, 0]);
  qemu.use();
  assertEquals(rig.device.resets, 1);
  stop();
  qemu.say(R.RESET_DEVICE);
  assertEquals(rig.device.resets, 2);
  rig.guest.boot();
  start([0, 0]);
  qemu.use();
  assertEquals(rig.device.resets, 2);
  qemu.end();
});

Deno.test("crosvm: features only when the guest is ready, ADDR before BASE, CALL before KICK", () => {
  const crosvm = new Frontend();
  crosvm.say(R.SET_OWNER);
  crosvm.ask(R.GET_FEATURES);
  crosvm.ask(R.GET_PROTOCOL_FEATURES);
  crosvm.protocol(P.CONFIG | P.MQ | P.BACKEND_REQ | P.REPLY_ACK);
  crosvm.acknowledges = true;
  crosvm.ask(R.GET_QUEUE_NUM);
  crosvm.config(0, 8);
  const start = (bases: number[]) => {
    crosvm.features(GUEST_FEATURES);
    crosvm.memory();
    for (const i of RINGS) {
      crosvm.num(i);
      crosvm.addr(i);
      crosvm.base(i, bases[i]);
      crosvm.call(i);
      crosvm.kick(i);
      crosvm.enable(i);
    }
  };
  const stop = () =>
    RINGS.map((i) => {
      crosvm.enable(i, 0);
      return crosvm.stop(i);
    });
  start([0, 0]);
  crosvm.use();
  // Put to sleep for a snapshot, and woken up.
  start(stop());
  crosvm.goOn();
  crosvm.use();
  stop();
  crosvm.rig.guest.boot();
  start([0, 0]);
  crosvm.use();
  assertEquals(crosvm.rig.device.resets, 1);
  crosvm.end();
});

Deno.test("Cloud Hypervisor: all sizes first, in-flight region, no call for a polling driver", () => {
  const ch = new Frontend();
  const { rig } = ch;
  ch.say(R.SET_OWNER);
  ch.ask(R.GET_FEATURES);
  ch.ask(R.GET_PROTOCOL_FEATURES);
  ch.protocol(ALL_PROTOCOL & ~(P.STATUS | P.RESET_DEVICE));
  ch.acknowledges = true;
  ch.ask(R.GET_QUEUE_NUM);
  ch.ask(R.GET_MAX_MEM_SLOTS);
  using channel = rig.newChannel();
  const start = (bases: number[]) => {
    ch.features(GUEST_FEATURES);
    ch.memory();
    for (const i of RINGS) ch.num(i);
    const { payload, fds } = rig.ask(
      R.GET_INFLIGHT_FD,
      join(u64(0, 0), new Uint8Array(new Uint16Array([2, 64, 0, 0]).buffer)),
      { flags: NEED_REPLY },
    );
    assertEquals(fds.length, 1);
    ch.say(R.SET_INFLIGHT_FD, payload, [fds[0]!.fd]);
    fds[0]!.close();
    for (const i of RINGS) {
      ch.addr(i);
      ch.base(i, bases[i]);
      // Ring 0's driver polls at first.
      if (i !== 0) ch.call(i);
      ch.kick(i);
    }
    for (const i of RINGS) ch.enable(i);
    ch.say(R.SET_BACKEND_REQ_FD, undefined, [channel.theirs.fd]);
  };
  start([0, 0]);
  ch.use();
  assertEquals(rig.guest.wasCalled(0), false);
  ch.call(0);
  // vCPUs paused: rings are disabled and enabled, and nothing else.
  for (const i of RINGS) ch.enable(i, 0);
  for (const i of RINGS) ch.enable(i);
  ch.goOn();
  ch.use();
  // The driver is loaded again.
  for (const i of RINGS) ch.enable(i, 0);
  for (const i of RINGS) ch.stop(i);
  rig.guest.boot();
  start([0, 0]);
  ch.use();
  assertEquals(rig.device.resets, 1);
  ch.end();
});

Deno.test("UML: need-reply on everything, stream sockets for calls, a stop is a disable", () => {
  const uml = new Frontend();
  const { rig } = uml;
  uml.say(R.SET_OWNER);
  uml.ask(R.GET_FEATURES);
  uml.ask(R.GET_PROTOCOL_FEATURES);
  uml.acknowledges = true;
  uml.protocol(P.REPLY_ACK | P.BACKEND_REQ | P.CONFIG);
  const [ours, theirs] = socketPair();
  using _requests = ours;
  uml.say(R.SET_BACKEND_REQ_FD, undefined, [theirs.fd]);
  theirs.close();
  // Always from offset 0, with as many bytes as are needed to get there.
  for (const size of [2, 8]) {
    assertEquals(uml.config(0, size).length, 12 + size);
  }
  const start = () => {
    uml.features(GUEST_FEATURES);
    // One region in a struct with room for two.
    uml.say(
      R.SET_MEM_TABLE,
      join(rig.guest.memTable(), new Uint8Array(32)),
      [rig.guest.file.fd],
    );
    const calls = RINGS.map((i) => {
      const [ours, theirs] = socketPair();
      uml.say(R.SET_VRING_CALL, u64(i), [theirs.fd]);
      theirs.close();
      uml.num(i);
      uml.base(i);
      uml.addr(i);
      return ours;
    });
    for (const i of RINGS) {
      uml.kick(i);
      uml.enable(i);
    }
    return calls;
  };
  const stop = () => {
    for (const i of [1, 0]) uml.enable(i, 0);
    uml.ask(R.GET_FEATURES);
  };
  for (let boot = 0; boot < 3; boot++) {
    const calls = start();
    uml.use();
    const bytes = new Uint8Array(64);
    // Two answers, one interrupt: 8 bytes each, and nothing in between.
    assertEquals(readAll(calls[0]!.fd, bytes), 16);
    assertEquals(readAll(calls[1]!.fd, bytes), 8);
    assertEquals([...bytes.subarray(0, 8)], [1, 0, 0, 0, 0, 0, 0, 0]);
    for (const call of calls) call.close();
    assertEquals(rig.device.resets, boot);
    stop();
    rig.guest.boot();
  }
  uml.end();
});

Deno.test("libkrun: GET_FEATURES before SET_OWNER, one call for all rings, nothing acknowledged", () => {
  const krun = new Frontend();
  const { rig } = krun;
  krun.ask(R.GET_FEATURES);
  krun.say(R.SET_OWNER);
  krun.ask(R.GET_PROTOCOL_FEATURES);
  krun.protocol(P.CONFIG | P.MQ);
  krun.ask(R.GET_QUEUE_NUM);
  for (const [offset, size] of [[0, 2], [4, 4]] as const) {
    assertEquals(krun.config(offset, size).length, 12 + size);
  }
  for (let boot = 0; boot < 2; boot++) {
    krun.features(GUEST_FEATURES);
    krun.memory();
    for (const i of RINGS) {
      krun.num(i);
      krun.base(i);
      krun.addr(i);
      krun.kick(i);
      krun.say(R.SET_VRING_CALL, u64(i), [rig.guest.calls[0]!.fd]);
      krun.enable(i);
    }
    krun.use();
    assertEquals(rig.guest.wasCalled(0), true);
    assertEquals(rig.guest.wasCalled(1), false);
    assertEquals(rig.device.resets, boot);
    for (const i of RINGS) krun.enable(i, 0);
    rig.guest.boot();
  }
  krun.end();
});
