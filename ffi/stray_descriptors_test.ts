/** Descriptors that nothing asked for, on kernels that cannot refuse them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { LingeringSocket } from "../tests/doubles/lingering_socket.ts";
import { refuseNoDescriptors } from "../tests/doubles/old_kernel.ts";
import { testAlone } from "../tests/doubles/test_alone.ts";
import { descriptorLimit, descriptorShares } from "./descriptor_budget.ts";
import { descriptorsElsewhere, helpersAreDone } from "./helper_thread.ts";
import { OsError } from "./os_error.ts";
import { send } from "./socket_message.ts";
import { socketPair } from "./unix_socket.ts";

const LIMIT_MS = 30_000;
/** Another copy of the module, which has not asked the kernel yet. */
const FRESH = `${import.meta.resolve("./socket_message.ts")}?before-6.16`;

testAlone(
  import.meta,
  "a peer that sends descriptors which cannot be closed is hung up on",
  async () => {
    const { receiveBytes }: typeof import("./socket_message.ts") = await import(
      FRESH
    );
    using stack = new DisposableStack();
    stack.use(refuseNoDescriptors());
    const most = descriptorShares(descriptorLimit()).closingPerPeer;
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using _theirs = theirs;
    const target = new Uint8Array(8);
    const giveOne = () => {
      const lingering = stack.use(new LingeringSocket(60));
      send(theirs.fd, target.subarray(0, 1), [lingering.socket.fd]);
      // The message has the last copy.
      lingering.socket.close();
      return receiveBytes(ours.fd, target);
    };
    for (let i = 0; i < most; i++) assertEquals(giveOne(), 1);
    // Bytes alone do no harm.
    send(theirs.fd, target.subarray(0, 1));
    assertEquals(receiveBytes(ours.fd, target), 1);
    const error = assertThrows(giveOne, OsError);
    assertEquals(error.code, "ECONNRESET");
    assertEquals(descriptorsElsewhere(), most + 1);
    stack.dispose();
    assert(helpersAreDone(LIMIT_MS));
  },
);
