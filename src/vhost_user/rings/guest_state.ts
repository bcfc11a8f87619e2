/**
 * State that a session's device holds of its guest, and its storage for the
 * next session or process.
 *
 * @module
 */
import type { VirtioDevice } from "../../virtio/device.ts";
import type { InflightRegion } from "../memory/inflight_region.ts";

/**
 * The guest's state in one device. **Ownership**: owns the in-flight region; the
 * device is lent.
 */
export class GuestState {
  readonly #device: VirtioDevice;
  #region: InflightRegion | undefined;
  /** Set if the device knows the features; a reset makes it forget them. */
  #hasToldFeatures = false;
  /** Set if the device keeps the guest's state in the region's tail. */
  #isKept = false;
  /** Set if the device may hold a guest's state. */
  #isKnown = false;
  /** State of a guest that was given up while its rings were stopped. */
  #abandoned: Uint8Array | undefined;

  /** Begins without a guest. */
  constructor(device: VirtioDevice) {
    this.#device = device;
  }

  /** In-flight region, if the frontend wants one. */
  get region(): InflightRegion | undefined {
    return this.#region;
  }

  /** True if the device may hold a guest's state. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** True if a guest was given up that may go on after all. */
  get isAbandoned(): boolean {
    return this.#abandoned !== undefined;
  }

  /**
   * Has another region, or none. What the old one says of the guest stays in
   * it. **Ownership**: taken over.
   */
  setRegion(region: InflightRegion | undefined): void {
    if (this.#isKept) this.#device.keepState(undefined, false);
    this.#isKept = false;
    this.#region?.[Symbol.dispose]();
    this.#region = region;
  }

  /** Passes the features to the device before the next ring starts. */
  forgetFeatures(): void {
    this.#hasToldFeatures = false;
  }

  /**
   * Makes the device ready before a ring starts: the guest's own words come
   * after.
   *
   * @param isSame Returns true if the region is of this guest, which an
   * earlier session or process left without its noticing.
   * @returns True if a guest goes on that was given up.
   */
  begin(
    features: bigint,
    isSame: (region: InflightRegion) => boolean,
  ): boolean {
    if (!this.#hasToldFeatures) {
      this.#hasToldFeatures = true;
      this.#device.setFeatures(features);
    }
    const isTakenUp = this.#takeUp();
    this.#keep(isSame);
    this.#isKnown = true;
    return isTakenUp;
  }

  /**
   * Goes on with the guest of an earlier process, by what the region says.
   *
   * @param isSame True unless the rings show that it is another guest by now.
   */
  resume(features: bigint, isAbandoned: boolean, isSame: boolean): void {
    if (isAbandoned) {
      const tail = this.#region?.tail(this.#device.stateBytes);
      this.#abandoned = isSame ? tail?.slice() : undefined;
      return;
    }
    this.#device.guestBegins?.(!isSame);
    this.begin(features, () => isSame);
  }

  /**
   * Gives the guest up: the device is reset, and its state is kept in case that
   * it goes on after all.
   */
  abandon(): void {
    const bytes = this.#device.stateBytes;
    const tail = this.#isKept ? this.#region?.tail(bytes) : undefined;
    // What the region says outlives this, for a guest that comes back later.
    if (tail !== undefined) this.#abandoned = tail.slice();
    else {
      this.#abandoned = new Uint8Array(bytes);
      this.#device.keepState(this.#abandoned, false);
    }
    this.#device.keepState(undefined, false);
    this.#isKept = false;
    this.#reset();
  }

  /**
   * Forgets the guest, and resets the device if it has used it; no ring may be
   * active. Returns true if it had.
   */
  discard(): boolean {
    this.#abandoned = undefined;
    // Otherwise the device itself erases what is kept.
    if (!this.#isKept) this.#region?.tail(this.#device.stateBytes)?.fill(0);
    if (!this.#isKnown) return false;
    this.#reset();
    return true;
  }

  /** Restores what a guest had that was given up and goes on after all. */
  #takeUp(): boolean {
    const state = this.#abandoned;
    if (state === undefined) return false;
    this.#abandoned = undefined;
    this.#device.keepState(state, true);
    this.#device.keepState(undefined, false);
    return true;
  }

  /** Has the device keep the state in the region, where that has a tail. */
  #keep(isSame: (region: InflightRegion) => boolean): void {
    const region = this.#region;
    if (this.#isKept || region === undefined) return;
    this.#isKept = true;
    const tail = region.tail(this.#device.stateBytes);
    if (tail === undefined) return;
    this.#device.keepState(tail, !this.#isKnown && isSame(region));
  }

  #reset(): void {
    this.#isKnown = false;
    this.#hasToldFeatures = false;
    this.#device.reset();
  }
}
