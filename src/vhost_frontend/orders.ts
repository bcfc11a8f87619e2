/**
 * In which order the known frontends say the same things. A backend may lean
 * on none of these orders, so every test of one can be run with all.
 *
 * @module
 */
import type { AckHabit } from "./client.ts";

/** A message that concerns the whole device. */
export type DeviceStep =
  | "owner"
  | "features"
  | "protocol"
  | "queueCount"
  | "memorySlots"
  | "backendRequests"
  | "driverFeatures"
  | "memory"
  | "inflight"
  | "driverOk";

/** A message that concerns one ring. */
export type RingStep =
  | "dummyCall"
  | "size"
  | "base"
  | "address"
  | "kick"
  | "call"
  | "enable"
  | "disable"
  | "getBase";

/** A device step, or ring steps that are all taken for one ring after another. */
export type Step = DeviceStep | readonly RingStep[];

/**
 * Kind of a call fd: an eventfd, or the writing end of a byte stream. (UML
 * passes a pipe. Here it is a stream socket, the same thing to `write`.)
 */
export type CallKind = "eventfd" | "stream";

/** The habits of one frontend. */
export interface Order {
  /** From the connection to the first config read. */
  readonly opening: readonly Step[];
  /** From a driver that is ready to rings that run. */
  readonly starting: readonly Step[];
  /** From rings that run to rings that do not. */
  readonly stopping: readonly Step[];
  /** Stops the rings from the last to the first. */
  readonly stopsBackwards?: boolean;
  /** Which messages it wants acknowledged. */
  readonly acknowledge: AckHabit;
  /** Kind of the call fds. */
  readonly call: CallKind;
  /** Uses one call fd for all rings. */
  readonly sharedCall?: boolean;
  /** Sends memory by ADD_MEM_REG where the backend can take it. */
  readonly memorySlots?: boolean;
}

/** The frontends whose orders are known, each by its name. */
export const ORDERS = {
  // hw/virtio/vhost.c and vhost-user.c: a dummy call fd at once, the real one
  // after the kick.
  qemu: {
    opening: [
      "features",
      "protocol",
      "queueCount",
      "memorySlots",
      "backendRequests",
      "owner",
      "features",
      ["dummyCall"],
    ],
    starting: [
      "driverFeatures",
      "memory",
      "inflight",
      ["size", "base", "address", "kick", "call"],
      "driverOk",
      ["enable"],
    ],
    stopping: [["disable"], ["getBase"]],
    acknowledge: "effects",
    call: "eventfd",
    memorySlots: true,
  },
  // SET_FEATURES only when the guest activates the device.
  crosvm: {
    opening: ["owner", "features", "protocol", "queueCount", "backendRequests"],
    starting: [
      "driverFeatures",
      "memory",
      "inflight",
      ["size", "address", "base", "call", "kick", "enable"],
      "driverOk",
    ],
    stopping: [["disable"], ["getBase"]],
    acknowledge: "always",
    call: "eventfd",
  },
  // All sizes first, the channel for backend requests last of all.
  "cloud-hypervisor": {
    opening: ["owner", "features", "protocol", "queueCount", "memorySlots"],
    starting: [
      "driverFeatures",
      "memory",
      ["size"],
      "inflight",
      ["address", "base", "call", "kick"],
      ["enable"],
      "driverOk",
      "backendRequests",
    ],
    stopping: [["disable"], ["getBase"]],
    acknowledge: "always",
    call: "eventfd",
  },
  // arch/um/drivers/virtio_uml.c: call fds are pipes, no GET_VRING_BASE ever;
  // the GET_FEATURES at the end is its barrier.
  uml: {
    opening: ["owner", "features", "protocol", "backendRequests"],
    starting: [
      "driverFeatures",
      "memory",
      "inflight",
      ["call", "size", "base", "address"],
      ["kick"],
      ["enable"],
      "driverOk",
    ],
    stopping: [["disable"], "features"],
    stopsBackwards: true,
    acknowledge: "always",
    call: "stream",
  },
  // GET_FEATURES before SET_OWNER, one call fd for all rings.
  libkrun: {
    opening: ["features", "owner", "protocol", "queueCount"],
    starting: [
      "driverFeatures",
      "memory",
      "inflight",
      ["size", "base", "address", "kick", "call", "enable"],
      "driverOk",
    ],
    stopping: [["disable"]],
    acknowledge: "never",
    call: "eventfd",
    sharedCall: true,
  },
} as const satisfies Record<string, Order>;

/** The name of a frontend whose order is known. */
export type OrderName = keyof typeof ORDERS;

/** All of the names, for tests that go through them. */
export const ORDER_NAMES = Object.keys(ORDERS) as OrderName[];
