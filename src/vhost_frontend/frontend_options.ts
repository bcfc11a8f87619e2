/**
 * Settings of a frontend.
 *
 * @module
 */
import type { AckHabit } from "./client.ts";
import type { RegionPlan } from "./memory.ts";
import type { OrderName } from "./orders.ts";

/** Options of a frontend. */
export interface FrontendOptions {
  /** Order of messages, by the VMM that sends them so; default "qemu". */
  readonly order?: OrderName;
  /** Virtio features to accept, where offered. */
  readonly features?: bigint;
  /** Protocol features to accept, where offered. */
  readonly protocolFeatures?: bigint;
  /** Which messages to have acknowledged, instead of the order's habit. */
  readonly acknowledge?: AckHabit;
  /** Entries of each ring; 256 by default. */
  readonly queueSize?: number;
  /** Rings to set up: by default 2 with VIRTIO_GPIO_F_IRQ, otherwise 1. */
  readonly queueCount?: number;
  /** Guest memory. */
  readonly regions?: readonly RegionPlan[];
  /** Which region each ring lies in; the first by default. */
  readonly ringRegions?: readonly number[];
  /** Limit for each wait. 2000 by default. **Units**: milliseconds. */
  readonly timeoutMs?: number;
}
