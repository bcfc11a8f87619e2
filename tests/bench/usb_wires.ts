/**
 * Connections of USB hosts to an adapter: that of a QEMU, and that of a kernel
 * with the process that relays.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { Field, HEADER, Message } from "../../src/usbip/protocol.ts";
import { urb } from "../doubles/usbip_peer.ts";
import { T, UsbredirPeer } from "../doubles/usbredir_peer.ts";
import { LIMIT_MS } from "./effort.ts";
import { programCommand } from "./server.ts";

const PIECE_BYTES = 16 * 1024;
/** Bytes of a control or bulk packet of usbredir before its data. */
const PACKET_HEADER = 10;
const SET_CONFIGURATION = 9;

/** A host. Nothing but `read` waits. **Ownership**: of its connection. */
export interface UsbHostWire extends Disposable {
  /** Chooses the configuration, which the guest's kernel does first. */
  configure(): void;
  /** Begins a control transfer; from the device if it has no data. */
  control(setup: readonly number[], data?: readonly number[]): void;
  /** Begins a transfer to an endpoint. */
  out(endpoint: number, data: readonly number[]): void;
  /** Begins a transfer from an endpoint. */
  in(endpoint: number, length: number): void;
  /** Waits for data of the device; what came of transfers from it. */
  read(): Uint8Array[];
}

/** Bytes of a connection, and those of the messages that came whole. */
class Connection {
  readonly #socket: OwnedFd;
  readonly #piece = new Uint8Array(PIECE_BYTES);
  #bytes = new Uint8Array(0);

  constructor(socket: OwnedFd) {
    this.#socket = socket;
  }

  send(bytes: Uint8Array): void {
    if (send(this.#socket.fd, bytes) !== bytes.length) {
      throw new Error("the adapter's socket is full");
    }
  }

  /** Waits for bytes; `parse` returns how many of all it has taken. */
  read(parse: (bytes: Uint8Array<ArrayBuffer>) => number): void {
    if (pollFd(this.#socket.fd, POLLIN, LIMIT_MS) === 0) {
      throw new Error("the adapter sends nothing");
    }
    const count = receive(this.#socket.fd, this.#piece, []);
    if (count <= 0) throw new Error("the adapter's connection was closed");
    const bytes = new Uint8Array(this.#bytes.length + count);
    bytes.set(this.#bytes);
    bytes.set(this.#piece.subarray(0, count), this.#bytes.length);
    this.#bytes = bytes.slice(parse(bytes));
  }

  /** Waits until the other side has closed it. */
  untilClosed(): void {
    do {
      if (pollFd(this.#socket.fd, POLLIN, LIMIT_MS) === 0) {
        throw new Error("the connection is not closed");
      }
    } while (receive(this.#socket.fd, this.#piece, []) > 0);
  }

  close(): void {
    this.#socket.close();
  }
}

/** A QEMU's. */
export class UsbredirHost implements UsbHostWire {
  readonly #connection: Connection;
  readonly #peer = new UsbredirPeer();
  #isFirst = true;
  #id = 1;

  constructor(path: string) {
    this.#connection = new Connection(connectUnix(path));
    this.#connection.send(this.#peer.hello());
  }

  configure(): void {
    this.#connection.send(
      this.#peer.packet(T.setConfiguration, this.#id++, [1]),
    );
    // A hello and the adapter's description come before the answer.
    this.#read((type) => type === T.configuration);
  }

  control(setup: readonly number[], data?: readonly number[]): void {
    const [type, request, value, index, length] = setup;
    this.#connection.send(
      this.#peer.control(
        this.#id++,
        type!,
        request!,
        value!,
        index!,
        length!,
        data,
      ),
    );
  }

  out(endpoint: number, data: readonly number[]): void {
    this.#connection.send(this.#peer.bulk(this.#id++, endpoint, data));
  }

  in(endpoint: number, length: number): void {
    this.#connection.send(this.#peer.bulk(this.#id++, endpoint, [], length));
  }

  read(): Uint8Array[] {
    let found: Uint8Array[] = [];
    while (found.length === 0) {
      found = this.#read((type) => type === T.bulk || type === T.control);
    }
    return found;
  }

  /** Waits for packets of a kind; their data. */
  #read(isWanted: (type: number) => boolean): Uint8Array[] {
    const found: Uint8Array[] = [];
    let hasCome = false;
    while (!hasCome) {
      this.#connection.read((bytes) => {
        try {
          for (const { type, body } of this.#peer.parse(bytes, this.#isFirst)) {
            if (!isWanted(type)) continue;
            hasCome = true;
            if (body.length > PACKET_HEADER) {
              found.push(body.subarray(PACKET_HEADER));
            }
          }
          this.#isFirst = false;
          return bytes.length;
        } catch {
          // A packet is cut short.
          return 0;
        }
      });
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** A kernel's, to which a process passes the messages of the service. */
export class UsbipHost implements UsbHostWire {
  readonly #connection: Connection;
  readonly #relay: Deno.ChildProcess;
  /** Transfers from the device, whose answers have data. */
  readonly #isIn = new Set<number>();
  #seqnum = 0;

  /** Starts the process between a service's socket and this host. */
  constructor(path: string) {
    const place = `${path}.kernel`;
    const listener = listenUnix(place);
    const [program, ...args] = programCommand("kernel_relay.ts");
    this.#relay = new Deno.Command(program, {
      args: [...args, path, place],
      stdin: "null",
      stdout: "null",
    }).spawn();
    try {
      pollFd(listener.fd, POLLIN, LIMIT_MS);
      const attach = acceptUnix(listener.fd);
      if (attach === undefined) throw new Error("no process relays");
      pollFd(attach.fd, POLLIN, LIMIT_MS);
      const given: OwnedFd[] = [];
      receive(attach.fd, new Uint8Array(1), given);
      attach.close();
      this.#connection = new Connection(given[0]!);
    } catch (error) {
      this.#relay.kill("SIGKILL");
      throw error;
    } finally {
      listener.close();
      // Another one may follow.
      Deno.removeSync(place);
    }
  }

  /** Kills the process that relays (SIGKILL), and waits for the end of it. */
  killRelay(): void {
    this.#relay.kill("SIGKILL");
    this.#connection.untilClosed();
  }

  configure(): void {
    this.#submit(0, 0, 0, [0, SET_CONFIGURATION, 1, 0, 0], []);
    this.#read();
  }

  control(setup: readonly number[], data?: readonly number[]): void {
    const isIn = data === undefined ? 1 : 0;
    this.#submit(0, isIn, isIn * setup[4]!, setup, data ?? []);
  }

  out(endpoint: number, data: readonly number[]): void {
    this.#submit(endpoint, 0, data.length, [0, 0, 0, 0, 0], data);
  }

  in(endpoint: number, length: number): void {
    this.#submit(endpoint & 0xf, 1, length, [0, 0, 0, 0, 0], []);
  }

  read(): Uint8Array[] {
    let found: Uint8Array[] = [];
    while (found.length === 0) found = this.#read();
    return found;
  }

  #submit(
    endpoint: number,
    direction: number,
    length: number,
    [type, request, value, index, size]: readonly number[],
    data: readonly number[],
  ): void {
    const seqnum = ++this.#seqnum;
    if (direction === 1) this.#isIn.add(seqnum);
    const setup = new Uint8Array(8);
    const view = new DataView(setup.buffer);
    setup.set([type!, request!]);
    view.setUint16(2, value!, true);
    view.setUint16(4, index!, true);
    view.setUint16(6, size!, true);
    this.#connection.send(
      urb(
        {
          seqnum,
          direction,
          endpoint,
          length: direction === 1 ? length : data.length,
        },
        [...setup],
        data,
      ),
    );
  }

  /** Waits for bytes; data of the answers that came whole. */
  #read(): Uint8Array[] {
    const found: Uint8Array[] = [];
    this.#connection.read((bytes) => {
      const view = new DataView(bytes.buffer);
      let at = 0;
      while (at + HEADER <= bytes.length) {
        if (view.getUint32(at + Field.Message) !== Message.SubmitDone) {
          throw new Error("the adapter answers something else");
        }
        const seqnum = view.getUint32(at + Field.Seqnum);
        const size = this.#isIn.has(seqnum)
          ? view.getUint32(at + Field.Length)
          : 0;
        const end = at + HEADER + size;
        if (end > bytes.length) break;
        const status = view.getInt32(at + Field.Status);
        if (status !== 0) throw new Error(`a transfer fails (${status})`);
        this.#isIn.delete(seqnum);
        if (size > 0) found.push(bytes.subarray(at + HEADER, end));
        at = end;
      }
      return at;
    });
    return found;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
    // Its end follows that of the connection; it must not stay if it does not.
    this.#relay.kill("SIGKILL");
  }
}
