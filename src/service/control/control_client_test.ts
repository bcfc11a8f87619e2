import { assertThrows } from "@std/assert";
import { ListenSocket } from "../sockets/listen_socket.ts";
import { ControlClient } from "./control_client.ts";

Deno.test("ControlClient waits for an answer as long as it is told to", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/silent.sock`;
    // The kernel connects; nothing answers.
    using _listener = ListenSocket.open(path, { mode: 0o600 });
    using client = new ControlClient(path, 10);
    assertThrows(
      () => client.ask({}),
      Error,
      "No answer from " + path +
        " within 0.01 s",
    );
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
