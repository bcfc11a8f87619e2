/**
 * Features that this frontend can do, names of all, and device status bits.
 *
 * @module
 */
import {
  PROTOCOL_FEATURE_BACKEND_REQ_MASK,
  PROTOCOL_FEATURE_CONFIG_MASK,
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK,
  PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK,
  PROTOCOL_FEATURE_MQ_MASK,
  PROTOCOL_FEATURE_REPLY_ACK_MASK,
  PROTOCOL_FEATURE_RESET_DEVICE_MASK,
  PROTOCOL_FEATURE_STATUS_MASK,
  VHOST_USER_F_PROTOCOL_FEATURES_MASK,
} from "../vhost_user/messages/protocol.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
  VIRTIO_F_VERSION_1_MASK,
  VIRTIO_GPIO_F_IRQ_MASK,
} from "../virtio/queue/features.ts";

/** Device status bits. **Source**: virtio 1.2, section 2.1. */
export const DeviceStatus = {
  Acknowledge: 1,
  Driver: 2,
  DriverOk: 4,
  FeaturesOk: 8,
} as const;

/** Virtio features that this frontend and its driver can do. */
export const SUPPORTED_FEATURES: bigint = VIRTIO_GPIO_F_IRQ_MASK |
  VIRTIO_F_INDIRECT_DESC_MASK |
  VIRTIO_F_EVENT_IDX_MASK |
  VIRTIO_F_VERSION_1_MASK |
  VHOST_USER_F_PROTOCOL_FEATURES_MASK;

/** Protocol features that this frontend can do. */
export const SUPPORTED_PROTOCOL_FEATURES: bigint = PROTOCOL_FEATURE_MQ_MASK |
  PROTOCOL_FEATURE_REPLY_ACK_MASK |
  PROTOCOL_FEATURE_BACKEND_REQ_MASK |
  PROTOCOL_FEATURE_CONFIG_MASK |
  PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK |
  PROTOCOL_FEATURE_RESET_DEVICE_MASK |
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK |
  PROTOCOL_FEATURE_STATUS_MASK;

/** Virtio feature names by bit, as the specifications have them. */
const FEATURE_NAMES: ReadonlyMap<number, string> = new Map([
  [0, "GPIO_F_IRQ"],
  [24, "NOTIFY_ON_EMPTY"],
  [26, "LOG_ALL"],
  [27, "ANY_LAYOUT"],
  [28, "INDIRECT_DESC"],
  [29, "EVENT_IDX"],
  [30, "PROTOCOL_FEATURES"],
  [32, "VERSION_1"],
  [33, "ACCESS_PLATFORM"],
  [34, "RING_PACKED"],
  [35, "IN_ORDER"],
  [36, "ORDER_PLATFORM"],
  [37, "SR_IOV"],
  [38, "NOTIFICATION_DATA"],
  [39, "NOTIF_CONFIG_DATA"],
  [40, "RING_RESET"],
  [41, "ADMIN_VQ"],
]);

/** Protocol feature names by bit. Later bits have no settled numbers. */
const PROTOCOL_FEATURE_NAMES: ReadonlyMap<number, string> = new Map(
  [
    "MQ",
    "LOG_SHMFD",
    "RARP",
    "REPLY_ACK",
    "MTU",
    "BACKEND_REQ",
    "CROSS_ENDIAN",
    "CRYPTO_SESSION",
    "PAGEFAULT",
    "CONFIG",
    "BACKEND_SEND_FD",
    "HOST_NOTIFIER",
    "INFLIGHT_SHMFD",
    "RESET_DEVICE",
    "INBAND_NOTIFICATIONS",
    "CONFIGURE_MEM_SLOTS",
    "STATUS",
    "XEN_MMAP",
    "SHARED_OBJECT",
    "DEVICE_STATE",
  ].map((name, bit) => [bit, name]),
);

function bitNames(
  mask: bigint,
  names: ReadonlyMap<number, string>,
): string[] {
  const found: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((mask >> BigInt(bit) & 1n) === 0n) continue;
    found.push(names.get(bit) ?? `bit ${bit}`);
  }
  return found;
}

/** The names of virtio features, lowest bit first. */
export function featureNames(features: bigint): string[] {
  return bitNames(features, FEATURE_NAMES);
}

/** The names of protocol features, lowest bit first. */
export function protocolFeatureNames(features: bigint): string[] {
  return bitNames(features, PROTOCOL_FEATURE_NAMES);
}
