/**
 * Hostile peers of the service, in a process of their own: one kind after the
 * other, each for a moment, until standard input is closed.
 *
 * Usage: hostile_peer.ts TARGET_DIRECTORY SEED [KIND], where KIND is the number
 * of the only one to do.
 *
 * @module
 */
import { createEventFd } from "../../ffi/event_fd.ts";
import { O_NONBLOCK } from "../../ffi/files.ts";
import { libc } from "../../ffi/libc.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { OddFds } from "../doubles/odd_fds.ts";
import {
  ALL_PROTOCOL,
  encode,
  GUEST_FEATURES,
  join,
  R,
  u32,
  u64,
} from "../doubles/vhost_peer.ts";
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { SOCKETS_PER_TARGET, targetSocket } from "./plan.ts";

/** Duration of one kind. **Units**: milliseconds. */
const SPELL_MS = 700;
const ANSWER_MS = 100;
/** Connections that say nothing. */
const IDLE = 120;
const PAGE = 4096;
const TIB = 2 ** 40;
/** Messages that take descriptors, and SET_OWNER, which does not. */
const FD_REQUESTS = [
  R.SET_MEM_TABLE,
  R.SET_VRING_KICK,
  R.SET_VRING_CALL,
  R.SET_VRING_ERR,
  R.SET_BACKEND_REQ_FD,
  R.SET_INFLIGHT_FD,
  R.ADD_MEM_REG,
  R.SET_OWNER,
];
const F_GETFL = 3;
const F_SETFL = 4;
const FULL = new Uint8Array(8).fill(0xff).with(0, 0xfe);

/** One attacker with its target's sockets. */
class Attacker {
  readonly #directory: string;
  readonly #random: Random;
  #acts = 0;

  constructor(directory: string, random: Random) {
    this.#directory = directory;
    this.#random = random;
  }

  /** Acts of a peer; each call is one. */
  readonly kinds: readonly (() => void)[] = [
    () => this.#oddDescriptors(),
    () => this.#blockingCall(),
    () => this.#truncatedMemory(),
    () => this.#hugeRegions(),
    () => this.#idleConnections(),
    () => this.#longNames(),
    () => this.#hugeBody(),
    () => this.#strayDescriptors(),
    () => this.#manyStreams(),
  ];

  /** Acts so far. */
  get acts(): number {
    return this.#acts;
  }

  /** Does one thing again and again for a while. */
  spell(kind: () => void): void {
    const end = performance.now() + SPELL_MS;
    while (performance.now() < end) {
      this.#acts++;
      try {
        kind();
      } catch (error) {
        // To be refused, hung up on or kept waiting is what it deserves.
        if (!isExpected(error)) throw error;
      }
    }
  }

  get #socket(): string {
    const index = this.#random.below(SOCKETS_PER_TARGET);
    return `${this.#directory}/${targetSocket(index)}`;
  }

  #oddDescriptors(): void {
    const random = this.#random;
    using odd = new OddFds(this.#directory);
    using peer = connectUnix(this.#socket, { wait: false });
    const say = (
      request: number,
      payload: Uint8Array,
      fds: readonly number[] = [],
    ) => send(peer.fd, encode(request, payload), fds);
    say(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
    say(R.SET_FEATURES, u64(GUEST_FEATURES));
    for (let i = 0; i < 30; i++) {
      const { fd } = random.pick(odd.all);
      const request = random.pick(FD_REQUESTS);
      say(request, this.#payload(request), [fd]);
      if (random.oneIn(3)) say(R.SET_VRING_ENABLE, u32(random.below(2), 1));
    }
    answers(peer);
  }

  #payload(request: number): Uint8Array {
    const region = u64(0x4000_0000, 16 * PAGE, 0x7f00_0000_0000, 0);
    switch (request) {
      case R.SET_MEM_TABLE:
        return join(u32(1, 0), region);
      case R.ADD_MEM_REG:
        return join(u64(0), region);
      case R.SET_INFLIGHT_FD:
        return join(u64(PAGE, 0), u32(2 | 64 << 16, 0));
      case R.SET_OWNER:
        return new Uint8Array(0);
      default:
        return u64(this.#random.below(2));
    }
  }

  /** A call eventfd that is made to block, and full, under a running ring. */
  #blockingCall(): void {
    using frontend = Frontend.open(this.#socket, { timeoutMs: 300 });
    const driver = GpioDriver.attach(frontend);
    driver.getValue(0);
    const callFd = frontend.callPoint(0).backendFd;
    const { fcntl, write } = libc();
    // In this order: what is in it already must not make this one wait.
    write(callFd, FULL, FULL.length);
    fcntl(callFd, F_SETFL, fcntl(callFd, F_GETFL, 0) & ~O_NONBLOCK);
    frontend.rings[0]!.enableCalls();
    frontend.rings[0]!.makeAvailable(0);
    frontend.rings[0]!.publish();
    frontend.kick(0);
    pollFd(-1, 0, 30);
  }

  #truncatedMemory(): void {
    using frontend = Frontend.open(this.#socket, { timeoutMs: 300 });
    frontend.start();
    for (const region of frontend.memory.regions) {
      libc().ftruncate(region.fd.fd, 0n);
    }
    for (const index of [0, 1]) frontend.kick(index);
    answers(frontend.client.connection);
  }

  #hugeRegions(): void {
    using peer = connectUnix(this.#socket, { wait: false });
    using huge = createMemFd("huge", 8 * TIB);
    send(peer.fd, encode(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL)));
    for (let i = 0; i < 16; i++) {
      const region = u64(0, i * TIB, TIB, i * TIB, 0);
      send(peer.fd, encode(R.ADD_MEM_REG, region), [huge.fd]);
    }
    answers(peer);
  }

  /** Connections that say nothing, or half of something. */
  #idleConnections(): void {
    using stack = new DisposableStack();
    const names = ["api.sock", "hostile.sock", "hostile.sock.control"];
    for (let i = 0; i < IDLE; i++) {
      const path = `${this.#directory}/${names[i % names.length]}`;
      const fd = stack.use(connectUnix(path, { wait: false }));
      if (i % 2 === 0) send(fd.fd, encodeText("GET /v1/aggreg"));
    }
    pollFd(-1, 0, 200);
  }

  #longNames(): void {
    const name = "\x1b]0;%0a".repeat(1 + this.#random.below(1500));
    for (const method of ["GET", "DELETE", "PATCH"]) {
      this.#ask(
        `${method} /v1/aggregators/${encodeURIComponent(name)} ` +
          "HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
      );
    }
    const body = JSON.stringify({ name, lines: [name] });
    this.#ask(post(body));
  }

  #hugeBody(): void {
    const body = JSON.stringify({
      name: "x",
      lines: Array.from({ length: 30_000 }, (_, i) => `sim/${i}`),
    });
    this.#ask(post(body));
    this.#ask(
      "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
        "transfer-encoding: chunked\r\n\r\n" +
        `10000\r\n${"[".repeat(0x10000)}\r\n`.repeat(6),
    );
  }

  /** Descriptors for sockets that expect none. */
  #strayDescriptors(): void {
    using odd = new OddFds(this.#directory);
    for (const name of ["api.sock", "hostile.sock.control"]) {
      using peer = connectUnix(`${this.#directory}/${name}`, { wait: false });
      send(peer.fd, encodeText("{}\n"), odd.all.map(({ fd }) => fd));
      answers(peer);
    }
    using event = createEventFd();
    using peer = connectUnix(this.#socket, { wait: false });
    const many = new Array<number>(200).fill(event.fd);
    send(peer.fd, encode(R.GET_FEATURES, new Uint8Array(0)), many);
    answers(peer);
  }

  /** Event streams that are never read. */
  #manyStreams(): void {
    using stack = new DisposableStack();
    for (let i = 0; i < 50; i++) {
      const path = `${this.#directory}/api.sock`;
      const fd = stack.use(connectUnix(path, { wait: false }));
      send(fd.fd, encodeText("GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n"));
    }
    pollFd(-1, 0, 200);
  }

  #ask(text: string): void {
    using fd = connectUnix(`${this.#directory}/api.sock`, { wait: false });
    send(fd.fd, encodeText(text));
    answers(fd);
  }
}

/** Reads what comes for a moment. */
function answers({ fd }: Pick<OwnedFd, "fd">): void {
  const piece = new Uint8Array(PAGE);
  while (pollFd(fd, POLLIN, ANSWER_MS) !== 0) {
    if (receiveBytes(fd, piece) === 0) return;
  }
}

function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function post(body: string): string {
  return "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
    `content-length: ${encodeText(body).length}\r\n\r\n${body}`;
}

function isExpected(error: unknown): boolean {
  return isOsError(error) ||
    error instanceof Error &&
      ["ConnectionError", "WaitTimeoutError", "RuleViolation", "RequestRefused"]
        .includes(error.name);
}

if (import.meta.main) {
  const [directory = "", seed, only] = Deno.args;
  const random = new Random(Number(seed));
  const attacker = new Attacker(directory, random);
  let isOver = false;
  const input = (async () => {
    for await (const _ of Deno.stdin.readable) { /* nothing is sent */ }
    isOver = true;
  })();
  console.log("ready");
  for (let i = random.below(attacker.kinds.length); !isOver; i++) {
    attacker.spell(attacker.kinds[Number(only ?? i) % attacker.kinds.length]!);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await input;
  console.log(JSON.stringify({ event: "report", acts: attacker.acts }));
}
