/**
 * A loop of a process that is killed: the kernel closes what it watched, and no
 * owner does anything any more.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { Reactor } from "../../src/reactor/reactor.ts";

/** Objects of killed processes, which are not collected as garbage. */
const remains: unknown[] = [];

/** The loop. What it throws is a failure of the test. */
export class MortalReactor extends Reactor {
  readonly #watched = new Set<number>();

  constructor(now: () => number) {
    super({
      onError: (error) => {
        throw error;
      },
      now,
    });
  }

  override watch(...args: Parameters<Reactor["watch"]>) {
    const [fd] = args;
    const watch = super.watch(...args);
    this.#watched.add(fd);
    return {
      update: (events: number) => watch.update(events),
      failed: () => watch.failed(),
      [Symbol.dispose]: () => {
        this.#watched.delete(fd);
        watch[Symbol.dispose]();
      },
    };
  }

  /** The process is killed; `process` is all that it had. */
  kill(process: unknown): void {
    for (const fd of this.#watched) libc().close(fd);
    remains.push(process);
  }
}
