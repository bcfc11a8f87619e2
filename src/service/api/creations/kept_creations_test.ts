import { assertEquals, assertStringIncludes } from "@std/assert";
import { bindDatagram } from "../../../../ffi/datagram.ts";
import { O_PATH, O_RDONLY, O_WRONLY, openFile } from "../../../../ffi/files.ts";
import type { OwnedFd } from "../../../../ffi/owned_fd.ts";
import { receive } from "../../../../ffi/socket_message.ts";
import { creationFdName } from "../../../aggregator/restart/fd_store.ts";
import { ManagerFdStore } from "../../restart/manager_fd_store.ts";
import { KeptCreations } from "./kept_creations.ts";
import { newClaim } from "./lease_claim.ts";

const RULES = { socketDirectory: "/run/x", socketAccess: { mode: 0o600 } };

/** Creations, kept by a manager that hands them to the next process. */
function rig() {
  const directory = Deno.makeTempDirSync({ prefix: "creations-" });
  const manager = bindDatagram(`${directory}/notify`);
  const problems: string[] = [];
  const store = new ManagerFdStore(
    `${directory}/notify`,
    (text) => problems.push(text),
  );
  const piece = new Uint8Array(4096);
  const dropped: string[] = [];
  /** The next process has what this one kept until its end, by a message. */
  const restart = (end = Infinity) => {
    for (let i = 0;; i++) {
      const fds: OwnedFd[] = [];
      const count = receive(manager.fd, piece, fds);
      if (count < 0) return i;
      if (i >= end) {
        for (const fd of fds) fd.close();
        continue;
      }
      const text = new TextDecoder().decode(piece.subarray(0, count));
      const name = text.slice(text.indexOf("FDNAME=") + 7);
      if (fds.length === 0) {
        dropped.push(name);
        for (const fd of store.take(name)) fd.close();
      }
      for (const fd of fds) store.offer([[name, fd.release()]]);
    }
  };
  const calls: string[] = [];
  const optional: string[] = [];
  const safe: (number | undefined)[] = [];
  let restored: KeptCreations | undefined;
  const restore = () =>
    (restored = new KeptCreations(store, RULES)).restore({
      add: ([specification]) => {
        const { name, vhostUser, lines } = specification!;
        calls.push(`add ${name} ${JSON.stringify(vhostUser)} ${lines.length}`);
        safe.push(lines[0]?.safe);
        optional.push(
          ...lines.filter(({ optional }) => optional).map(({ origin }) =>
            origin
          ),
        );
        if (name === "busy") throw new Error("its line is busy");
        return Promise.resolve([
          { name, presentation: "", connected: false, lines: [] },
        ]);
      },
      remove: (name) => Promise.resolve(calls.push(`remove ${name}`)),
    });
  const dispose = () => {
    store[Symbol.dispose]();
    manager.close();
    Deno.removeSync(directory, { recursive: true });
  };
  return {
    store,
    creations: new KeptCreations(store, RULES),
    /** Content that the next process read of one that it made again. */
    readAgain: (name: string) => restored?.restored(name),
    restart,
    restore,
    calls,
    optional,
    safe,
    dropped,
    problems,
    [Symbol.dispose]: dispose,
  };
}

Deno.test("KeptCreations makes again what was to last, and ends what was leased", async () => {
  using given = rig();
  const { creations, restart, restore, calls, dropped, problems } = given;
  creations.keep("last", { name: "last", lines: ["sim/2"], lease: "none" });
  creations.keep("lent", { name: "lent", lines: ["sim/1"] });
  restart();
  assertEquals((await restore()).map(({ name }) => name), ["last"]);
  const at = (name: string) =>
    JSON.stringify({
      socketPath: `/run/x/${name}.sock`,
      access: { mode: 0o600 },
    });
  assertEquals(calls, [
    `add last ${at("last")} 2`,
    `add lent ${at("lent")} 1`,
    "remove lent",
  ]);
  restart();
  assertEquals(dropped, ["aggregator.lent"]);
  assertEquals(problems, []);
});

Deno.test("KeptCreations makes again what its client can take back, with no token kept", async () => {
  using given = rig();
  const { creations, restart, restore, calls, dropped } = given;
  const { claim } = await newClaim({ pid: 7, uid: 1000, gid: 100 });
  const body = { name: "lent", lines: ["sim/1"] };
  creations.keep("lent", body, claim);
  const chip = { name: "k", lines: ["panel/3"], kernelChip: {} };
  creations.keep("k", chip, claim);
  restart();
  const restored = await restore();
  assertEquals(restored.map(({ name }) => name), ["lent"]);
  assertEquals(given.readAgain("lent"), { body, rules: {}, claim });
  assertEquals(calls.length, 1);
  restart();
  assertEquals(dropped, ["aggregator.k"]);
});

Deno.test("KeptCreations ends what is leased by a claim that is none", async () => {
  using given = rig();
  const { store, restore, calls } = given;
  const peer = { pid: 7, uid: 1000, gid: 100 };
  const digest = "0".repeat(64);
  const path = Deno.makeTempFileSync();
  try {
    for (
      const claim of [
        null,
        digest,
        { digest },
        { digest: digest.slice(1), peer },
        { digest, peer: { ...peer, uid: "1000" } },
        { digest, peer: { ...peer, uid: -1 } },
        { digest, peer: null },
      ]
    ) {
      const create = { name: "a", lines: ["sim/1"] };
      Deno.writeTextFileSync(
        path,
        JSON.stringify({ version: 1, create, claim }),
      );
      store.offer([[creationFdName("a"), openFile(path, O_RDONLY).release()]]);
      assertEquals(await restore(), []);
      assertEquals(calls.splice(0).at(-1), "remove a");
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("KeptCreations tells of what cannot be made again, and keeps it no longer", async () => {
  using given = rig();
  const { creations, restart, restore, dropped, problems } = given;
  const good = { name: "good", lines: ["sim/1"], lease: "none" };
  creations.keep("busy", { ...good, name: "busy" });
  creations.keep("odd", { ...good, name: "odd", colour: "red" });
  creations.keep("other", good);
  creations.keep("none", null);
  restart();
  assertEquals(await restore(), []);
  for (
    const [i, why] of [
      "its line is busy",
      "colour",
      'another aggregator, "good"',
      "the body: must be an object",
    ].entries()
  ) assertStringIncludes(problems[i]!, why);
  restart();
  assertEquals(
    dropped,
    ["busy", "odd", "other", "none"].map((name) => `aggregator.${name}`),
  );
});

Deno.test("KeptCreations opens no file that was kept by a creation's name without being open", async () => {
  using given = rig();
  const { store, restore, calls, problems } = given;
  const path = Deno.makeTempFileSync();
  try {
    const text = JSON.stringify({
      version: 1,
      create: { name: "a", lines: ["sim/1"], lease: "none" },
    });
    Deno.writeTextFileSync(path, text);
    for (const flags of [O_PATH, O_WRONLY]) {
      store.offer([[creationFdName("a"), openFile(path, flags).release()]]);
      assertEquals(await restore(), []);
      assertStringIncludes(
        problems.pop()!,
        "not a file that is open for reading",
      );
    }
    assertEquals(calls, []);
    store.offer([[creationFdName("a"), openFile(path, O_RDONLY).release()]]);
    assertEquals((await restore()).length, 1);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("KeptCreations waits for chips that are away, if it will know them again", async () => {
  using given = rig();
  const { creations, restart, restore, optional } = given;
  const lines = ["sim/1", "gpiochip7/0", "7/1", "panel/2", "usb-serial:F1/3"];
  creations.keep("a", { name: "a", lines, lease: "none" });
  creations.keep("k", {
    name: "k",
    lines: ["panel/3"],
    kernelChip: {},
    lease: "none",
  });
  restart();
  await restore();
  assertEquals(optional, ["panel/2", "usb-serial:F1/3"]);
});

Deno.test("KeptCreations does not make a kernel chip again whose client is gone", async () => {
  using given = rig();
  const { creations, restart, restore, calls, dropped, problems } = given;
  creations.keep("k", { name: "k", lines: ["panel/3"], kernelChip: {} });
  restart();
  assertEquals(await restore(), []);
  restart();
  assertEquals([calls, dropped, problems], [[], ["aggregator.k"], []]);
});

Deno.test("KeptCreations has the manager drop what it keeps no longer", () => {
  using given = rig();
  const { creations, restart, dropped } = given;
  creations.keep("a", { name: "a", lines: ["sim/1"] });
  creations.drop("a");
  restart();
  assertEquals(dropped, ["aggregator.a"]);
});

Deno.test("KeptCreations has changes of rules, or earlier ones, whenever it is killed", async () => {
  const body = { name: "a", lines: ["sim/1,direction=output"], lease: "none" };
  const first = { 0: { safe: 0 } } as const;
  const second = { 0: { safe: 1 } } as const;
  let sent = 2;
  for (let end = 2; end <= sent; end++) {
    using given = rig();
    const { creations, restart, restore, readAgain, problems } = given;
    creations.keep("a", body);
    creations.keepRules("a", first);
    creations.keepRules("a", second);
    sent = restart(end);
    await restore();
    const rules = readAgain("a")!.rules;
    assertEquals(rules, end === 2 ? first : second, `after ${end} of ${sent}`);
    // Nor by what the next process does about it, which is handed on here.
    if (end === 2 || end === sent) continue;
    creations.keep("a", body);
    restart();
    await restore();
    assertEquals(readAgain("a")!.rules, rules, `again after ${end} of ${sent}`);
    assertEquals(problems, []);
  }
});

Deno.test("KeptCreations reads no other version, nor what is not an object", async () => {
  using given = rig();
  const { store, restore, problems } = given;
  const path = Deno.makeTempFileSync();
  try {
    for (
      const [text, version] of [
        ["5", "undefined"],
        ["null", "undefined"],
        ["{}", "undefined"],
        ['{"version": 2}', "2"],
      ] as const
    ) {
      Deno.writeTextFileSync(path, text);
      store.offer([[creationFdName("a"), openFile(path, O_RDONLY).release()]]);
      assertEquals(await restore(), []);
      assertStringIncludes(problems.pop()!, `It is of version ${version}, and`);
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("KeptCreations makes an aggregator again with the rules that it had last", async () => {
  using given = rig();
  const { creations, restart, restore, safe, dropped, problems } = given;
  const body = { name: "a", lines: ["sim/1,safe=0"], lease: "none" };
  creations.keep("a", body);
  creations.keepRules("a", { 0: { safe: null } });
  creations.keepRules("a", { 0: { safe: 1 } });
  restart();
  // Read by what it takes over: the name of the first was dropped.
  assertEquals(dropped, ["rules.a", "rules.a.next"]);
  await restore();
  assertEquals(safe.at(-1), 1);
  assertEquals(given.readAgain("a"), { body, rules: { 0: { safe: 1 } } });
  creations.keep("b", { ...body, name: "b" });
  given.creations.keepRules("b", { 5: { safe: 1 } });
  restart();
  await restore();
  assertEquals(safe.at(-1), 0, "as it was created");
  assertStringIncludes(problems[0]!, "changes of the rules of b");
  creations.drop("b");
  restart();
  assertEquals(dropped.slice(2), ["aggregator.b", "rules.b"]);
});
