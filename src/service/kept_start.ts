/**
 * A start with what an earlier process kept: lines as they were, and sessions
 * with VMMs in their middle. If it fails, all of that is for the next start.
 *
 * @module
 */
import type { Reactors } from "./isolate/reactors.ts";
import { ListenSocket } from "./sockets/listen_socket.ts";
import type { ManagerFdStore } from "./restart/manager_fd_store.ts";

/** The start of one service. */
export class KeptStart {
  #leaves: boolean;

  /** Begins it, before anything that is kept was taken. */
  constructor(store: Pick<ManagerFdStore, "leftNames"> | undefined) {
    this.#leaves = store !== undefined && store.leftNames.length > 0;
  }

  /**
   * True while a failure leaves all to the next start: a manager has kept
   * something, and decides what follows the end of this process, as after a
   * crash.
   */
  get leaves(): boolean {
    return this.#leaves;
  }

  /** The service is ready, or is to end: its lines go where their rules say. */
  end(): void {
    this.#leaves = false;
  }

  /** Serves nothing from now on. This process is to end then. */
  async leave(
    reactor: Pick<Reactors, "handOver">,
    report: (text: string) => void,
  ): Promise<void> {
    report(
      "cannot start: lines and sessions that were kept stay as they are, for " +
        "the next start",
    );
    await reactor.handOver();
    ListenSocket.leaveAll();
  }
}
