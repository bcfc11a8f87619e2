import { assert, assertEquals } from "@std/assert";
import { connectDatagram } from "../../../ffi/datagram.ts";
import {
  descriptorLimit,
  descriptorShares,
} from "../../../ffi/descriptor_budget.ts";
import {
  closeElsewhere,
  helpersAreDone,
  isBehindWithCloses,
  MAX_HELPERS_PER_QUEUE,
} from "../../../ffi/helper_thread.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import { send } from "../../../ffi/socket_message.ts";
import { LingeringSocket } from "../../../tests/doubles/lingering_socket.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import { sleep, waitUntil } from "../../async/wait.ts";
import { KeeperSocket } from "./keeper_socket.ts";

const LIMIT_MS = 60_000;
/** Descriptors of one message. */
const AT_ONCE = 200;

testAlone(
  import.meta,
  "a keeper takes no more descriptors than can be closed, but all that an ended service has left",
  async () => {
    const { closingPerPeer } = descriptorShares(descriptorLimit());
    const directory = await Deno.makeTempDir();
    let heard = 0;
    let said = 0;
    using socket = new KeeperSocket(directory, (_message, fds) => {
      heard++;
      closeElsewhere(fds);
    });
    using sender = connectDatagram(socket.path);
    const say = (fds: readonly number[] = []) => {
      assert(send(sender.fd, new TextEncoder().encode("X=1"), fds) > 0);
      said++;
    };
    const isHeard = () => waitUntil(() => heard === said, LIMIT_MS);
    using stack = new DisposableStack();
    for (let i = 0; i < MAX_HELPERS_PER_QUEUE; i++) {
      const lingering = stack.use(new LingeringSocket(600));
      say([lingering.socket.fd]);
      // The message has the last copy.
      lingering.socket.close();
      assert(await isHeard());
    }
    using file = createMemFd("one", 4096);
    for (let count = 0; count < closingPerPeer; count += AT_ONCE) {
      say(Array.from({ length: AT_ONCE }, () => file.fd));
      assert(await isHeard());
    }
    assert(isBehindWithCloses());
    say();
    await sleep(200);
    assertEquals(heard, said - 1);
    socket.drain();
    assertEquals(heard, said);
    say();
    await sleep(200);
    assertEquals(heard, said - 1);
    stack.dispose();
    assert(await isHeard());
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
    await Deno.remove(directory, { recursive: true });
  },
);
