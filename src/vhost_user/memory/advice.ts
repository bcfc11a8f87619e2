/**
 * Words for what a VMM or its guest did that cannot be served: what to do.
 *
 * @module
 */
import {
  CHAIN_FAULT_TEXTS,
  ChainFault,
} from "../../virtio/queue/chain_fault.ts";
import { MAX_PAGES } from "./page_budget.ts";
import { MAX_VRING_SIZE } from "../messages/protocol.ts";

/** Ways to share memory, by VMM. */
const SHARE = "Share all of it. QEMU: -object memory-backend-memfd,id=mem," +
  "size=SIZE,share=on -machine memory-backend=mem; libvirt: " +
  "<memoryBacking><source type='memfd'/><access mode='shared'/>" +
  "</memoryBacking>; Cloud Hypervisor: --memory size=SIZE,shared=on";

/** Of a VMM that starts the device and hands over no memory at all. */
export const NO_MEMORY = "its VMM shares no memory with gpioagg, so the " +
  `guest's driver waits for ever. ${SHARE}`;

/** Of a VMM whose memory stays empty though the guest's driver kicks. */
export const PRIVATE_MEMORY = "the guest's driver has sent a request that is " +
  "not in the memory that its VMM handed over: that is mapped privately, so " +
  `the driver waits for ever. ${SHARE}`;

/** Of an address outside the memory that is shared. */
export const OUTSIDE_MEMORY = "All of the guest's memory must be shared, " +
  "hot-plugged memory too (QEMU: share=on at each memory backend, and no " +
  "iommu_platform=on)";

/** Of a guest that goes on from another session without an in-flight log. */
export const LOST_INTERRUPTS = "it goes on from an earlier session, and its " +
  "VMM handed over no in-flight log: interrupts that it armed before are " +
  "dead until its driver is loaded again, or the guest is restarted";

/** Of a guest that starts again after it counted as gone. */
export const RETURNED = "it was paused for longer than paused-for, and " +
  "counted as gone: its lines stay where their rules put them until it sets " +
  "them again";

/** Of a notification fd that would stop the reactor. */
export const NOTIFIER_WAITED = "its notification fd was made blocking while " +
  "no notification fits in, which would stop all other guests";

/** Of memory that the VMM shares and the guest never used. */
export const TAKES_PAGES =
  "gpioagg has allocated too many pages for the guest (more " +
  `than ${MAX_PAGES} that it never used itself, or in-flight regions), which ` +
  "count as gpioagg's memory. Have the VMM allocate the guest's memory " +
  "beforehand (QEMU: prealloc=on)";

/** Of shared memory that lost a page. */
export const MISSING_PAGE = "its file has no page there any more: it was " +
  "truncated, or its file system (tmpfs, hugetlbfs) is full";

/** Of a VMM with more descriptors than its part of the process's. */
export function tooManyDescriptors(
  coming: number,
  held: number,
  { most, ofLimit }: { readonly most: number; readonly ofLimit: number },
): string {
  return `it brings ${coming} descriptors and has ${held}: an aggregator's ` +
    `VMM may have ${most} of the ${ofLimit} of the process (LimitNOFILE=, ` +
    "ulimit -n)";
}

/**
 * Feature bits that some VMMs let a guest accept although they were not
 * offered.
 */
const OPTIONS: readonly (readonly [bit: bigint, advice: string])[] = [
  [33n, "VIRTIO_F_ACCESS_PLATFORM: leave iommu_platform=on out"],
  [34n, "VIRTIO_F_RING_PACKED: leave packed=on out"],
  [35n, "VIRTIO_F_IN_ORDER: leave in_order=on out"],
  [40n, "VIRTIO_F_RING_RESET: leave queue_reset=on out"],
];

/** Names the features that were never offered, and the options that bring them. */
export function unofferedFeatures(features: bigint): string {
  const named = OPTIONS.filter(([bit]) => (features >> bit & 1n) !== 0n)
    .map(([, advice]) => advice);
  const text = `features 0x${features.toString(16)} were never offered`;
  return named.length === 0 ? text : `${text} (${named.join("; ")})`;
}

/** Of a size that no ring has. */
export function badSize(size: number): string {
  return `a ring has a power of two of entries, up to ${MAX_VRING_SIZE}, not ${size}`;
}

/** Of a region that REM_MEM_REG names, and the table has not. */
export function noRegion(guestAddress: number): string {
  return `there is no such region at guest address 0x${
    guestAddress.toString(16)
  }`;
}

/** Of a base that no split ring has; packed rings have such ones. */
export function badBase(base: number): string {
  return `${base} is not an index of a split ring, and packed rings are not ` +
    "offered (QEMU: leave packed=on out)";
}

/** Describes a chain that was refused. */
export function refusedChain(fault: ChainFault): string {
  const text = `a request of the guest was refused: ${
    CHAIN_FAULT_TEXTS[fault]
  }`;
  const isOutside = fault === ChainFault.BufferOutOfRange ||
    fault === ChainFault.IndirectOutOfRange;
  return isOutside ? `${text}. ${OUTSIDE_MEMORY}` : text;
}
