/**
 * A connection over a unix socket, for tests that have no network permission.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";

const SHUT_WR = 1;
/** Interval at which the socket is looked at. **Units**: milliseconds. */
const LOOK_MS = 1;
/** Limit of every wait. **Units**: milliseconds. */
const LIMIT_MS = 120_000;

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

/** One connection. **Ownership**: owns its descriptor. */
export class UnixStream implements Disposable {
  readonly #fd: OwnedFd;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /** Connects to a socket. */
  static connect(path: string): UnixStream {
    return new UnixStream(connectUnix(path));
  }

  /** Makes a socket, waits for one connection, and removes the socket. */
  static async accept(path: string): Promise<UnixStream> {
    using listener = listenUnix(path);
    const end = performance.now() + LIMIT_MS;
    try {
      for (;;) {
        const fd = acceptUnix(listener.fd);
        if (fd !== undefined) return new UnixStream(fd);
        if (performance.now() > end) {
          throw new Error(`no connection to ${path} within ${LIMIT_MS} ms`);
        }
        await pause();
      }
    } finally {
      Deno.removeSync(path);
    }
  }

  /** Sends all of it. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const count = send(this.#fd.fd, rest);
      if (count > 0) rest = rest.subarray(count);
      else await pause();
    }
  }

  /** Waits for bytes; null at the end. */
  async read(): Promise<Uint8Array | null> {
    const piece = new Uint8Array(65536);
    const end = performance.now() + LIMIT_MS;
    for (;;) {
      const count = receiveBytes(this.#fd.fd, piece);
      if (count >= 0) return count === 0 ? null : piece.slice(0, count);
      if (performance.now() > end) {
        throw new Error(`nothing was received within ${LIMIT_MS} ms`);
      }
      await pause();
    }
  }

  /** Says no more; what the other end says is heard on. */
  endWrites(): void {
    libc().shutdown(this.#fd.fd, SHUT_WR);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
