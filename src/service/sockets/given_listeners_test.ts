import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { duplicate } from "../../../ffi/files.ts";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import {
  acceptUnix,
  connectUnix,
  listenUnix,
  socketPath,
} from "../../../ffi/unix_socket.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
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

/** Counts this process's sockets that are bound to a path of this test. */
function countListeners(path: string): number {
  return listDirectory("/proc/self/fd").filter((fd) => {
    try {
      return socketPath(Number(fd)) === path;
    } catch (error) {
      // No socket, or one that another test has closed in between.
      if (isOsError(error)) return false;
      throw error;
    }
  }).length;
}

const aggregator = (name: string) => ({
  name,
  vhostUser: { socketPath: "/run/unused.sock" },
  lines: parseLineSpec("sim/1"),
});

Deno.test("GivenListeners.withInheritedSocket() gives an aggregator its socket as often as it is made", () => {
  using given = rig("plc0");
  for (let i = 0; i < 2; i++) {
    const { vhostUser } = given.listeners.withInheritedSocket(
      aggregator("plc0"),
    );
    const { fd } = vhostUser as { fd: number };
    using listener = new OwnedFd(fd, "a listener");
    assertEquals(socketPath(listener.fd), given.pathOf("plc0"));
    using _client = connectUnix(given.pathOf("plc0"));
    acceptUnix(listener.fd)!.close();
  }
  const other = aggregator("other");
  assertEquals(given.listeners.withInheritedSocket(other), other);
});

Deno.test("GivenListeners.withInheritedSocket() leaves alone what has no vhost-user socket", () => {
  using given = rig("plc0");
  const { vhostUser: _, ...rest } = aggregator("plc0");
  const chip = { ...rest, kernelChip: {} };
  assertEquals(given.listeners.withInheritedSocket(chip), chip);
  assertEquals(given.listeners.closeUnused().length, 1);
});

Deno.test("GivenListeners.closeUnused() closes unused sockets, and names them", () => {
  using given = rig("api", "ipa");
  const { listeners, pathOf } = given;
  using _api = listeners.copy("api");
  const before = countListeners(pathOf("ipa"));
  const [problem, ...others] = listeners.closeUnused();
  assertStringIncludes(problem!, `no aggregator is served at ${pathOf("ipa")}`);
  assertStringIncludes(problem!, "by the name ipa");
  assertEquals(others, []);
  assertEquals([before, countListeners(pathOf("ipa"))], [2, 1]);
  assertEquals(listeners.copy("ipa"), undefined);
  using again = listeners.copy("api");
  assert(again !== undefined);
});

Deno.test("GivenListeners.closeUnused() names the option without which no API is served", () => {
  using given = rig("api", "api-look");
  const { listeners, pathOf } = given;
  const problems = listeners.closeUnused();
  for (const [i, name] of ["api", "api-look"].entries()) {
    assertStringIncludes(
      problems[i]!,
      `no control API is served at ${pathOf(name)}`,
    );
    assertStringIncludes(problems[i]!, `--${name} is missing`);
  }
});
