/**
 * A fuzzer of the control API: requests that are nearly right, through the socket
 * of a real service. Methods, paths, headers, lengths, JSON bodies, pieces,
 * pipelines and half-closed connections may each be wrong.
 *
 * Whatever is sent, the answer is HTTP with a status that is not 500, the service
 * lives, its guest beside is served, and nothing is left.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { libc } from "../../ffi/libc.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { Direction, GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { Random } from "./ring_fuzz_random.ts";

/** Options of a run. */
export interface ApiFuzzOptions {
  /** Seed of the random choices. */
  seed: number;
  /** Connections, at most. */
  iterations: number;
  /** Ends the run after this many milliseconds; no limit unless given. */
  limitMs?: number;
}

/** Report of a run, so that a run that reaches nothing shows. */
export interface ApiFuzzReport {
  /** Connections that were made. */
  connections: number;
  /** Requests that were sent, whole or not. */
  requests: number;
  /** Answers by status. */
  statuses: Record<string, number>;
}

/** Time limit of the first answer, or of the hang-up in its place. */
const ANSWER_LIMIT_MS = 20_000;
/** Time after which a client that has no answer says that it sends no more. */
const PATIENCE_MS = 60;
/** Time limit of other answers, which need not come. */
const MORE_MS = 15;
const SHUT_WR = 1;

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "CONNECT",
  "TRACE",
  "get",
  "PRI",
  "G\0T",
  "",
  "X".repeat(5000),
];
const PATHS = [
  "/v1/aggregators",
  "/v1/aggregators/own",
  "/v1/aggregators/own/lines",
  "/v1/aggregators/made",
  "/v1/aggregators/own/force",
  "/v1/aggregators/made/force?line=0",
  "/v1/aggregators/%2e%2e",
  "/v1/aggregators/%00",
  "/v1/aggregators/%ff%fe",
  "/v1/aggregators/__proto__",
  "/v1/aggregators/constructor/lines",
  `/v1/aggregators/${"a".repeat(4000)}`,
  "/v1/aggregators//lines",
  "/v1/reload",
  "/v1/events?aggregator=own",
  "/v1/events?aggregator=%1b%5b2J",
  "/healthz",
  "/metrics",
  "/openapi.json",
  "/",
  "*",
  "http://[::1",
  "//x/y",
  "/../../etc/passwd",
  "/\x1b[2J",
  "no/slash",
  `/${"%41".repeat(3000)}`,
];
const HEADERS = [
  "host: x",
  "host: x",
  "host: x",
  "host: a, b",
  "host:",
  "connection: close",
  "connection: keep-alive, upgrade",
  "upgrade: websocket",
  "expect: 100-continue",
  "expect: nothing",
  "content-type: application/json",
  "content-type: multipart/form-data; boundary=",
  "content-encoding: gzip",
  "transfer-encoding: chunked",
  "transfer-encoding: gzip, chunked",
  "transfer-encoding : chunked",
  "content-length: -1",
  "content-length: 99999999999999999999",
  "content-length: 1e3",
  "content-length: 5, 6",
  " folded: header",
  "no colon",
  "x: \x01\x7f",
  `x: ${"y".repeat(20_000)}`,
  "origin: http://evil.example",
  "accept: text/event-stream",
];
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/", ""];
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "x",
  "__proto__",
  "\u0000",
  "\ud800",
  "\u202e\x1b[2J",
  "a".repeat(300),
  "../../x",
  "/etc/passwd",
  [],
  {},
  [[]],
  { mode: "777" },
  { path: "/tmp/x", mode: "0" },
];
const LINES: readonly string[] = [
  "sim/1",
  "sim/4,safe=0",
  "sim/0",
  "sim/99999999",
  "sim/1,as=A,safe=1,direction=output",
  "wire/own.OUT",
  "copy/own.OUT",
  "const/2",
  "gpiochip0/0",
  "gpiochip99/0-4000000000",
  "/etc/passwd/0",
  "usb-serial:\x1b/1",
  "sim/1,as=\n",
  ",",
  "sim/1," + "as=x,".repeat(100),
];
const KEYS = [
  "name",
  "lines",
  "lease",
  "socket",
  "qemuPins",
  "kernelChip",
  "interlocks",
  "pausedFor",
  "pull",
  "for",
  "reason",
  "rules",
  "__proto__",
  "constructor",
  "",
  "x".repeat(500),
];

/** Bytes that are sent on one connection. */
class HostileClient {
  readonly #random: Random;
  requests = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The text of some requests, and whether the first is whole. */
  text(): string {
    const random = this.#random;
    const count = random.oneIn(4) ? 1 + random.below(20) : 1;
    return Array.from({ length: count }, () => this.#request()).join("");
  }

  #request(): string {
    const random = this.#random;
    this.requests++;
    if (random.oneIn(15)) return this.#noise();
    const method = random.pick(METHODS.slice(0, random.oneIn(4) ? 99 : 6));
    const anyPath = random.pick(PATHS);
    // Who may change things may remove the good guest's aggregator, too.
    const path = method === "DELETE"
      ? anyPath.replace("/own", "/made")
      : anyPath;
    const version = random.pick(random.oneIn(8) ? VERSIONS : ["HTTP/1.1"]);
    const headers = ["host: x"];
    if (random.oneIn(8)) headers.length = 0;
    for (let i = random.below(4); random.oneIn(3) && i > 0; i--) {
      headers.push(random.pick(HEADERS));
    }
    const body = random.oneIn(3) ? "" : this.#body();
    const bytes = new TextEncoder().encode(body).length;
    const isChunked = random.oneIn(6);
    if (isChunked) headers.push("transfer-encoding: chunked");
    else {
      const length = random.oneIn(12) ? random.below(2 * bytes + 2) : bytes;
      headers.push(`content-length: ${length}`);
    }
    const end = random.oneIn(10) ? "\n" : "\r\n";
    const head = [`${method} ${path} ${version}`, ...headers].join(end);
    return head + end + end + (isChunked ? this.#chunks(body) : body);
  }

  #chunks(body: string): string {
    const random = this.#random;
    const chunk = (text: string) => {
      const length = new TextEncoder().encode(text).length;
      return `${length.toString(16)}\r\n${text}\r\n`;
    };
    const half = random.below(body.length + 1);
    const ends = ["0\r\n\r\n", "0\r\n\r\n", "0\r\nx: y\r\n\r\n", "z\r\n", ""];
    return [body.slice(0, half), body.slice(half)]
      .filter((text) => text !== "").map(chunk).join("") + random.pick(ends);
  }

  #noise(): string {
    const random = this.#random;
    return String.fromCharCode(
      ...Array.from({ length: 1 + random.below(60) }, () => random.below(127)),
    ) + "\r\n\r\n";
  }

  /** The good guest drives line 0 itself: that one is left alone. */
  #forceOrRules(): Record<string, unknown> {
    const random = this.#random;
    const line = random.pick(["1", "IN", "sim1", "9"]);
    return random.oneIn(2)
      ? {
        lines: { [line]: random.below(3) },
        for: random.pick(["1ms", "1s", "24h", "25h", "x"]),
        reason: random.pick(["x", "\u001b[2J\n", " "]),
        lease: random.pick(["none", "stream"]),
      }
      : {
        rules: {
          [line]: {
            safe: random.below(3),
            minInterval: random.pick([null, "1ms", "x"]),
          },
        },
      };
  }

  /** A body that would do, and then perhaps not any more. */
  #body(): string {
    const random = this.#random;
    const good: Record<string, unknown> = random.oneIn(3)
      ? { pull: { [random.pick(["0", "IN", "OUT", "9"])]: random.below(3) } }
      : random.oneIn(4)
      ? this.#forceOrRules()
      : {
        name: random.pick(["made", "own", "made", "x y", "a.b"]),
        lines: Array.from(
          { length: 1 + random.below(3) },
          () => random.pick(LINES),
        ),
        lease: "none",
      };
    for (let i = random.below(4); i > 0; i--) {
      const value = structuredClone(random.pick(VALUES));
      if (random.oneIn(6)) delete good[random.pick(KEYS)];
      else if (random.oneIn(3) && Array.isArray(good["lines"])) {
        good["lines"].push(value);
      } else {
        Object.defineProperty(good, random.pick(KEYS), {
          value,
          configurable: true,
          enumerable: true,
          writable: true,
        });
      }
    }
    const text = JSON.stringify(good);
    switch (random.below(12)) {
      case 0:
        return text.slice(0, random.below(text.length));
      case 1:
        return text.replace(/[":,{}[\]]/, random.pick(["", "\0", "[", "{"]));
      case 2:
        return "[".repeat(random.pick([10, 33, 10_000]));
      case 3:
        return text + text;
      case 4:
        return `{"name":"${"x".repeat(random.pick([1000, 270_000]))}"}`;
      default:
        return text;
    }
  }
}

/**
 * Runs hostile clients against a service of its own, with a guest beside.
 *
 * @throws {Error} As soon as something is wrong; the message has the seed with
 * which that one connection can be repeated.
 */
export async function runApiFuzz(
  options: ApiFuzzOptions,
): Promise<ApiFuzzReport> {
  const report: ApiFuzzReport = { connections: 0, requests: 0, statuses: {} };
  await using service = await ApiService.start({
    aggregators: {
      own: ["sim/1,as=OUT,direction=output", "sim/1,as=IN,direction=input"],
    },
  });
  using frontend = Frontend.open(service.socket("own"), { timeoutMs: 20_000 });
  const driver = GpioDriver.attach(frontend);
  const begin = performance.now();
  const isDue = () =>
    options.limitMs !== undefined &&
    performance.now() - begin > options.limitMs;
  for (let i = 0; i < options.iterations && !isDue(); i++) {
    const seed = options.seed + i;
    const random = new Random(seed);
    try {
      // A moment for what this process has to read of the service.
      await new Promise((resolve) => setTimeout(resolve, 0));
      talk(service, random, report);
      if (service.process.status !== undefined) {
        throw new Error(`the service ended: ${service.process.stderr}`);
      }
      driver.setOutput(0, i & 1, Direction.Output);
      if (driver.getValue(0) !== (i & 1)) throw new Error("a wrong value");
    } catch (cause) {
      throw new Error(`API fuzz fails with seed ${seed}: ${cause}`, { cause });
    }
    if (i % 50 === 0) await tidy(service);
  }
  await tidy(service);
  if (/[^\x20-\x7e\n]/.test(service.process.stderr)) {
    throw new Error("the service has reported control characters");
  }
  return report;
}

/** Lists, and removes what was made. */
async function tidy(service: ApiService): Promise<void> {
  for (const { name } of await service.client.list()) {
    if (name !== "own") await service.client.remove(name);
  }
}

function talk(
  service: ApiService,
  random: Random,
  report: ApiFuzzReport,
): void {
  const { client, lookClient } = service;
  const { socketPath } = random.oneIn(4) ? lookClient : client;
  const hostile = new HostileClient(random);
  const text = new TextEncoder().encode(hostile.text());
  const cut = random.oneIn(5) ? random.below(text.length) : text.length;
  using fd = connectUnix(socketPath);
  report.connections++;
  report.requests += hostile.requests;
  let answer: string;
  try {
    sayAll(fd.fd, text.subarray(0, cut), random.oneIn(4));
    if (random.oneIn(3)) libc().shutdown(fd.fd, SHUT_WR);
    answer = hear(fd.fd);
  } catch (error) {
    // It may hang up on what it has refused.
    if (!isOsError(error, "EPIPE", "ECONNRESET")) throw error;
    return;
  }
  if (answer === "") return;
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1];
  if (status === undefined) {
    throw new Error(`the answer is ${JSON.stringify(answer.slice(0, 200))}`);
  }
  report.statuses[status] = (report.statuses[status] ?? 0) + 1;
  // 503: a rule is pending, as /healthz says; 504: a removal that takes time.
  if (Number(status) >= 500 && status !== "503" && status !== "504") {
    throw new Error(`the answer is ${answer.slice(0, 500)}`);
  }
}

/** Sends all, perhaps in pieces; stops when the service has answered. */
function sayAll(fd: number, bytes: Uint8Array, inPieces: boolean): void {
  const most = inPieces ? 1 + (bytes.length >> 2) : bytes.length;
  for (let at = 0; at < bytes.length;) {
    const sent = send(fd, bytes.subarray(at, at + most));
    if (sent > 0) at += sent;
    else if (pollFd(fd, POLLIN, MORE_MS) !== 0) return;
  }
}

/**
 * Reads what is answered; "" if it hangs up. A request that is not whole may wait
 * for its rest: that there is none is said when nothing comes for a moment.
 */
function hear(fd: number): string {
  const piece = new Uint8Array(1 << 16);
  let text = "";
  if (pollFd(fd, POLLIN, PATIENCE_MS) === 0) libc().shutdown(fd, SHUT_WR);
  for (let limit = ANSWER_LIMIT_MS;; limit = MORE_MS) {
    if (pollFd(fd, POLLIN, limit) === 0) {
      if (text === "") throw new Error("neither an answer nor a hang-up");
      return text;
    }
    const count = receiveBytes(fd, piece);
    if (count === 0) return text;
    if (count > 0 && text.length < piece.length) {
      text += new TextDecoder().decode(piece.subarray(0, count));
    }
  }
}
