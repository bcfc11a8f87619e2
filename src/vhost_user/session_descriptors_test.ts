/** The descriptors of an aggregator's VMM, and of all VMMs together. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  descriptorShares,
  SessionDescriptors,
} from "../../ffi/descriptor_budget.ts";
import { createEventFd } from "../../ffi/event_fd.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { join, R, u32, u64 } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

/** Limit of closes in helper threads. **Units**: milliseconds. */
const LIMIT_MS = 60_000;
const openFds = () => listDirectory("/proc/self/fd").length;

testAlone(
  import.meta,
  "a VMM has no more descriptors than its share, those of a message included",
  () => {
    // 64 open files: 9 for each VMM.
    using rig = new VhostRig({ descriptors: new SessionDescriptors(64) });
    rig.negotiate();
    using event = createEventFd();
    for (let ring = 0; ring < 2; ring++) {
      for (const request of [R.SET_VRING_KICK, R.SET_VRING_CALL]) {
        rig.peer.send(request, u64(ring), { fds: [event.fd] });
        rig.turn();
      }
    }
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
    const held = openFds();
    // Again and again: each takes the place of the last one.
    for (let i = 0; i < 20; i++) {
      rig.peer.send(R.SET_VRING_CALL, u64(0), { fds: [event.fd] });
      rig.turn();
    }
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
    assertEquals(openFds(), held);
    rig.peer.send(R.SET_VRING_ERR, u64(0), { fds: [event.fd] });
    rig.turn();
    assertEquals(rig.isHungUp(), false);
    // It has a connection and five, and brings eight.
    using file = createMemFd("memory", 8 * 4096);
    const regions = Array.from(
      { length: 8 },
      (_, i) => u64(i * 4096, 4096, 0x7f00_0000_0000 + i * 4096, i * 4096),
    );
    rig.peer.send(R.SET_MEM_TABLE, join(u32(8, 0), ...regions), {
      fds: new Array<number>(8).fill(file.fd),
    });
    rig.turn();
    assertEquals(rig.isHungUp(), true);
    const gone = rig.log.at(-1) ?? "";
    assertStringIncludes(gone, "brings 8 descriptors and has 6");
    assertStringIncludes(gone, "may have 9 of the 64");
    assertEquals(rig.escaped, []);
  },
);

testAlone(
  import.meta,
  "a VMM for which no descriptors are left is told of, and served once there are some",
  () => {
    let now = 0;
    const descriptors = new SessionDescriptors(64);
    // Two other aggregators have VMMs.
    const others = [1, 2].map(() => descriptors.reserve(9)!);
    using rig = new VhostRig({ descriptors, now: () => now });
    assertEquals(rig.log.length, 1, rig.log.join("; "));
    assertStringIncludes(
      rig.log[0]!,
      "the descriptors of other VMMs leave none",
    );
    assertStringIncludes(rig.log[0]!, "9 of the 64 of the process");
    assertStringIncludes(rig.log[0]!, "LimitNOFILE=");
    others[0]![Symbol.dispose]();
    now += 1000;
    rig.turn();
    rig.turn();
    assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
    // Its end gives them back, and what waits in line then has them.
    const second = rig.connect();
    rig.hangUp();
    rig.turn();
    rig.peer = second;
    assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
    rig.hangUp();
    rig.turn();
    others[1]![Symbol.dispose]();
    const all = descriptors.reserve(descriptorShares(64).sessions);
    assertEquals(all !== undefined, true, "some are never given back");
    assertEquals(rig.escaped, []);
  },
);
