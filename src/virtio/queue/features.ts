/**
 * Virtio feature bits that matter to a virtio-gpio device.
 *
 * Names that end in `_BIT` are bit numbers, names that end in `_MASK` are the
 * same bits as `bigint` masks; the two are never interchangeable.
 *
 * **Source**: virtio 1.3, sections 2.2 "Feature Bits", 5.18.3 (GPIO) and 6.
 *
 * @module
 */

/** GPIO: the device has an event queue and serves interrupts. */
export const VIRTIO_GPIO_F_IRQ_BIT = 0;
/** A descriptor may refer to a table of descriptors. */
export const VIRTIO_F_INDIRECT_DESC_BIT = 28;
/** Notifications are asked for by index (`used_event`, `avail_event`). */
export const VIRTIO_F_EVENT_IDX_BIT = 29;
/** The device follows virtio 1.0 or newer, not the legacy interface. */
export const VIRTIO_F_VERSION_1_BIT = 32;

/** Mask of {@linkcode VIRTIO_GPIO_F_IRQ_BIT}. */
export const VIRTIO_GPIO_F_IRQ_MASK = 1n << BigInt(VIRTIO_GPIO_F_IRQ_BIT);
/** Mask of {@linkcode VIRTIO_F_INDIRECT_DESC_BIT}. */
export const VIRTIO_F_INDIRECT_DESC_MASK = 1n <<
  BigInt(VIRTIO_F_INDIRECT_DESC_BIT);
/** Mask of {@linkcode VIRTIO_F_EVENT_IDX_BIT}. */
export const VIRTIO_F_EVENT_IDX_MASK = 1n << BigInt(VIRTIO_F_EVENT_IDX_BIT);
/** Mask of {@linkcode VIRTIO_F_VERSION_1_BIT}. */
export const VIRTIO_F_VERSION_1_MASK = 1n << BigInt(VIRTIO_F_VERSION_1_BIT);

/** Ring features that are supported: INDIRECT_DESC, EVENT_IDX, VERSION_1. */
export const RING_FEATURES_MASK = VIRTIO_F_INDIRECT_DESC_MASK |
  VIRTIO_F_EVENT_IDX_MASK | VIRTIO_F_VERSION_1_MASK;
