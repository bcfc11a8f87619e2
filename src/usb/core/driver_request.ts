/**
 * A request of the driver's, kept until it is answered.
 *
 * @module
 */
import { MAX_TOKEN } from "./in_pipe.ts";
import { type Saved, savedBytes, type SavedReader } from "./saved_state.ts";

/** Longest request. **Units**: bytes. */
export const MAX_REQUEST = 64;
/** No token: the host does not want the answer any more. */
export const NO_TOKEN = -1;
const MAX_8 = 0xff;
const MAX_16 = 0xffff;

/** A request, in a place that is made once. */
export class DriverRequest {
  token = NO_TOKEN;
  /** Number of the endpoint; 0: a control transfer, with the fields below. */
  endpoint = 0;
  requestType = 0;
  request = 0;
  value = 0;
  index = 0;
  /** Bytes that the host takes at most, or has sent. */
  length = 0;
  readonly data = new Uint8Array(MAX_REQUEST);
  dataLength = 0;
  /** Time of its arrival. **Units**: monotonic milliseconds. */
  since = 0;

  /** Returns it for the next process. */
  save(): Saved {
    const { token, endpoint, requestType, request, value, index, length } =
      this;
    const data = savedBytes(this.data.subarray(0, this.dataLength));
    return {
      ...{ token, endpoint, requestType, request, value, index, length },
      data,
    };
  }

  /**
   * Is what was saved; it came at `since`.
   *
   * @throws {RangeError} If that is not a request.
   */
  restore(saved: SavedReader, since: number): void {
    this.token = saved.integer("token", 0, MAX_TOKEN);
    this.endpoint = saved.integer("endpoint", 0, MAX_8);
    this.requestType = saved.integer("requestType", 0, MAX_8);
    this.request = saved.integer("request", 0, MAX_8);
    this.value = saved.integer("value", 0, MAX_16);
    this.index = saved.integer("index", 0, MAX_16);
    this.length = saved.integer("length", 0, MAX_16);
    const data = saved.bytes("data", MAX_REQUEST);
    this.data.set(data);
    this.dataLength = data.length;
    this.since = since;
  }
}
