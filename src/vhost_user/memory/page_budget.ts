/**
 * Pages that the kernel may allocate because of one aggregator's frontends.
 *
 * Guest memory is sparse: a page exists once it was used. A guest whose buffers
 * lie in pages that it never used has this process allocate them, and the kernel
 * counts them as the memory of this process's control group until the VMM is
 * gone: the whole RAM of a guest would fit into no `MemoryMax`, and all guests
 * would end with the process. Drivers write to a request before the device reads
 * it, so that guests need next to none.
 *
 * @module
 */

/** Pages that a session may have allocated at most: 16 MiB. */
export const MAX_PAGES = 4096;
/**
 * Pages a second by which the next session may have more: of VMs that are started
 * again, the memory of the one before is gone.
 */
const PAGES_PER_SECOND = 16;
const MS_PER_S = 1000;

/** The budget of one aggregator, whichever frontend it has. */
export class PageBudget {
  readonly #now: () => number;
  #pages = MAX_PAGES;
  #at: number;

  /** Begins with a full budget; `now` returns monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#at = now();
  }

  /** Is called when a session begins; nothing is added while it lasts. */
  beginSession(): void {
    const now = this.#now();
    const more = (now - this.#at) * PAGES_PER_SECOND / MS_PER_S;
    this.#at = now;
    this.#pages = Math.min(MAX_PAGES, this.#pages + more);
  }

  /** Takes pages; false if there are not so many left, then none are left. */
  take(pages: number): boolean {
    this.#pages -= pages;
    if (this.#pages >= 0) return true;
    this.#pages = 0;
    return false;
  }
}
