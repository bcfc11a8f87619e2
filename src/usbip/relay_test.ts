import { assertEquals, assertStringIncludes } from "@std/assert";
import { urb } from "../../tests/doubles/usbip_peer.ts";
import { AnswerBuffer } from "./answer_buffer.ts";
import { Field, HEADER, Message, UrbStatus } from "./protocol.ts";
import { ANSWER_MS, GIVE_UP_MS, Relay } from "./relay.ts";

/** A relay with a clock, and both sides by hand. */
class Rig {
  now = 0;
  readonly relay = new Relay(() => this.now);

  kernel(bytes: Uint8Array): void {
    this.relay.kernelRoom.set(bytes);
    this.relay.kernelSent(bytes.length);
  }

  service(
    message: number,
    seqnum: number,
    status: number,
    data: readonly number[] = [],
    length = data.length,
  ): void {
    const buffer = new AnswerBuffer();
    buffer.answer(message, seqnum, status, length, Uint8Array.from(data));
    const bytes = buffer.waiting;
    this.relay.serviceRoom.set(bytes);
    this.relay.serviceSent(bytes.length);
  }

  pass(ms: number): void {
    this.now += ms;
    this.relay.tick();
  }

  /** Messages to the kernel since the last call: number, seqnum, status. */
  told(): [number, number, number][] {
    const { toKernel } = this.relay;
    const bytes = toKernel.waiting.slice();
    toKernel.sent(bytes.length);
    const view = new DataView(bytes.buffer);
    const messages: [number, number, number][] = [];
    for (let at = 0; at < bytes.length; at += HEADER) {
      messages.push([
        view.getUint32(at + Field.Message),
        view.getUint32(at + Field.Seqnum),
        view.getInt32(at + Field.Status),
      ]);
    }
    return messages;
  }
}

const CONTROL_OUT = { seqnum: 1 };
const INTERRUPT_IN = { seqnum: 2, direction: 1, endpoint: 1, length: 64 };

Deno.test("messages pass as they are, in both directions", () => {
  const rig = new Rig();
  const submit = urb({ seqnum: 7, endpoint: 2 }, [], [1, 2, 3]);
  rig.kernel(submit);
  assertEquals(rig.relay.toService.waiting, submit);
  rig.service(Message.SubmitDone, 7, 0, [], 3);
  assertEquals(rig.told(), [[Message.SubmitDone, 7, 0]]);
  assertEquals(rig.relay.hasDeadline, false);
});

Deno.test("data of a transfer to the host passes", () => {
  const rig = new Rig();
  rig.kernel(urb(INTERRUPT_IN));
  rig.service(Message.SubmitDone, 2, 0, [5, 6]);
  assertEquals([...rig.relay.toKernel.waiting.subarray(HEADER)], [5, 6]);
});

Deno.test("what is not answered in time is stalled, and the late answer dropped", () => {
  const rig = new Rig();
  rig.kernel(urb(CONTROL_OUT));
  rig.pass(ANSWER_MS - 1);
  assertEquals(rig.told(), []);
  rig.pass(1);
  assertEquals(rig.told(), [[Message.SubmitDone, 1, UrbStatus.Stall]]);
  rig.service(Message.SubmitDone, 1, 0);
  assertEquals(rig.told(), []);
  assertEquals([rig.relay.fault, rig.relay.hasDeadline], ["", false]);
  // The number is free again.
  rig.kernel(urb(CONTROL_OUT));
  rig.service(Message.SubmitDone, 1, 0);
  assertEquals(rig.told(), [[Message.SubmitDone, 1, 0]]);
});

Deno.test("a transfer that waits for an event has no deadline", () => {
  const rig = new Rig();
  rig.kernel(urb(INTERRUPT_IN));
  assertEquals(rig.relay.hasDeadline, false);
  rig.pass(10 * GIVE_UP_MS);
  assertEquals([rig.told(), rig.relay.fault], [[], ""]);
});

Deno.test("an unlink is answered in time, and its victim is dropped", () => {
  const rig = new Rig();
  rig.kernel(urb(INTERRUPT_IN));
  rig.kernel(urb({ message: Message.Unlink, seqnum: 3, victim: 2 }));
  rig.pass(ANSWER_MS);
  assertEquals(rig.told(), [[Message.UnlinkDone, 3, UrbStatus.Unlinked]]);
  // The service's own answers come late, the victim's among them.
  rig.service(Message.SubmitDone, 2, 0, [1]);
  rig.service(Message.UnlinkDone, 3, UrbStatus.Ok);
  assertEquals([rig.told(), rig.relay.fault], [[], ""]);
  assertEquals(rig.relay.hasDeadline, false);
});

Deno.test("an unlink that the service answers frees its victim", () => {
  const rig = new Rig();
  rig.kernel(urb(INTERRUPT_IN));
  rig.kernel(urb({ message: Message.Unlink, seqnum: 3, victim: 2 }));
  rig.service(Message.UnlinkDone, 3, UrbStatus.Unlinked);
  assertEquals(rig.told(), [[Message.UnlinkDone, 3, UrbStatus.Unlinked]]);
  rig.kernel(urb(INTERRUPT_IN));
  assertEquals(rig.relay.fault, "");
});

Deno.test("a service that goes on not answering is given up", () => {
  const rig = new Rig();
  rig.kernel(urb(CONTROL_OUT));
  rig.pass(ANSWER_MS);
  rig.pass(GIVE_UP_MS);
  assertStringIncludes(rig.relay.fault, "does not answer");
});

for (
  const [what, act, reason] of [
    [
      "an answer to nothing",
      (rig: Rig) => rig.service(Message.SubmitDone, 99, 0),
      "answer to nothing",
    ],
    [
      "an answer of the wrong kind",
      (rig: Rig) => rig.service(Message.UnlinkDone, 1, 0),
      "answer to nothing",
    ],
    [
      "more bytes than asked for",
      (rig: Rig) => rig.service(Message.SubmitDone, 1, 0, [], 65),
      "sent 65 bytes",
    ],
  ] as const
) {
  Deno.test(`a service that sends ${what} is given up`, () => {
    const rig = new Rig();
    rig.kernel(urb(CONTROL_OUT));
    act(rig);
    assertStringIncludes(rig.relay.fault, reason);
    assertEquals(rig.told(), []);
  });
}
