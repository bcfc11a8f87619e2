/**
 * A hostile peer of a running gpioagg, in a process of its own: does one thing
 * as fast as it can until it is ended.
 *
 * Usage: hostile_peer.ts KIND DIRECTORY, where DIRECTORY has the sockets that
 * {@linkcode ./hostile.ts} makes.
 *
 * @module
 */
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN, POLLOUT } from "../../ffi/poll.ts";
import {
  MAX_PASSED_FDS,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import {
  ALL_PROTOCOL,
  encode,
  GUEST_FEATURES,
  join,
  NEED_REPLY,
  PLAIN,
  R,
  u32,
  u64,
  VhostPeer,
} from "../doubles/vhost_peer.ts";

const PAGE = 4096;
const RING_SIZE = 32768;
const MEMORY_BYTES = 8 << 20;
const DESCRIPTORS_AT = 0;
const AVAIL_AT = 0x10_0000;
const USED_AT = 0x20_0000;
const BUFFERS_AT = 0x40_0000;
const GUEST_AT = 0x1_0000_0000;
const USER_AT = 0x7f00_0000_0000;
const CLIENTS = 4;

/** Actions of a peer, by kind; each call is a piece of work without end. */
const KINDS: Readonly<Record<string, (directory: string) => () => void>> = {
  // Has nothing to do with gpioagg: what the machine's scheduler costs.
  "processor time": () => () => {},
  "tiny regions": (directory) => {
    const guest = new HostileGuest(directory);
    const small = u64(0, 0x2000_0000, 16, 0x2000_0000, 0);
    const page = u64(0, 0x2000_0000, PAGE, 0x2000_0000, 0);
    return () => {
      guest.tell(R.ADD_MEM_REG, small, [guest.file.fd]);
      guest.tell(R.ADD_MEM_REG, page, [guest.file.fd]);
      guest.tell(R.REM_MEM_REG, page);
    };
  },
  "long chains": (directory) => {
    const guest = new HostileGuest(directory);
    // 500 adjacent pages, and descriptors that each span all of them.
    for (let i = 0; i < 500; i++) {
      const at = 0x9000_0000 + i * PAGE;
      guest.tell(R.ADD_MEM_REG, u64(0, at, PAGE, at, i * PAGE), [
        guest.file.fd,
      ]);
    }
    for (let i = 0; i < RING_SIZE; i++) {
      guest.describe(i, 0x9000_0000, 500 * PAGE, 1, (i + 1) % RING_SIZE);
    }
    guest.start(0);
    return () => guest.flood();
  },
  "requests": (directory) => {
    const guest = new HostileGuest(directory);
    for (let i = 0; i < RING_SIZE; i += 2) {
      guest.describe(i, GUEST_AT + BUFFERS_AT, 8, 1, i + 1);
      guest.describe(i + 1, GUEST_AT + BUFFERS_AT + 16, 2, 2, 0);
    }
    guest.start(0);
    return () => guest.flood(2);
  },
  "in-flight resubmission": (directory) => {
    const guest = new HostileGuest(directory);
    guest.handOverLog();
    guest.start(0);
    return () => {
      guest.send(R.SET_VRING_ENABLE, u32(0, 0));
      guest.tell(R.SET_VRING_ENABLE, u32(0, 1));
    };
  },
  "memory tables": (directory) => {
    const guest = new HostileGuest(directory);
    guest.start(0);
    guest.start(1);
    const more = Array.from(
      { length: 7 },
      (_, i) => u64(0x8000_0000 + i * PAGE, PAGE, 0x8000_0000 + i * PAGE, 0),
    );
    const table = join(u32(8, 0), guest.region, ...more);
    const fds = new Array<number>(8).fill(guest.file.fd);
    return () => guest.tell(R.SET_MEM_TABLE, table, fds);
  },
  "control lines": (directory) => {
    const pull = JSON.stringify({
      pull: Array.from({ length: 900 }, (_, i) => ["sim999", i & 1]),
    });
    return flood(`${directory}/hostile.sock.control`, `${pull}\n{}\n`);
  },
  "QMP lines": (directory) => {
    const qmp = new Babbler(`${directory}/qmp.sock`, "[1]\n".repeat(10_000));
    const qtest = new Babbler(
      `${directory}/qtest.sock`,
      "IRQ raise 0\n".repeat(5000),
    );
    return () => {
      qmp.go();
      qtest.go();
    };
  },
  "GETs of a huge list": (directory) =>
    flood(
      `${directory}/api.sock`,
      "GET /v1/aggregators HTTP/1.1\r\nhost: x\r\n\r\n",
    ),
  "huge SPECs": (directory) => {
    const spec = `x,${"k=1,".repeat(16_000)}`;
    const body = JSON.stringify({ name: "x", lines: [spec, spec, spec, spec] });
    return flood(
      `${directory}/api.sock`,
      "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
        "content-type: application/json\r\n" +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
  },
  "resets": (directory) => {
    const guest = new HostileGuest(directory);
    return () => {
      guest.start(0);
      guest.tell(R.RESET_DEVICE, new Uint8Array(0));
    };
  },
  "additions": (directory) => {
    const body = JSON.stringify({ name: "x", lines: ["sim/1000"] });
    return flood(
      `${directory}/api.sock`,
      "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
        "content-type: application/json\r\n" +
        `content-length: ${body.length}\r\n\r\n${body}` +
        "DELETE /v1/aggregators/x HTTP/1.1\r\nhost: x\r\n\r\n",
    );
  },
  "descriptors": (directory) => {
    const file = createMemFd("descriptor", PAGE);
    const fds = new Array<number>(MAX_PASSED_FDS).fill(file.fd);
    return () => {
      using peer = connected(`${directory}/hostile.sock`);
      if (peer === undefined) return;
      const message = encode(R.GET_FEATURES, new Uint8Array(0));
      try {
        for (let i = 0; i < 8; i++) send(peer.fd, message, fds);
      } catch (error) {
        if (!isOsError(error)) throw error;
      }
    };
  },
  "connections": (directory) => () => {
    for (const name of ["hostile.sock", "hostile.sock.control", "api.sock"]) {
      connected(`${directory}/${name}`)?.close();
    }
  },
  "first words": (directory) => {
    const words = Object.entries({
      "hostile.sock": encode(R.SET_OWNER, new Uint8Array(0)),
      "hostile.sock.control": new TextEncoder().encode('{"pull'),
      "api.sock": new TextEncoder().encode("DELETE /v1/x HTTP/1.1\r\n"),
    });
    return () => {
      for (const [name, first] of words) {
        using peer = connected(`${directory}/${name}`);
        if (peer !== undefined) send(peer.fd, first);
      }
    };
  },
};

/** The kinds of hostile peers. */
export const HOSTILE_KINDS: readonly string[] = Object.keys(KINDS);

/** A connection; undefined if none can be had now. */
function connected(path: string): OwnedFd | undefined {
  try {
    return connectUnix(path, { wait: false });
  } catch (error) {
    if (isOsError(error)) return undefined;
    throw error;
  }
}

/** A frontend whose memory, rings and log say what the test wants. */
class HostileGuest {
  readonly file = createMemFd("hostile", MEMORY_BYTES);
  readonly region = u64(GUEST_AT, MEMORY_BYTES, USER_AT, 0);
  readonly #peer: VhostPeer;
  readonly #view: DataView;
  readonly #kicks = [createEventFd(), createEventFd()];
  #published = 0;

  constructor(directory: string) {
    this.#peer = new VhostPeer(connectUnix(`${directory}/hostile.sock`));
    const { buffer } = Mapping.map(this.file.fd, {
      length: MEMORY_BYTES,
      subject: "memory",
    });
    // Pages that gpioagg would have to allocate would end the session soon.
    new Uint8Array(buffer).fill(0);
    this.#view = new DataView(buffer);
    this.send(R.SET_OWNER, new Uint8Array(0));
    this.send(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
    this.send(R.SET_FEATURES, u64(GUEST_FEATURES));
    this.tell(R.ADD_MEM_REG, join(u64(0), this.region), [this.file.fd]);
  }

  send(request: number, payload: Uint8Array, flags = PLAIN): void {
    this.#write(encode(request, payload, { flags }), []);
  }

  /** Sends a request and waits for its acknowledgement, whatever it is. */
  tell(request: number, payload: Uint8Array, fds: readonly number[] = []) {
    this.#write(encode(request, payload, { flags: NEED_REPLY }), fds);
    this.#read();
  }

  #write(bytes: Uint8Array, fds: readonly number[]): void {
    while (this.#peer.raw(bytes, fds) < 0) pollFd(this.#peer.fd, POLLOUT, -1);
  }

  #read(): OwnedFd[] {
    for (;;) {
      const answer = this.#peer.read();
      if (answer === "ended") throw new Error("gpioagg hung up");
      if (answer !== undefined) return answer.fds;
      pollFd(this.#peer.fd, POLLIN, -1);
    }
  }

  /** Writes a descriptor of both rings' table. */
  describe(i: number, at: number, length: number, flags: number, next: number) {
    this.#view.setBigUint64(i * 16, BigInt(at), true);
    this.#view.setUint32(i * 16 + 8, length, true);
    this.#view.setUint16(i * 16 + 12, flags, true);
    this.#view.setUint16(i * 16 + 14, next, true);
  }

  start(index: number): void {
    // The second ring has parts of its own, behind those of the first.
    const shift = index * 0x8_0000;
    this.send(R.SET_VRING_NUM, u32(index, RING_SIZE));
    this.send(R.SET_VRING_BASE, u32(index, 0));
    this.send(
      R.SET_VRING_ADDR,
      join(
        u32(index, 0),
        u64(
          USER_AT + DESCRIPTORS_AT,
          USER_AT + USED_AT + shift,
          USER_AT + AVAIL_AT + shift,
          0,
        ),
      ),
    );
    this.tell(R.SET_VRING_KICK, u64(index), [this.#kicks[index]!.fd]);
    this.tell(R.SET_VRING_ENABLE, u32(index, 1));
  }

  /** Fills the first ring and kicks it; heads are a multiple of `step`. */
  flood(step = 1): void {
    const used = this.#view.getUint16(USED_AT + 2, true);
    const free = RING_SIZE / step - ((this.#published - used) & 0xffff);
    for (let i = 0; i < free; i++) {
      const slot = this.#published & (RING_SIZE - 1);
      const head = this.#published * step & (RING_SIZE - 1);
      this.#view.setUint16(AVAIL_AT + 4 + 2 * slot, head, true);
      this.#published = (this.#published + 1) & 0xffff;
    }
    this.#view.setUint16(AVAIL_AT + 2, this.#published, true);
    signalFd(this.#kicks[0]!.fd);
  }

  /** Hands over an in-flight log that claims every head. */
  handOverLog(): void {
    const perQueue = Math.ceil((16 + RING_SIZE * 16) / 64) * 64;
    const bytes = 2 * perQueue;
    const file = createMemFd("log", bytes);
    const { buffer } = Mapping.map(file.fd, { length: bytes, subject: "log" });
    const view = new DataView(buffer);
    for (let queue = 0; queue < 2; queue++) {
      const at = queue * perQueue;
      view.setUint16(at + 8, 1, true);
      view.setUint16(at + 10, RING_SIZE, true);
      for (let head = 0; head < RING_SIZE; head++) {
        view.setUint8(at + 16 + head * 16, 1);
        view.setUint32(at + 16 + head * 16 + 8, RING_SIZE - head, true);
      }
    }
    this.tell(
      R.SET_INFLIGHT_FD,
      join(
        u64(bytes, 0),
        new Uint8Array(new Uint16Array([2, RING_SIZE]).buffer),
        u32(0),
      ),
      [file.fd],
    );
    // Requests without room for an answer: refused, and cheap.
    for (let i = 0; i < RING_SIZE; i++) {
      this.describe(i, GUEST_AT + BUFFERS_AT, 8, 0, 0);
    }
    this.#view.setUint16(AVAIL_AT + 2, RING_SIZE, true);
    this.#published = RING_SIZE;
  }
}

/** Some clients that each send the same again and again, and read all. */
function flood(path: string, text: string): () => void {
  const bytes = new TextEncoder().encode(text.repeat(
    Math.max(1, Math.floor(65_536 / text.length)),
  ));
  const clients = new Array<Client | undefined>(CLIENTS).fill(undefined);
  return () => {
    for (const [i, client] of clients.entries()) {
      if (client?.go() !== true) {
        client?.fd.close();
        const fd = connected(path);
        clients[i] = fd && new Client(fd, bytes);
      }
    }
    pollFd(-1, 0, 0);
  };
}

/** One connection that sends without end. */
class Client {
  readonly fd: OwnedFd;
  readonly #bytes: Uint8Array;
  readonly #answers = new Uint8Array(1 << 18);
  #sent = 0;

  constructor(fd: OwnedFd, bytes: Uint8Array) {
    this.fd = fd;
    this.#bytes = bytes;
  }

  /** Sends and reads what is possible now; false once the peer is gone. */
  go(): boolean {
    try {
      const sent = send(this.fd.fd, this.#bytes.subarray(this.#sent));
      if (sent > 0) this.#sent = (this.#sent + sent) % this.#bytes.length;
      return receiveBytes(this.fd.fd, this.#answers) !== 0;
    } catch (error) {
      if (isOsError(error)) return false;
      throw error;
    }
  }
}

/** A QEMU that sends lines without end to the client that connects. */
class Babbler {
  readonly #listener: OwnedFd;
  readonly #bytes: Uint8Array;
  #client: Client | undefined;

  constructor(path: string, text: string) {
    this.#listener = listenUnix(path);
    this.#bytes = new TextEncoder().encode(text);
  }

  go(): void {
    if (this.#client?.go() === true) return;
    this.#client?.fd.close();
    const fd = acceptUnix(this.#listener.fd);
    this.#client = fd && new Client(fd, this.#bytes);
    if (fd === undefined) pollFd(this.#listener.fd, POLLIN, 10);
    // QEMU greets first.
    else send(fd.fd, new TextEncoder().encode('{"QMP": {}}\n'));
  }
}

if (import.meta.main) {
  const [kind = "", directory = ""] = Deno.args;
  const work = KINDS[kind]!(directory);
  console.log("ready");
  for (;;) work();
}
