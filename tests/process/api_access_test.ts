/** Access rights of the control API, and its audit log. */
import { assert, assertEquals } from "@std/assert";
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { check, libc } from "../../ffi/libc.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ServiceError } from "../../src/client/client.ts";
import { sendRequest } from "../../src/client/http_request.ts";
import { ApiService } from "../environment/api_service.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { lacksRoot } from "../doubles/skipped.ts";

/** A user that owns nothing: "nobody" on most machines, but any will do. */
const OTHER = 65534;

const isUser = lacksRoot("requests of another user");

interface Answer {
  status: number;
  text: string;
}

/** Deno where any user may run it: its own place may be closed to others. */
async function openDeno(directory: string): Promise<string> {
  const path = `${directory}/deno`;
  if (fileStatus(path) !== undefined) return path;
  const deno = await Deno.realPath(await artefact("deno"));
  try {
    await Deno.link(deno, path);
  } catch {
    // On another file system, or one without links.
    await Deno.copyFile(deno, path);
  }
  return path;
}

/** Asks as another user, who brings nothing but the request. */
async function askAs(
  user: number,
  service: ApiService,
  ...args: readonly string[]
): Promise<Answer> {
  const cache = `${service.directory}/cache-${user}`;
  await Deno.mkdir(cache, { recursive: true });
  await Deno.chmod(cache, 0o777);
  // One file, since the checkout may be closed to others.
  const program = `${cache}/as_user.js`;
  const deno = await artefact("deno");
  const bundled = await new Deno.Command(deno, {
    args: ["bundle", "-q", "-o", program, "tests/environment/as_user.ts"],
    cwd: REPOSITORY,
  }).output();
  assert(bundled.success, new TextDecoder().decode(bundled.stderr));
  await Deno.chmod(program, 0o644);
  const { stdout, stderr } = await new Deno.Command(await openDeno(cache), {
    args: ["run", "-q", "--no-config", "--allow-ffi", program, ...args],
    uid: user,
    gid: user,
    cwd: "/",
    env: { DENO_DIR: cache, HOME: cache },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text !== "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

const MUTATIONS: readonly (readonly string[])[] = [
  ["POST", "/v1/aggregators", '{"name":"x","lines":["sim/1"],"lease":"none"}'],
  ["DELETE", "/v1/aggregators/own"],
  ["PATCH", "/v1/aggregators/own/lines", '{"pull":{"sim0":1}}'],
  ["POST", "/v1/reload"],
];

Deno.test({
  name: "another user may look where the mode lets him, and change nothing",
  ignore: isUser,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: { own: ["sim/1"] },
      lookAccess: ",mode=666",
    });
    const look = service.lookClient.socketPath;
    const shown = await askAs(
      OTHER,
      service,
      look,
      "GET",
      "/v1/aggregators/own",
    );
    assertEquals(shown.status, 200);
    for (const mutation of MUTATIONS) {
      const { status, text } = await askAs(OTHER, service, look, ...mutation);
      assertEquals(status, 403, text);
      assert(text.includes("it is for reading only"), text);
      const closed = await askAs(
        OTHER,
        service,
        service.client.socketPath,
        ...mutation,
      );
      assertEquals(closed.status, 0);
      assert(closed.text.includes("EACCES"), closed.text);
    }
    assertEquals((await service.client.list()).length, 1);
    const refused = service.audit().filter(({ outcome }) =>
      outcome === "refused"
    );
    assertEquals(refused.map(({ uid, action }) => [uid, action]), [
      [OTHER, "create"],
      [OTHER, "remove"],
      [OTHER, "pull"],
      [OTHER, "reload"],
    ]);
  },
});

Deno.test({
  name: "sockets belong to whom they are set to, and the caller is known",
  ignore: isUser,
  fn: async () => {
    await using service = await ApiService.start({
      apiAccess: `,owner=${OTHER},mode=600`,
      socketAccess: `,group=${OTHER},mode=620`,
    });
    const api = fileStatus(service.client.socketPath)!;
    assertEquals([api.uid, api.mode & 0o777], [OTHER, 0o600]);
    const { status, text } = await askAs(
      OTHER,
      service,
      service.client.socketPath,
      ...MUTATIONS[0]!,
    );
    assertEquals(status, 201, text);
    const made = fileStatus(service.socket("x"))!;
    assertEquals([made.gid, made.mode & 0o777], [OTHER, 0o620]);
    await service.client.createLasting({
      name: "y",
      lines: ["sim/1"],
      socket: { mode: "600", owner: String(OTHER) },
    });
    const own = fileStatus(service.socket("y"))!;
    assertEquals([own.uid, own.mode & 0o777], [OTHER, 0o600]);
    const [first, second] = service.audit();
    assertEquals([first?.uid, first?.aggregator], [OTHER, "x"]);
    assertEquals([second?.uid, second?.pid], [0, Deno.pid]);
  },
});

Deno.test("sockets are closed to others unless a mode opens them", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1"] },
  });
  const modeOf = (path: string) => fileStatus(path)!.mode & 0o777;
  assertEquals(modeOf(service.client.socketPath), 0o600);
  assertEquals(modeOf(service.lookClient.socketPath), 0o660);
  assertEquals(modeOf(service.socket("own")), 0o660);
  assertEquals(modeOf(`${service.directory}/audit.log`), 0o600);
});

/**
 * Columns of the inodes in the tables of sockets; nothing else tells whose one
 * is.
 */
const INODE_COLUMNS = {
  tcp: 9,
  tcp6: 9,
  udp: 9,
  udp6: 9,
  raw: 9,
  raw6: 9,
  packet: 8,
} as const;

/** Inodes of the network's sockets in a process's network namespace. */
function networkInodes(pid: number | "self"): Set<string> {
  return new Set(
    Object.entries(INODE_COLUMNS).flatMap(([kind, column]) => {
      const table = readSmallFile(`/proc/${pid}/net/${kind}`) ?? "";
      return table.trim().split("\n").slice(1).map((line) => {
        const inode = line.trim().split(/\s+/)[column] ?? "";
        assert(/^\d+$/.test(inode), `${kind}: no inode in ${line}`);
        return inode;
      });
    }),
  );
}

/** Inodes of all sockets of a process. */
function socketInodes(pid: number | "self"): Set<string> {
  return new Set(
    listDirectory(`/proc/${pid}/fd`).map((fd) =>
      /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`) ?? "")?.[1]
    ).filter((inode) => inode !== undefined),
  );
}

Deno.test("no socket of a service is a network's", async () => {
  await using service = await ApiService.start();
  const { pid } = service.process;
  const inodes = socketInodes(pid);
  assert(inodes.size > 0);
  const found = networkInodes(pid).intersection(inodes);
  assertEquals([...found], []);
});

Deno.test({
  name: "a network's socket would be found",
  ignore: isUser,
  fn: () => {
    const AF_INET = 2;
    const AF_PACKET = 17;
    const SOCK_RAW = 3;
    const ICMP = 1;
    // Both are in their tables from the start; tcp has the columns of raw.
    for (const [family, protocol] of [[AF_INET, ICMP], [AF_PACKET, 0x0300]]) {
      const fd = check(
        libc().socket(family!, SOCK_RAW, protocol!),
        "socket",
        `family ${family}`,
      );
      using _socket = new OwnedFd(fd, "a network's socket");
      const found = networkInodes("self").intersection(socketInodes("self"));
      assertEquals(found.size, 1, `family ${family}`);
    }
  },
});

Deno.test("bad requests are refused with what is wrong with them", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  const bad: readonly (readonly [unknown, number, string])[] = [
    [{ name: "../x", lines: ["sim/1"] }, 400, "name: "],
    [{ name: "x", lines: [] }, 400, "lines: "],
    [{ name: "x", lines: [7] }, 400, "lines[0]: "],
    [{ name: "x", lines: ["sim/1,sefe=0"] }, 400, "--line sim/1,sefe=0"],
    [{ name: "x", lines: ["NO_SUCH_LINE"] }, 409, "NO_SUCH_LINE"],
    [{ name: "x", lines: ["sim/1"], leese: 1 }, 400, "leese: "],
    [{ name: "x", lines: ["sim/1"], socket: { mode: 7 } }, 400, "socket.mode"],
    [{ name: "x", lines: ["sim/99999"] }, 400, ""],
    [
      { name: "x", lines: ["sim/1"], socket: { group: "no such group" } },
      400,
      'no group "no such group"',
    ],
    [{ name: "y".repeat(65), lines: ["sim/1"] }, 400, "name: "],
  ];
  // The client would refuse most of them itself.
  for (const [body, status, says] of bad) {
    const answer = await service.post(body);
    assertEquals(answer.status, status, answer.text);
    const { error: { message } } = JSON.parse(answer.text);
    assert(message.includes(says), message);
  }
  assertEquals(await client.list(), []);
});

Deno.test("every call that would change something is written down, done or refused", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=IN"] },
  });
  const { client } = service;
  const a = { name: "a", lines: ["sim/1,safe=0"] };
  const bad = { name: "a", lines: ["sim/1,sefe=0"] };
  const calls: readonly (readonly [
    () => Promise<unknown>,
    readonly unknown[],
  ])[] = [
    [() => client.createLasting(a), ["create", "a", "done", a.lines]],
    [() => client.createLasting(a), ["create", "a", "refused", a.lines]],
    // What it is to be called is not known of a body that is not read.
    [() => client.createLasting(bad), ["create", "", "refused", undefined]],
    [() => client.pull("own", { IN: 1 }), ["pull", "own", "done", ["IN=1"]]],
    [() => client.pull("own", { X: 1 }), ["pull", "own", "refused", ["X=1"]]],
    [() => client.pull("no", { X: 1 }), ["pull", "no", "refused", ["X=1"]]],
    [() => client.remove("a"), ["remove", "a", "done", undefined]],
    [() => client.remove("a"), ["remove", "a", "refused", undefined]],
    [() => client.reload(), ["reload", "", "refused", undefined]],
    // It would return with the next start.
    ...([["", 409], ["?forced=1", 400], ["?force=yes", 400]] as const).map(
      ([query, refused]) =>
        [async () => {
          const path = `/v1/aggregators/own${query}`;
          const { status } = await sendRequest(client.socketPath, {
            method: "DELETE",
            path,
          });
          assertEquals(status, refused);
        }, ["remove", "own", "refused", undefined]] as const,
    ),
    [
      () => client.remove("own", { isForced: true }),
      ["remove", "own", "done", undefined],
    ],
  ];
  for (const [call] of calls) {
    await call().catch((error) => {
      if (!(error instanceof ServiceError)) throw error;
    });
  }
  const entries = service.audit();
  assertEquals(
    entries.map(({ action, aggregator, outcome, lines }) => [
      action,
      aggregator,
      outcome,
      lines,
    ]),
    calls.map(([, entry]) => entry),
  );
  for (const entry of entries) {
    assertEquals([entry.uid, entry.pid], [effectiveUserId(), Deno.pid]);
    assertEquals(entry.outcome === "refused", entry.reason !== undefined);
  }
});

Deno.test("an audit log that cannot be written any more goes to standard error", async () => {
  await using service = await ApiService.start();
  const path = `${service.directory}/audit.log`;
  await Deno.remove(path);
  await Deno.mkdir(path);
  {
    await using lease = await service.client.create({
      name: "a",
      lines: ["sim/1"],
    });
    await service.process.waitFor(
      /audit: \{.*"action":"create","aggregator":"a".*"outcome":"done"/,
      { stream: "stderr" },
    );
    assertEquals((await service.client.list())[0]?.lease, "stream");
    assertEquals(lease.name, "a");
  }
  await service.process.waitFor(/"action":"lease-end"/, { stream: "stderr" });
  assert(
    service.process.stderr.includes(" to the audit log"),
    service.process.stderr,
  );
});
