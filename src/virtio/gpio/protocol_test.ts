import { assertEquals } from "@std/assert";
import {
  DESCRIPTOR,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from "../queue/descriptor_chain.ts";
import * as features from "../queue/features.ts";
import * as protocol from "./protocol.ts";
import {
  AVAIL_HEADER,
  USED_ELEMENT,
  USED_HEADER,
} from "../queue/ring_layout.ts";

Deno.test("The constants are those of the specification", () => {
  assertEquals([protocol.REQUEST_QUEUE, protocol.EVENT_QUEUE], [0, 1]);
  assertEquals(Object.values(protocol.MessageType), [1, 2, 3, 4, 5, 6]);
  assertEquals(protocol.MESSAGE_TYPE_COUNT, 7);
  assertEquals(protocol.Status, { Ok: 0, Err: 1 });
  assertEquals(protocol.EventStatus, { Invalid: 0, Valid: 1 });
  assertEquals(Object.values(protocol.IrqType), [0, 1, 2, 3, 4, 8]);
  assertEquals(protocol.Direction, { None: 0, Output: 1, Input: 2 });
  assertEquals(
    [VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE, VIRTQ_DESC_F_INDIRECT],
    [1, 2, 4],
  );
});

Deno.test("The layouts are those of the specification", () => {
  const { GPIO_CONFIG, GPIO_REQUEST, GPIO_RESPONSE } = protocol;
  assertEquals(GPIO_CONFIG.at, { ngpio: 0, padding: 2, gpio_names_size: 4 });
  assertEquals(GPIO_CONFIG.size, 8);
  assertEquals(GPIO_REQUEST.at, { type: 0, gpio: 2, value: 4 });
  assertEquals(GPIO_RESPONSE.at, { status: 0, value: 1 });
  assertEquals(protocol.GPIO_IRQ_REQUEST.size, 2);
  assertEquals(protocol.GPIO_IRQ_RESPONSE.size, 1);
  assertEquals(DESCRIPTOR.at, { addr: 0, len: 8, flags: 12, next: 14 });
  assertEquals(AVAIL_HEADER.at, { flags: 0, idx: 2 });
  assertEquals(USED_HEADER.at, { flags: 0, idx: 2 });
  assertEquals(USED_ELEMENT.at, { id: 0, len: 4 });
});

Deno.test("The feature masks are the bits they are named after", () => {
  assertEquals(features.VIRTIO_GPIO_F_IRQ_MASK, 0x1n);
  assertEquals(features.VIRTIO_F_INDIRECT_DESC_MASK, 0x1000_0000n);
  assertEquals(features.VIRTIO_F_EVENT_IDX_MASK, 0x2000_0000n);
  assertEquals(features.VIRTIO_F_VERSION_1_MASK, 0x1_0000_0000n);
  assertEquals(features.RING_FEATURES_MASK, 0x1_3000_0000n);
});
