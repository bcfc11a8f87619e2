import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { duplicate, listDirectory } from "../../ffi/files.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  acceptUnix,
  connectUnix,
  listenUnix,
  socketPath,
} from "../../ffi/unix_socket.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import { GivenListeners } from "./given_listeners.ts";

/** A manager that listens by these names, and has handed its sockets over. */
function rig(...names: string[]) {
  const directory = Deno.makeTempDirSync({ prefix: "listeners-" });
  const stack = new DisposableStack();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const pathOf = (name: string) => `${directory}/${name}.sock`;
  const given = new Map<string, OwnedFd>();
  for (const name of names) {
    given.set(name, duplicate(stack.use(listenUnix(pathOf(name))).fd));
  }
  const listeners = stack.use(new GivenListeners(given));
  return { listeners, pathOf, [Symbol.dispose]: () => stack.dispose() };
}

const aggregator = (name: string) => ({
  name,
  vhostUser: { socketPath: "/run/unused.sock" },
  lines: parseLineSpec("sim/1"),
});

Deno.test("GivenListeners.equip() gives an aggregator its socket as often as it is made", () => {
  using given = rig("plc0");
  for (let i = 0; i < 2; i++) {
    const { vhostUser } = given.listeners.equip(aggregator("plc0"));
    const { fd } = vhostUser as { fd: number };
    using listener = new OwnedFd(fd, "a listener");
    assertEquals(socketPath(listener.fd), given.pathOf("plc0"));
    using _client = connectUnix(given.pathOf("plc0"));
    acceptUnix(listener.fd)!.close();
  }
  const other = aggregator("other");
  assertEquals(given.listeners.equip(other), other);
});

Deno.test("GivenListeners.equip() leaves alone what has no vhost-user socket", () => {
  using given = rig("plc0");
  const { vhostUser: _, ...rest } = aggregator("plc0");
  const chip = { ...rest, kernelChip: {} };
  assertEquals(given.listeners.equip(chip), chip);
  assertEquals(given.listeners.closeUnused().length, 1);
});

Deno.test("GivenListeners.closeUnused() closes what nobody wants, and names it", () => {
  using given = rig("api", "ipa");
  const { listeners, pathOf } = given;
  using _api = listeners.copy("api");
  const before = listDirectory("/proc/self/fd").length;
  const [problem, ...others] = listeners.closeUnused();
  assertStringIncludes(problem!, `nobody serves ${pathOf("ipa")}`);
  assertStringIncludes(problem!, "by the name ipa");
  assertEquals(others, []);
  assertEquals(listDirectory("/proc/self/fd").length, before - 1);
  assertEquals(listeners.copy("ipa"), undefined);
  using again = listeners.copy("api");
  assert(again !== undefined);
});
