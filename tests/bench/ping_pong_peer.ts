/**
 * The other process of the ping-pong: gets two pairs of eventfds over the
 * socket that it is told, then answers as many wake-ups as it is told to.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { EventSide } from "./ping_pong.ts";

if (import.meta.main) run(Deno.args[0]!);

function run(path: string): void {
  using socket = connectUnix(path);
  const sides = [takeSide(socket), takeSide(socket)];
  for (;;) {
    const order = take(socket, 8, []);
    if (order === undefined) return;
    const view = new DataView(order.buffer);
    const side = sides[view.getUint32(0, true)]!;
    const count = view.getUint32(4, true);
    send(socket.fd, new Uint8Array(1));
    for (let i = 0; i < count; i++) {
      side.wait();
      side.signal();
    }
  }
}

function takeSide(socket: OwnedFd): EventSide {
  const fds: OwnedFd[] = [];
  const mode = take(socket, 1, fds);
  const [there, back] = fds;
  if (mode === undefined || there === undefined || back === undefined) {
    throw new Error("The benchmark sent no eventfds");
  }
  return new EventSide(mode[0] === 0 ? "epoll" : "read", there.fd, back.fd);
}

function take(
  socket: OwnedFd,
  length: number,
  fds: OwnedFd[],
): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const count = receive(socket.fd, bytes.subarray(have), fds);
    if (count === 0) return undefined;
    if (count > 0) have += count;
    else pollFd(socket.fd, POLLIN, -1);
  }
  return bytes;
}
