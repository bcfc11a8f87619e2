/**
 * A guest that toggles an output and monitors an input without end, as a double
 * on a thread of its own, and notices each pause.
 *
 * @module
 */

/** Words of the memory that both threads share. */
export const At = {
  /** Toggles whose edge has come. */
  toggles: 0,
  /** Longest time between two of them since it was taken. **Units**: µs. */
  longestUs: 1,
  /** Edges that did not come. */
  lost: 2,
  /** Edges that no request of this turn led to. */
  repeated: 3,
  /** Requests that failed, or whose answer was wrong. */
  errors: 4,
  /** Not 0 once the guest is to end. */
  isOver: 5,
} as const;
const WORDS = 6;

/** Order to the guest's thread. */
export interface GuestOrder {
  /** Vhost-user socket of an aggregator: an output, and an input wired to it. */
  readonly socket: string;
  readonly words: Int32Array<SharedArrayBuffer>;
}

/** The running guest. **Ownership**: `await using` ends it. */
export class TogglingGuest implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #ended = Promise.withResolvers<void>();

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  }

  /** Connects, and returns once it toggles. */
  static async start(socket: string): Promise<TogglingGuest> {
    const worker = new Worker(
      new URL("./toggling_guest_thread.ts", import.meta.url),
      { type: "module" },
    );
    const guest = new TogglingGuest(worker);
    worker.onmessage = () => guest.#ended.resolve();
    worker.onerror = (event) => {
      event.preventDefault();
      guest.#ended.reject(new Error(`The guest failed: ${event.message}`));
    };
    guest.#ended.promise.catch(() => {});
    const order: GuestOrder = { socket, words: guest.#words };
    worker.postMessage(order);
    await guest.goOn();
    return guest;
  }

  /** Toggles so far. */
  get toggles(): number {
    return Atomics.load(this.#words, At.toggles);
  }

  /** Edges that did not come. */
  get lost(): number {
    return Atomics.load(this.#words, At.lost);
  }

  /** Edges that came more often than they were made. */
  get repeated(): number {
    return Atomics.load(this.#words, At.repeated);
  }

  /** Requests that failed, or whose answer was wrong. */
  get errors(): number {
    return Atomics.load(this.#words, At.errors);
  }

  /** Takes the longest pause since it was taken last. **Units**: ms. */
  takePauseMs(): number {
    return Atomics.exchange(this.#words, At.longestUs, 0) / 1000;
  }

  /** Waits until it has toggled some more. @throws {Error} If it has ended. */
  async goOn(): Promise<void> {
    const enough = this.toggles + TOGGLES_TO_GO_ON;
    while (this.toggles < enough) {
      await Promise.race([
        this.#ended.promise,
        new Promise((resolve) => setTimeout(resolve, LOOK_MS)),
      ]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(this.#words, At.isOver, 1);
    await this.#ended.promise.catch(() => {});
    this.#worker.terminate();
  }
}

const TOGGLES_TO_GO_ON = 20;
const LOOK_MS = 5;
