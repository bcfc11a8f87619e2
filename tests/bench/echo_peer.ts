/**
 * The other process of {@linkcode ./crowd.ts}: gets pairs of eventfds over the
 * socket that it is told, and answers each wake-up of one by the other.
 *
 * @module
 */
import { Epoll, EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { signalFd } from "../../ffi/event_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";

if (import.meta.main) run(Deno.args[0]!, Number(Deno.args[1]));

function run(path: string, pairs: number): void {
  using socket = connectUnix(path);
  const fds: OwnedFd[] = [];
  const piece = new Uint8Array(pairs);
  while (fds.length < 2 * pairs) {
    if (receive(socket.fd, piece, fds) < 0) pollFd(socket.fd, POLLIN, -1);
  }
  const backs = new Int32Array(pairs);
  const epoll = new Epoll(pairs + 1);
  for (let i = 0; i < pairs; i++) {
    epoll.add(fds[2 * i]!.fd, EPOLLIN | EPOLLET, i, 0);
    backs[i] = fds[2 * i + 1]!.fd;
  }
  epoll.add(socket.fd, EPOLLIN, pairs, 0);
  send(socket.fd, new Uint8Array(1));
  for (;;) {
    const ready = epoll.wait(-1);
    for (let i = 0; i < ready; i++) {
      const slot = epoll.slotAt(i);
      if (slot === pairs) return;
      signalFd(backs[slot]!);
    }
  }
}
