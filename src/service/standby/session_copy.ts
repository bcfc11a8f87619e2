/**
 * Copy of the session that a service keeps, for the warm-up of the next process:
 * the session itself ends with its service.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receiveCopy, send } from "../../../ffi/socket_message.ts";
import { packetPair } from "../../../ffi/unix_socket.ts";
import { sessionFdName } from "../../aggregator/restart/fd_store.ts";
import { SessionPart } from "../../peer/session_store.ts";
import type { KeptFd } from "../restart/manager_fd_store.ts";
import type { KeptFds } from "./kept_fds.ts";

/** Longest message of a kept session. **Units**: bytes. */
const MAX_BYTES = 65_536;

/**
 * Returns descriptors of a copy, as a manager would hand them over.
 * **Ownership**: the caller's.
 *
 * @param aggregator Name of the session's aggregator.
 * @throws {Error} If no session of it is kept.
 */
export function copyOfSession(kept: KeptFds, aggregator: string): KeptFd[] {
  const name = sessionFdName(aggregator, SessionPart.Receiver);
  const before = kept.list().find(([held]) => held === name);
  const bytes = new Uint8Array(MAX_BYTES);
  const fds: OwnedFd[] = [];
  const count = before === undefined ? -1 : receiveCopy(before[1], bytes, fds);
  if (count < 0) throw new Error("its session is not kept");
  const [sender, receiver] = packetPair();
  send(sender.fd, bytes.subarray(0, count), fds.map(({ fd }) => fd));
  for (const fd of fds) fd.close();
  return [
    [sessionFdName(aggregator, SessionPart.Sender), sender.release()],
    [name, receiver.release()],
  ];
}
