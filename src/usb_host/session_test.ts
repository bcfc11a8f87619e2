import { assert, assertEquals } from "@std/assert";
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { UsbRig } from "../../tests/doubles/usb_rig.ts";
import { T, UsbredirPeer } from "../../tests/doubles/usbredir_peer.ts";
import type { EventLoop, TimeShare } from "../reactor/event_loop.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";
import { UsbSession } from "./session.ts";
import { USBREDIR } from "../usbredir/usbredir.ts";

/** A session whose events come by hand. */
class SessionRig implements Disposable {
  readonly peerFd: OwnedFd;
  readonly tasks: (() => void)[] = [];
  /** Events that are watched for. */
  mask = 0;
  /** Called when others are watched for. */
  onMask = (_mask: number): void => {};
  readonly #stack = new DisposableStack();
  #onReady = (_events: number): void => {};

  constructor() {
    const directory = Deno.makeTempDirSync();
    this.#stack.defer(() => Deno.removeSync(directory, { recursive: true }));
    using listener = listenUnix(`${directory}/usb`);
    this.peerFd = this.#stack.use(connectUnix(`${directory}/usb`));
    const share: TimeShare = {
      isSpent: false,
      take: () => true,
      defer: (task) => void this.tasks.push(task),
    };
    const loop: EventLoop = {
      now: 0,
      watch: (_fd, mask, onReady) => {
        this.mask = mask;
        this.#onReady = onReady;
        return {
          failed: () => {},
          update: (mask) => {
            this.mask = mask;
            this.onMask(mask);
          },
          [Symbol.dispose]: () => {},
        };
      },
      after: () => ({ [Symbol.dispose]: () => {} }),
      defer: share.defer,
      share: () => share,
      onMemoryFault: () => ({ [Symbol.dispose]: () => {} }),
    };
    this.#stack.use(
      new UsbSession({
        makeWire: USBREDIR.makeWire,
        loop,
        share,
        connection: acceptUnix(listener.fd)!,
        device: new UsbRig(LjcaDevice, 1).device,
        onEnd: () => {},
      }),
    );
  }

  ready(events: number): void {
    this.#onReady(events);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

Deno.test("a QEMU that reads while it is given up for now is served on", () => {
  using rig = new SessionRig();
  const peer = new UsbredirPeer();
  send(rig.peerFd.fd, peer.hello());
  const request = peer.control(3, 0x80, 6, 0x0200, 0, 255);
  const received: number[] = [];
  const piece = new Uint8Array(65536);
  const receive = () => {
    for (let count = 1; count > 0;) {
      count = receiveBytes(rig.peerFd.fd, piece);
      for (let i = 0; i < count; i++) received.push(piece[i]!);
    }
  };
  // It reads everything at the moment at which its requests are left alone.
  let holds = 0;
  rig.onMask = (mask) => {
    if ((mask & EPOLLIN) !== 0) return;
    holds++;
    receive();
  };
  const requests = 6000;
  const all = new Uint8Array(requests * request.length);
  for (let i = 0; i < requests; i++) all.set(request, i * request.length);
  assertEquals(send(rig.peerFd.fd, all), all.length);
  rig.ready(EPOLLIN | EPOLLOUT);
  // Nothing is reported by the socket from here on.
  while (rig.tasks.length > 0) rig.tasks.shift()!();
  receive();
  const answers = peer.parse(Uint8Array.from(received), true)
    .filter(({ type }) => type === T.control);
  assertEquals([answers.length, rig.mask], [requests, EPOLLIN]);
  assert(holds > 0);
});
