/**
 * The records of all reactors of a service, and the times of their edges.
 *
 * @module
 */
import { clockNs, wallOffsetNs } from "../../../ffi/clock.ts";
import { EdgeSource } from "./edge_source.ts";

/** Settings of the record. */
interface RecordSettings {
  /** Edges that each reactor has room for. **Units**: 16 bytes each. */
  readonly keep: number;
  /** True to record inputs that their guests do not watch. */
  readonly withInputs: boolean;
}

/** Records of reactors that have ended. */
const MAX_CLOSED = 8;
/** A larger step of the wall clock moves the times of all edges. */
const STEP_NS = 1_000_000n;

/** Difference of two clocks, which its readings change by steps only. */
class SteadyOffset {
  readonly #read: () => bigint;
  #value: bigint;

  constructor(read: () => bigint) {
    this.#read = read;
    this.#value = read();
  }

  get value(): bigint {
    const now = this.#read();
    const step = now - this.#value;
    if (step > STEP_NS || step < -STEP_NS) this.#value = now;
    return this.#value;
  }
}

/** All records of a service. **Ownership**: of their memory. */
export class EdgeStore implements Disposable {
  readonly #settings: RecordSettings;
  readonly #sources: EdgeSource[] = [];
  readonly #closed: EdgeSource[] = [];
  #nextSerial = 0;
  readonly #offset: SteadyOffset;
  readonly #setting: SteadyOffset;
  /** Time from which on no record was freed. **Units**: ns, monotonic. */
  #keptSince = Number(clockNs("monotonic"));

  /** Has no record yet; tests bring their own wall clock. */
  constructor(
    settings: RecordSettings,
    readOffset: typeof wallOffsetNs = wallOffsetNs,
  ) {
    this.#settings = settings;
    this.#offset = new SteadyOffset(() => readOffset("monotonic"));
    this.#setting = new SteadyOffset(() => readOffset("boot"));
  }

  /** All records in the order in which they began. */
  get sources(): readonly EdgeSource[] {
    return this.#sources;
  }

  /** Makes the record of one more reactor. @throws {OsError} If it cannot. */
  open(): EdgeSource {
    const { keep, withInputs } = this.#settings;
    const source: EdgeSource = new EdgeSource(
      this.#nextSerial++,
      keep,
      withInputs,
      () => this.#closedNow(source),
    );
    this.#sources.push(source);
    return source;
  }

  /**
   * Time from which on all edges are in memory. **Units**: nanoseconds,
   * monotonic.
   */
  get keptSince(): number {
    let since = this.#keptSince;
    for (const { reader } of this.#sources) {
      if (reader === undefined || reader.tail === 0) continue;
      since = Math.max(since, reader.edgeTime(reader.tail));
    }
    return since;
  }

  /**
   * Time since 1970 minus monotonic time, as the wall clock is set now.
   * **Units**: nanoseconds.
   *
   * All times are by the clock as it is set now: one that is set after the boot
   * corrects those before.
   */
  get offset(): bigint {
    return this.#offset.value;
  }

  /**
   * Setting of the wall clock: another one after it was set, and the same after a
   * sleep of the machine. **Units**: nanoseconds.
   */
  get clockSetting(): bigint {
    return this.#setting.value;
  }

  [Symbol.dispose](): void {
    for (const source of this.#sources) source[Symbol.dispose]();
  }

  #closedNow(source: EdgeSource): void {
    this.#closed.push(source);
    if (this.#closed.length <= MAX_CLOSED) return;
    const oldest = this.#closed.shift()!;
    this.#sources.splice(this.#sources.indexOf(oldest), 1);
    for (const { end = 0 } of oldest.blocks) {
      this.#keptSince = Math.max(this.#keptSince, end);
    }
    oldest[Symbol.dispose]();
  }
}
