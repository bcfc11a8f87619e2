/**
 * Extent of a measurement, and its subject.
 *
 * @module
 */
import { PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK } from "../../src/vhost_user/messages/protocol.ts";
import { SUPPORTED_PROTOCOL_FEATURES } from "../../src/vhost_frontend/features.ts";

/** Lines of every aggregator. */
export const LINES = 8;
/** Requests under way where many are. */
export const DEPTH = 64;

/** Limit of every wait of a double. **Units**: milliseconds. */
export const LIMIT_MS = 10_000;

/** Features that QEMU negotiates for virtio-gpio: no in-flight log. */
export const LIKE_QEMU = SUPPORTED_PROTOCOL_FEATURES &
  ~PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK;

/** Extent of a measurement. */
export interface Effort {
  readonly rounds: number;
  /** Round trips in one round. */
  readonly roundTrips: number;
  /** Requests in one round at full depth. */
  readonly requests: number;
  readonly edges: number;
  readonly settleMs: number;
  readonly restMs: number;
  readonly idleMs: number;
  readonly starts: number;
}
