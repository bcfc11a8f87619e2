/**
 * INTx over vfio-user: the client learns of an interrupt by an eventfd, and
 * there is no message that lowers the line.
 *
 * After each interrupt the line is masked until the client unmasks it, which
 * QEMU does at the guest's first access to a BAR. By then the guest's handler is
 * in the middle of its work, and the line is usually still active: triggering at
 * once would cost 2 interrupts for each edge. Therefore a line that is active at
 * the unmask is triggered again only if it still is 1 ms later.
 *
 * @module
 */
import type { CallFd } from "../peer/notify_fds.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";

/** **Units**: milliseconds. */
const SETTLE_MS = 1;

/** The interrupt line of a card. **Ownership**: owns the trigger. */
export class Intx implements Disposable {
  readonly #loop: EventLoop;
  readonly #isActive: () => boolean;
  /** Called if the client's eventfd made this process wait. */
  readonly #onWaited: () => void;
  #trigger: CallFd | undefined;
  #isMasked = false;
  #settling: Timer | undefined;

  constructor(
    loop: EventLoop,
    isActive: () => boolean,
    onWaited: () => void,
  ) {
    this.#loop = loop;
    this.#isActive = isActive;
    this.#onWaited = onWaited;
  }

  /** Replaces the trigger; undefined: interrupts are off. */
  setTrigger(trigger: CallFd | undefined): void {
    this.#endSettling();
    this.#trigger?.[Symbol.dispose]();
    this.#trigger = trigger;
    this.#isMasked = false;
    this.update();
  }

  /** Triggers, whether the line is active or not. */
  triggerOnce(): void {
    if (this.#trigger?.signal() === false) this.#onWaited();
  }

  mask(): void {
    this.#isMasked = true;
    this.#endSettling();
  }

  unmask(): void {
    this.#isMasked = false;
    this.#endSettling();
    if (this.#trigger === undefined || !this.#isActive()) return;
    this.#settling = this.#loop.after(SETTLE_MS, () => {
      this.#settling = undefined;
      this.update();
    });
  }

  /** Triggers if the line is active and nothing forbids it. */
  update(): void {
    if (!this.#isActive()) {
      this.#endSettling();
      return;
    }
    if (
      this.#isMasked || this.#trigger === undefined ||
      this.#settling !== undefined
    ) return;
    this.#isMasked = true;
    this.triggerOnce();
  }

  #endSettling(): void {
    this.#settling?.[Symbol.dispose]();
    this.#settling = undefined;
  }

  [Symbol.dispose](): void {
    this.#endSettling();
    this.#trigger?.[Symbol.dispose]();
    this.#trigger = undefined;
  }
}
