/** Frontends whose descriptors cannot be closed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  descriptorLimit,
  descriptorShares,
} from "../../ffi/descriptor_budget.ts";
import {
  areCallsKept,
  descriptorsElsewhere,
  helpersAreDone,
} from "../../ffi/helper_thread.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { LingeringSocket } from "../../tests/doubles/lingering_socket.ts";
import { R, u64 } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

const UNKNOWN_REQUEST = 200;
const LIMIT_MS = 30_000;

testAlone(
  import.meta,
  "a frontend whose descriptors cannot be closed is read no more, and ends",
  () => {
    const most = descriptorShares(descriptorLimit()).closingPerPeer;
    let now = 0;
    using rig = new VhostRig({ now: () => now });
    rig.negotiate();
    // The memory table's.
    assert(helpersAreDone(LIMIT_MS));
    using stack = new DisposableStack();
    for (let i = 0; i < most + 8; i++) {
      const lingering = stack.use(new LingeringSocket(60));
      rig.peer.send(UNKNOWN_REQUEST, u64(0), { fds: [lingering.socket.fd] });
      // The message has the last copy.
      lingering.socket.close();
      rig.turn();
    }
    assertEquals(descriptorsElsewhere(), most);
    assert(areCallsKept());
    assert(!rig.isHungUp(), "the frontend has some time");
    now += 3000;
    rig.turn();
    rig.turn();
    assertStringIncludes(
      rig.log.filter((line) => line.startsWith("gone")).at(-1) ?? "",
      "cannot be closed",
    );
    assert(rig.isHungUp());
    // The next one waits in the backlog, and is told of.
    rig.log.length = 0;
    rig.peer = rig.connect();
    assertEquals(rig.log.length, 1, rig.log.join("; "));
    assertStringIncludes(rig.log[0]!, "earlier ones are not closed yet");
    assert(descriptorsElsewhere() <= most + 1);
    // Once they are closed, it is served.
    stack.dispose();
    assert(helpersAreDone(LIMIT_MS));
    now += 3000;
    rig.turn();
    rig.turn();
    assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
    assertEquals(rig.escaped, []);
  },
);
