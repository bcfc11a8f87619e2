/**
 * Room in the service manager's store: whether all that the next process needs
 * fits in.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";

/**
 * Marks of a guest that is served and of one that is gone; memory of forces, and
 * of what a guest requested.
 */
const MARKS = 4;
/** The pair that a vhost-user session is kept in. */
const VHOST_USER = 2;
/** Connection, state and interrupt of a PCI card's session. */
const VFIO_USER = 3;
/** The pair that a session with a QEMU's pins, or its adapters, is kept in. */
const QEMU = 2;
/** A client's request for the aggregator, and changes of its rules. */
const REQUEST = 2;

/** Returns the descriptors that an aggregator may have in the store. */
export function storeNeeds(
  { lines, vhostUser, vfioUser, qemuPins, usbredir }: AggregatorSpecification,
): number {
  const ofLines = lines.map(({ source: { kind }, combine }) => {
    const isHostLine = kind === "chip" || kind === "line-name" ||
      kind === "lane";
    return (isHostLine ? 1 : 0) + (combine === undefined ? 0 : 1);
  });
  return ofLines.reduce((sum, count) => sum + count, MARKS + REQUEST) +
    (vhostUser === undefined ? 0 : VHOST_USER) +
    (vfioUser === undefined ? 0 : VFIO_USER) +
    (qemuPins === undefined ? 0 : QEMU) +
    (usbredir === undefined ? 0 : QEMU);
}

/**
 * Returns the notice about PCI cards where no manager keeps their sessions;
 * undefined if there is none. QEMU connects to a card once.
 */
export function unkeptCards(
  aggregators: readonly AggregatorSpecification[],
): string | undefined {
  const names = aggregators.filter(({ vfioUser }) => vfioUser !== undefined)
    .map(({ name }) => name);
  return names.length === 0
    ? undefined
    : `${names.join(", ")}: nothing keeps ` +
      `the session of a PCI card over the end of gpioagg. Its guest reads ones ` +
      `then, and its writes are lost, until the card is removed and added again ` +
      `(device_del, device_add) or the VM is started again. Serve it with ` +
      `--standby, or as a systemd unit with FileDescriptorStoreMax=`;
}

/** Counts what the aggregators of a service need. */
export class StoreRoom {
  readonly #limit: number;
  readonly #report: (problem: string) => void;
  readonly #needs = new Map<string, number>();
  #isReported = false;

  /** Has room for `limit` descriptors; `report` is called when that is too few. */
  constructor(limit: number, report: (problem: string) => void) {
    this.#limit = limit;
    this.#report = report;
  }

  /** Counts aggregators that are served from now on. */
  add(aggregators: readonly AggregatorSpecification[]): void {
    for (const one of aggregators) this.#needs.set(one.name, storeNeeds(one));
    const needed = this.#needs.values().reduce((sum, one) => sum + one, 0);
    if (needed <= this.#limit) {
      this.#isReported = false;
      return;
    }
    if (this.#isReported) return;
    this.#isReported = true;
    this.#report(
      `the service manager keeps ${this.#limit} descriptors for a restart, and ` +
        `${needed} may be needed: lines and sessions that find no room change ` +
        `or end with the next restart. Set FileDescriptorStoreMax=${needed}`,
    );
  }

  /** An aggregator is served no more. */
  remove(name: string): void {
    this.#needs.delete(name);
  }
}
