/**
 * An event loop for one part of the process, such as an aggregator: what its
 * handlers throw is that part's affair, and reaches no other.
 *
 * @module
 */
import type {
  EventLoop,
  Poll,
  PollSettings,
  PollTarget,
  ShareOptions,
  Timer,
  TimeShare,
  Watch,
} from "./event_loop.ts";

/** Tasks of one part that are run per turn. */
const TASKS_PER_TURN = 16;

/** Passes everything on to a loop, but for what handlers throw. */
export class GuardedLoop implements EventLoop {
  readonly #loop: EventLoop;
  readonly #onError: (error: unknown) => void;
  #tasks: (() => void)[] = [];

  /** `onError` takes what a handler has thrown; it must not throw itself. */
  constructor(loop: EventLoop, onError: (error: unknown) => void) {
    this.#loop = loop;
    this.#onError = onError;
  }

  /** See {@linkcode EventLoop.now}. */
  get now(): number {
    return this.#loop.now;
  }

  /** See {@linkcode EventLoop.watch}. */
  watch(
    fd: number,
    events: number,
    onReady: (events: number) => void,
    share?: TimeShare,
  ): Watch {
    const guarded = (events: number) => {
      try {
        onReady(events);
      } catch (error) {
        watch.failed();
        this.#onError(error);
      }
    };
    const watch = this.#loop.watch(fd, events, guarded, share);
    return watch;
  }

  /** See {@linkcode EventLoop.after}. */
  after(ms: number, onElapsed: () => void): Timer {
    return this.#loop.after(ms, () => this.#run(onElapsed));
  }

  /** See {@linkcode EventLoop.defer}. */
  defer(task: () => void): void {
    this.#tasks.push(task);
    if (this.#tasks.length === 1) this.#loop.defer(this.#runTasks);
  }

  /** See {@linkcode EventLoop.share}. */
  share(onError = this.#onError, options?: ShareOptions): TimeShare {
    return this.#loop.share(onError, options);
  }

  /** See {@linkcode EventLoop.poll}. What a target throws is its share's. */
  poll(
    target: PollTarget,
    settings: PollSettings,
    share: TimeShare,
  ): Poll | undefined {
    return this.#loop.poll?.(target, settings, share);
  }

  /** See {@linkcode EventLoop.onMemoryFault}. */
  onMemoryFault(check: () => void): Disposable {
    return this.#loop.onMemoryFault(() => this.#run(check));
  }

  readonly #runTasks = (): void => {
    const tasks = this.#tasks.splice(0, TASKS_PER_TURN);
    if (this.#tasks.length > 0) this.#loop.defer(this.#runTasks);
    for (const task of tasks) this.#run(task);
  };

  #run(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#onError(error);
    }
  }
}
