import { assert, assertThrows } from "@std/assert";
import {
  descriptorShares,
  SessionDescriptors,
} from "../../ffi/descriptor_budget.ts";
import { EMFILE } from "../../ffi/errno.ts";
import { OsError } from "../../ffi/os_error.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { Reactor } from "../reactor/reactor.ts";
import { PeerServer } from "./peer_server.ts";

const LIMIT = 1024;

for (const kind of ["connection", "resumed"] as const) {
  Deno.test(`PeerServer gives the descriptors of a ${kind} back that cannot be served`, () => {
    using reactor = new Reactor({ onError: () => {} });
    const descriptors = new SessionDescriptors(LIMIT);
    const [connection, peer] = socketPair();
    using _peer = peer;
    const [listener, other] = socketPair();
    using _other = other;
    assertThrows(
      () =>
        new PeerServer({
          loop: reactor,
          endpoint: kind === "connection" ? { connection } : { listener },
          resumed: kind === "resumed" ? connection : undefined,
          events: {
            connected: () => {},
            disconnected: () => {},
            waiting: () => {},
            fault: () => {},
          },
          begin: ({ connection }) => {
            connection.close();
            throw new OsError("epoll_ctl", EMFILE, "a session");
          },
          descriptors,
        }),
      OsError,
    );
    if (kind === "connection") listener.close();
    const { sessions } = descriptorShares(LIMIT);
    assert(descriptors.reserve(sessions) !== undefined);
  });
}
