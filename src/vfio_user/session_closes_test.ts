/** Clients whose descriptors cannot be closed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  descriptorLimit,
  descriptorShares,
} from "../../ffi/descriptor_budget.ts";
import {
  descriptorsElsewhere,
  helpersAreDone,
} from "../../ffi/helper_thread.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { LingeringSocket } from "../../tests/doubles/lingering_socket.ts";
import { C, words } from "../../tests/doubles/vfio_peer.ts";
import { VfioRig } from "../../tests/doubles/vfio_rig.ts";

const LIMIT_MS = 30_000;

/** Maps of guest memory, one after the other, each with such a descriptor. */
function mapMemory(rig: VfioRig, stack: DisposableStack, count: number): void {
  for (let i = 0; i < count; i++) {
    const lingering = stack.use(new LingeringSocket(60));
    rig.peer.send(C.DMA_MAP, words(32, 3, 0, 0, 0, i, 4096, 0), {
      flags: 0x10,
      fds: [lingering.socket.fd],
    });
    // The message has the last copy.
    lingering.socket.close();
    rig.turn();
  }
}

testAlone(
  import.meta,
  "a client whose descriptors are not closed is read no more, and ends in the end",
  () => {
    const most = descriptorShares(descriptorLimit()).closingPerPeer;
    using rig = new VfioRig();
    rig.negotiate();
    using first = new DisposableStack();
    mapMemory(rig, first, most + 8);
    assertEquals(descriptorsElsewhere(), most);
    // They are closed in time.
    first.dispose();
    assert(helpersAreDone(LIMIT_MS));
    rig.pass(20);
    rig.turn();
    assert(helpersAreDone(LIMIT_MS));
    const { body } = rig.ask(C.DEVICE_GET_IRQ_INFO, words(16, 0, 0, 0));
    assertEquals(body.length, 16);
    assertEquals(rig.log.filter((line) => line.startsWith("fault")), []);

    // They are not.
    using second = new DisposableStack();
    mapMemory(rig, second, most + 8);
    assertEquals(descriptorsElsewhere(), most);
    rig.pass(1000);
    assertEquals(rig.peer.read(), "none");
    rig.pass(2000);
    rig.turn();
    assertStringIncludes(rig.log.join("; "), "cannot be closed");
    assertEquals(rig.peer.read(), "ended");
    assertEquals(rig.escaped, []);
    second.dispose();
    assert(helpersAreDone(LIMIT_MS));
  },
);
