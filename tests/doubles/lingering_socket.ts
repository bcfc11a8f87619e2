/**
 * A descriptor whose last close waits, in any process.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_LINGER = 13;

/** Size of the buffers. **Units**: bytes. */
const SMALL_BYTES = 16 * 1024;

/** A TCP socket whose last close waits: it lingers over unsent bytes. */
export class LingeringSocket implements Disposable {
  readonly socket: OwnedFd;
  readonly #peer: OwnedFd;

  /** Makes one whose close takes `seconds`. */
  constructor(seconds: number) {
    const { accept4, bind, connect, getsockname, listen, setsockopt } = libc();
    const set = (fd: number, option: number, ...values: number[]) => {
      const value = new Uint8Array(new Int32Array(values).buffer);
      setsockopt(fd, SOL_SOCKET, option, value, value.length);
    };
    const tcp = () => {
      const made = new OwnedFd(
        libc().socket(AF_INET, SOCK_STREAM, 0),
        "tcp",
      );
      // A loopback connection takes MiB otherwise until it is full.
      set(made.fd, SO_SNDBUF, SMALL_BYTES);
      set(made.fd, SO_RCVBUF, SMALL_BYTES);
      return made;
    };
    using listener = tcp();
    const address = new Uint8Array(16).with(0, AF_INET).with(4, 127).with(7, 1);
    bind(listener.fd, address, address.length);
    listen(listener.fd, 1);
    getsockname(
      listener.fd,
      address,
      new Uint8Array(new Uint32Array([address.length]).buffer),
    );
    this.socket = tcp();
    if (connect(this.socket.fd, address, address.length) !== 0) {
      throw new Error("cannot connect to the loopback interface");
    }
    this.#peer = new OwnedFd(accept4(listener.fd, null, null, 0), "peer");
    const piece = new Uint8Array(1 << 16);
    while (send(this.socket.fd, piece) > 0) { /* until it is full */ }
    set(this.socket.fd, SO_LINGER, 1, seconds);
  }

  [Symbol.dispose](): void {
    this.#peer.close();
  }
}
