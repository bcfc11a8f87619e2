/**
 * Reads the in-flight logs of a large region before a ring starts: a log may
 * claim as many heads as the largest ring has, and to order them takes longer
 * than a turn of the reactor should.
 *
 * @module
 */
import type { TimeShare } from "../../reactor/event_loop.ts";
import { atOnce, type Pieces } from "../../reactor/pieces.ts";
import type { InflightRegion } from "../memory/inflight_region.ts";

/** Needs of a reader. */
interface LogReaderHost {
  /** The frontend's time in the loop. */
  readonly share: TimeShare;
  /** Rings of the session. */
  readonly ringCount: number;
  /** The logs were read in later turns; rings may start now. */
  read(): void;
  /** Reading threw, which it must not. */
  broke(error: unknown): void;
}

/** Reads one region at a time. **Ownership**: the region is lent. */
export class LogReader {
  readonly #host: LogReaderHost;
  #region: InflightRegion | undefined;
  #work: Pieces | undefined;
  #willGoOn = false;

  /** Begins without a region. */
  constructor(host: LogReaderHost) {
    this.#host = host;
  }

  /**
   * Returns true once the region's logs are read, and there is nothing to wait
   * for; otherwise they are read in later turns. Logs of usual length are read
   * at once.
   */
  isReady(region: InflightRegion | undefined): boolean {
    if (region === undefined || region.isRead) return true;
    if (region === this.#region) return false;
    const work = region.read(this.#host.ringCount);
    if (region.isShort) {
      atOnce(work);
      return true;
    }
    this.#region = region;
    this.#work = work;
    this.#goOnLater();
    return false;
  }

  /** Reads no more of the region, which is about to be unmapped. */
  cancel(): void {
    this.#region = undefined;
    this.#work = undefined;
  }

  #goOnLater(): void {
    if (this.#willGoOn) return;
    this.#willGoOn = true;
    this.#host.share.defer(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#willGoOn = false;
    const work = this.#work;
    if (work === undefined) return;
    try {
      do {
        if (work.next().done === true) {
          this.cancel();
          this.#host.read();
          return;
        }
      } while (!this.#host.share.isSpent);
      this.#goOnLater();
    } catch (error) {
      this.cancel();
      this.#host.broke(error);
    }
  };
}
