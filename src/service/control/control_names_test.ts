import { assertEquals } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { connectUnix, listenUnix } from "../../../ffi/unix_socket.ts";
import { ControlName, controlPathByName } from "./control_names.ts";

function scratch() {
  const path = Deno.makeTempDirSync();
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

Deno.test("ControlName leads to its socket while it lives, and no longer", () => {
  using directory = scratch();
  const socket = `${directory.path}/a.sock.control`;
  const link = controlPathByName("plc 0/a", directory.path);
  using _listener = listenUnix(socket);
  {
    using _name = ControlName.publish("plc 0/a", socket, directory.path);
    connectUnix(link).close();
  }
  assertEquals(fileStatus(link), undefined);
});

Deno.test("ControlName goes without where it cannot be made", () => {
  using directory = scratch();
  const file = `${directory.path}/file`;
  Deno.writeTextFileSync(file, "");
  assertEquals(ControlName.publish("a", `${file}.sock`, file), undefined);
});

Deno.test("ControlName leaves a living service its name, and takes a dead one's", () => {
  using directory = scratch();
  const publish = (socket: string) =>
    ControlName.publish("plc0", `${directory.path}/${socket}`, directory.path);
  const first = listenUnix(`${directory.path}/first`);
  using _name = publish("first");
  using _second = listenUnix(`${directory.path}/second`);
  assertEquals(publish("second"), undefined);
  first.close();
  using name = publish("second");
  assertEquals(name === undefined, false);
  assertEquals(
    Deno.readLinkSync(controlPathByName("plc0", directory.path)),
    `${directory.path}/second`,
  );
});
