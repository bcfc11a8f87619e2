/**
 * A ring whose driver's index is looked at for a while instead of waiting for its
 * kicks.
 *
 * @module
 */
import type {
  EventLoop,
  Poll,
  PollSettings,
  PollTarget,
  TimeShare,
} from "../../reactor/event_loop.ts";
import type { SplitQueue } from "../../virtio/queue/split_queue.ts";

/** Actions of the ring that is polled. */
interface PolledRing {
  /** Serves the ring for one turn. */
  process(): void;
  /** Serves it in the peer's next turn. Idempotent. */
  goOnLater(): void;
}

/** The polling of one ring. */
export class RingPoll implements PollTarget {
  readonly #ring: PolledRing;
  readonly #settings: PollSettings;
  readonly #poll: Poll | undefined;
  #queue: SplitQueue | undefined;

  /** Makes the polling of a ring that is stopped. */
  constructor(
    ring: PolledRing,
    settings: PollSettings,
    loop: EventLoop,
    share: TimeShare,
  ) {
    this.#ring = ring;
    this.#settings = settings;
    this.#poll = loop.poll?.(this, settings, share);
  }

  /** See {@linkcode PollTarget.hasNews}. */
  get hasNews(): boolean {
    return this.#queue!.hasNews;
  }

  /** Is called after the queue was served because of a kick. */
  begin(queue: SplitQueue): void {
    const poll = this.#poll;
    if (poll === undefined || this.#settings.periodUs === 0) return;
    if (poll.isActive || !poll.begin()) return;
    this.#queue = queue;
    queue.beginPolling();
  }

  /** Ends polling with the ring, which asks for kicks again. */
  stop(): void {
    this.#poll?.stop();
    this.#queue?.endPolling();
    this.#queue = undefined;
  }

  /** See {@linkcode PollTarget.serveNews}. */
  serveNews(): void {
    this.#ring.process();
  }

  /** See {@linkcode PollTarget.serveLater}. */
  serveLater(): void {
    this.#ring.goOnLater();
  }

  /** See {@linkcode PollTarget.pollEnded}. */
  pollEnded(): void {
    this.#queue?.endPolling();
    this.#queue = undefined;
    this.#ring.process();
  }
}
