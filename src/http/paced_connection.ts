/**
 * A connection that gives its bytes away one request at a time.
 *
 * `node:http` makes objects of all the requests in what it is given, before the
 * first of them is answered: some ten kilobytes for each, and what is read at once
 * may hold two thousand. Here they stay bytes until their turn has come, and what
 * the client says beyond them stays with the kernel.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/** Content type of an event stream. */
export const EVENT_STREAM_TYPE = "text/event-stream";

/** Most that is given to a socket before it has taken it. **Units**: bytes. */
const MAX_PIECE_BYTES = 32 * 1024;
const LF = 10;
const CR = 13;

/** Stands before a socket. **Ownership**: owns it. */
export class PacedConnection extends Duplex {
  readonly #socket: Socket;
  readonly #mayGoOn: () => boolean;
  /** Bytes that were read and not yet passed on. */
  #rest: Uint8Array | undefined;
  /** The client has sent all; the reader is notified after the rest. */
  #hasEnded = false;
  /** The answer under way is a stream: what would be next has no turn. */
  #isStreaming = false;
  #isEventStream = false;

  /**
   * Takes over a socket.
   *
   * @param mayGoOn Whether more may be given away now. When that becomes so,
   * {@linkcode PacedConnection.goOn} is to be called.
   */
  constructor(socket: Socket, mayGoOn: () => boolean) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#mayGoOn = mayGoOn;
    socket.on("data", (bytes: Uint8Array) => {
      this.#rest = bytes;
      socket.pause();
      this.goOn();
    });
    socket.on("end", () => {
      this.#hasEnded = true;
      this.goOn();
    });
    socket.on("error", (error: Error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  /** Gives away what waits, as far as it may. */
  goOn(): void {
    while (this.#rest !== undefined) {
      if (this.writableEnded || this.destroyed || this.readableLength > 0) {
        return;
      }
      if (!this.#mayGoOn()) {
        if (!this.#isStreaming) return;
        this.#rest = undefined;
        break;
      }
      const end = endOfHead(this.#rest);
      const piece = this.#rest.subarray(0, end);
      this.#rest = end === this.#rest.length
        ? undefined
        : this.#rest.subarray(end);
      this.push(piece);
    }
    if (this.#hasEnded) this.push(null);
    else this.#socket.resume();
  }

  /**
   * From now on, whatever the client says is thrown away: the answer under way
   * has no end, and that the client goes must be noticed whatever it sent before.
   */
  beginStream(contentType: string): void {
    this.#isStreaming = true;
    this.#isEventStream = contentType === EVENT_STREAM_TYPE;
    this.goOn();
  }

  /** True while events are sent: ending it ends nothing but that. */
  get isEventStream(): boolean {
    return this.#isEventStream;
  }

  /** Of `net.Socket`, as `node:http` wants it; the limits are the listener's. */
  setTimeout(): this {
    return this;
  }

  /** Of `net.Socket`: ends once all is written, whatever else the client says. */
  destroySoon(): void {
    this.end(() => this.destroy());
  }

  // Names and signatures are Node's.
  override _read(): void {
    // The reader has not processed the last part yet.
    queueMicrotask(() => this.goOn());
  }

  override _write(
    bytes: Uint8Array,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): void {
    this.#writeFrom([bytes], 0, 0, done);
  }

  override _writev(
    writes: { chunk: Uint8Array }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#writeFrom(writes.map(({ chunk }) => chunk), 0, 0, done);
  }

  /**
   * Writes what is left, from `offset` of a chunk on, a piece at a time: of what
   * a socket does not take at once the runtime keeps a copy.
   */
  #writeFrom(
    chunks: readonly Uint8Array[],
    index: number,
    offset: number,
    done: (error?: Error | null) => void,
  ): void {
    let left = MAX_PIECE_BYTES;
    let at = offset;
    let i = index;
    const pieces: Uint8Array[] = [];
    while (i < chunks.length && left > 0) {
      const piece = chunks[i]!.subarray(at, at + left);
      if (piece.length > 0) pieces.push(piece);
      left -= piece.length;
      at += piece.length;
      if (at < chunks[i]!.length) continue;
      i++;
      at = 0;
    }
    const last = pieces.pop();
    if (last === undefined) return done();
    const goOn = (error?: Error | null) => {
      if (error || i >= chunks.length) done(error);
      else this.#writeFrom(chunks, i, at, done);
    };
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.write(last, goOn);
    this.#socket.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(
    error: Error | null,
    done: (error?: Error | null) => void,
  ): void {
    this.#rest = undefined;
    this.#socket.destroy();
    done(error);
  }
}

/** Begins an answer without an end, after which the connection cannot be reused. */
export function beginStream(
  response: ServerResponse,
  status: number,
  contentType: string,
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "cache-control": "no-store",
    "connection": "close",
  });
  const { socket } = response;
  if (socket instanceof PacedConnection) socket.beginStream(contentType);
}

/** Position of the end of the first request's head, if it ends: an empty line. */
function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    const next = bytes[at + 1] === CR ? at + 2 : at + 1;
    if (bytes[next] === LF) return next + 1;
  }
  return bytes.length;
}
