/**
 * A reactor's host in a loop that the test turns, with a clock by hand and a
 * directory for sockets.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../src/config/specification.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import type {
  LineChanges,
  ServiceEvent,
} from "../../src/service/messages/messages.ts";
import { ReactorHost } from "../../src/service/reactor/reactor_host.ts";

/** Turns after which everything that is ready has been served. */
const TURNS = 12;

/** The host. Disposing ends it and removes the directory. */
export class HostRig implements Disposable {
  readonly directory: string;
  readonly loop: Reactor;
  readonly host: ReactorHost;
  /** Everything that was reported, oldest first. */
  readonly events: ServiceEvent[] = [];
  readonly changes: LineChanges[] = [];
  readonly #stack = new DisposableStack();
  #now = 0;

  /**
   * Begins without aggregators.
   *
   * @param readingMs Time that passes with each reading of the clock, and so with
   * all that is done: of a slow machine. **Units**: ms.
   */
  constructor(readingMs = 0) {
    this.directory = Deno.makeTempDirSync({ prefix: "gpioagg-host-" });
    this.#stack.defer(() =>
      Deno.removeSync(this.directory, { recursive: true })
    );
    this.loop = this.#stack.use(
      new Reactor({
        onError: (error) => {
          throw error;
        },
        now: () => this.#now += readingMs,
      }),
    );
    this.host = this.#stack.use(
      new ReactorHost(this.loop, {
        service: (event) => this.events.push(event),
        changes: (change) => this.changes.push(change),
        idle: () => {},
      }),
    );
  }

  /** Serves these aggregators. */
  add(...specifications: AggregatorSpecification[]): void {
    all(this.host.add(specifications, []));
  }

  /** Serves everything that is ready. */
  turn(): void {
    for (let i = 0; i < TURNS; i++) this.loop.turn(0);
  }

  /** Monotonic time. **Units**: ms. */
  get now(): number {
    return this.#now;
  }

  /** Lets time pass, in steps, and serves what is due. */
  pass(ms: number, step = 50): void {
    for (const end = this.#now + ms; this.#now < end;) {
      this.#now = Math.min(this.#now + step, end);
      this.turn();
    }
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** Does all pieces of a command. */
export function all<T>(steps: Iterable<T>): T[] {
  return [...steps];
}
