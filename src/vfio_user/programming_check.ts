/**
 * Detection of a card that its guest cannot reach: a guest that was migrated or
 * restored from a snapshot goes on with a card without addresses, and QEMU does
 * not notice.
 *
 * @module
 */
import type { PeerTimes } from "../peer/peer_process.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";

/** Time that firmware and kernel have to find the card. **Units**: ms. */
const LIMIT_MS = 30_000;
/** Time on a CPU that shows that the machine runs. **Units**: ms. */
const RUNNING_MS = 3000;

const ADVICE =
  "it has not given the card an address since the VMM connected: " +
  "was it restored from a snapshot, or migrated? Remove the card (device_del) " +
  "and add it again (device_add)";

/** Options of a check. */
interface ProgrammingCheckOptions {
  readonly loop: EventLoop;
  readonly peerTimes: () => PeerTimes | undefined;
  readonly isProgrammed: () => boolean;
  /** Called at most once. */
  readonly report: (text: string) => void;
}

/** Looks every 30 s until the card is programmed or was reported. */
export class ProgrammingCheck implements Disposable {
  readonly #options: ProgrammingCheckOptions;
  readonly #busyAtStart: number;
  #timer: Timer;

  constructor(options: ProgrammingCheckOptions) {
    this.#options = options;
    this.#busyAtStart = options.peerTimes()?.process.busyMs ?? 0;
    this.#timer = options.loop.after(LIMIT_MS, this.#look);
  }

  readonly #look = (): void => {
    const { isProgrammed, loop, peerTimes, report } = this.#options;
    if (isProgrammed()) return;
    const busyMs = (peerTimes()?.process.busyMs ?? 0) - this.#busyAtStart;
    // A machine that is paused, or was never started, has time.
    if (busyMs >= RUNNING_MS) report(ADVICE);
    else this.#timer = loop.after(LIMIT_MS, this.#look);
  };

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}
