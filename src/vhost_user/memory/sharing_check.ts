/**
 * Looks whether a guest's memory is shared. A guest whose memory is not waits
 * for ever in its driver, and neither it nor its VMM says why.
 *
 * @module
 */
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";
import { NO_MEMORY, PRIVATE_MEMORY } from "./advice.ts";

/** Time to the first look; each later one is twice as far. **Units**: ms. */
const FIRST_LOOK_MS = 1000;
/** Looks in a session: the last one is half a minute after the first start. */
const LOOKS = 5;

/** Rings under the check. */
interface CheckedRings {
  /** True if a ring was started and there is no memory. */
  readonly lacksMemory: boolean;
  /** Checks that the driver's work is seen in the memory. */
  judgeMemory(): "used" | "foreign" | "unknown";
}

/** The look at one session's memory; disposing ends it. */
export class SharingCheck implements Disposable {
  readonly #loop: EventLoop;
  readonly #rings: () => CheckedRings;
  readonly #onFault: (advice: string) => void;
  #timer: Timer | undefined;
  #looks = 0;

  /** `onFault` is called once at most, with what to do. */
  constructor(
    loop: EventLoop,
    rings: () => CheckedRings,
    onFault: (advice: string) => void,
  ) {
    this.#loop = loop;
    this.#rings = rings;
    this.#onFault = onFault;
  }

  /** Begins to look, now that a ring was started; does nothing the next time. */
  begin(): void {
    if (this.#timer !== undefined || this.#looks >= LOOKS) return;
    const ms = FIRST_LOOK_MS * 2 ** this.#looks++;
    this.#timer = this.#loop.after(ms, this.#look);
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const rings = this.#rings();
    const found = rings.judgeMemory();
    if (rings.lacksMemory) this.#end(NO_MEMORY);
    else if (found === "foreign") this.#end(PRIVATE_MEMORY);
    else if (found === "used") this.#looks = LOOKS;
    else this.begin();
  };

  #end(advice: string): void {
    this.#looks = LOOKS;
    this.#onFault(advice);
  }

  /** Begins anew with a new session of the same connection. */
  renew(): void {
    this[Symbol.dispose]();
    this.#looks = 0;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#looks = LOOKS;
  }
}
