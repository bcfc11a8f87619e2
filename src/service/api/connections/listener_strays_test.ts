/** Descriptors that clients send, on kernels that cannot refuse them. */
import { assert, assertEquals } from "@std/assert";
import {
  descriptorLimit,
  descriptorShares,
} from "../../../../ffi/descriptor_budget.ts";
import {
  descriptorsElsewhere,
  helpersAreDone,
} from "../../../../ffi/helper_thread.ts";
import { receive, send } from "../../../../ffi/socket_message.ts";
import { connectUnix, listenUnix } from "../../../../ffi/unix_socket.ts";
import { LingeringSocket } from "../../../../tests/doubles/lingering_socket.ts";
import { refuseNoDescriptors } from "../../../../tests/doubles/old_kernel.ts";
import { testAlone } from "../../../../tests/doubles/test_alone.ts";
import { sleep, waitUntil } from "../../../async/wait.ts";
import { ApiListener } from "./listener.ts";

const LIMIT_MS = 60_000;

testAlone(
  import.meta,
  "the API accepts no more while descriptors of its clients are not closed",
  async () => {
    using _kernel = refuseNoDescriptors();
    const { closingPerPeer } = descriptorShares(descriptorLimit());
    const directory = Deno.makeTempDirSync();
    const path = `${directory}/api.sock`;
    using socket = listenUnix(path, { backlog: 1024 });
    using _api = new ApiListener(socket, (_request, response) => {
      response.end("{}");
      return Promise.resolve();
    });
    using stack = new DisposableStack();
    for (let i = 0; i < 2 * closingPerPeer; i++) {
      using client = connectUnix(path);
      const lingering = stack.use(new LingeringSocket(600));
      send(client.fd, Uint8Array.of(0x47), [lingering.socket.fd]);
      // The message has the last copy.
      lingering.socket.close();
    }
    const isFull = () => descriptorsElsewhere() >= closingPerPeer;
    assert(await waitUntil(isFull, LIMIT_MS));
    using late = connectUnix(path);
    const request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    send(late.fd, new TextEncoder().encode(request));
    await sleep(300);
    assertEquals(descriptorsElsewhere(), closingPerPeer);
    const answer = new Uint8Array(1024);
    assertEquals(receive(late.fd, answer, []), -1);
    stack.dispose();
    const isAnswered = () => receive(late.fd, answer, []) > 0;
    assert(await waitUntil(isAnswered, LIMIT_MS));
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
    Deno.removeSync(directory, { recursive: true });
  },
);
