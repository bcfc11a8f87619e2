/** Paths of QEMU's sockets that lead to something else, chosen by others. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { changeOwner, openAt } from "../../ffi/directory.ts";
import { O_NOFOLLOW, O_PATH } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { openDirectory } from "../../ffi/trusted_path.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { ServiceError } from "../../src/client/client.ts";
import { connectToQemu } from "../../src/qemu/qemu_socket.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { ApiService } from "../environment/api_service.ts";
import { ConfigService } from "../environment/config_service.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { lacksRoot } from "../doubles/skipped.ts";

const OTHER = 65534;
/** Time in which a service would have tried again, several times. */
const RETRIES_MS = 2500;

const isUser = lacksRoot("paths of other users");

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

Deno.test("a client's path is used below a directory that is allowed, and nowhere else", async () => {
  await using service = await ApiService.start();
  const { client, directory } = service;
  const outside = await Deno.makeTempDir({ prefix: "gpioagg-outside-" });
  try {
    using listener = listenUnix(`${outside}/root.sock`);
    await Deno.mkdir(`${directory}/vm`);
    using qemu = new RunningQemu(`${directory}/vm`);
    await Deno.symlink(`${outside}/root.sock`, `${directory}/vm/link`);
    await Deno.symlink(outside, `${directory}/vm/out`);
    const request = (name: string, qtest: string) => ({
      name,
      lines: ["sim/2"],
      qemuPins: { qtest, qmp: `${directory}/vm/qmp` },
    });
    for (
      const path of [
        `${outside}/root.sock`,
        `${directory}/../${outside.split("/").pop()}/root.sock`,
        "/run/docker.sock",
      ]
    ) {
      const error = await assertRejects(
        () => client.createLasting(request("x", path)),
        ServiceError,
        `qemuPins.qtest: is not a plain path below ${directory}`,
      );
      assertEquals(error.status, 400);
    }
    // By links it gets no further, and hears nothing of what is there.
    for (const name of ["link", "out/root.sock"]) {
      await client.createLasting(request("x", `${directory}/vm/${name}`));
      await service.process.waitFor(
        name === "link" ? "it is a symbolic link, not a socket" : "ENOTDIR",
      );
      await client.remove("x");
    }
    assertEquals(acceptUnix(listener.fd), undefined);
    await client.createLasting(request("x", `${directory}/vm/qtest`));
    await until(
      "the pins are linked",
      async () => (await client.show("x")).connected,
    );
    assertEquals(qemu.model.qtestClients, 1);
    // Nothing is made beside a path of a client's.
    assertEquals(fileStatus(`${directory}/vm/qtest.control`), undefined);
  } finally {
    await Deno.remove(outside, { recursive: true });
  }
});

Deno.test({
  name:
    "a QEMU that owns the directory of its sockets leads nowhere else by links",
  ignore: isUser,
  fn: async () => {
    const scratch = await Deno.makeTempDir({ prefix: "gpioagg-links-" });
    try {
      const theirs = `${scratch}/vm`;
      await Deno.mkdir(theirs);
      using listener = listenUnix(`${scratch}/root.sock`);
      using _qemu = new RunningQemu(theirs);
      await Deno.symlink(`${scratch}/root.sock`, `${theirs}/link`);
      using directory = openDirectory(theirs);
      using link = openAt(directory, "link", O_PATH | O_NOFOLLOW);
      changeOwner(link, OTHER, OTHER);
      await Deno.chown(theirs, OTHER, OTHER);
      await using service = await ConfigService.start(() => `
aggregators:
  press:
    qemu-pins: { qtest: ${theirs}/link, qmp: ${theirs}/qmp }
    lines: [sim/2]
`);
      const [fault] = await service.heard("fault");
      assert(
        fault?.detail?.includes(`is a symbolic link of user ${OTHER}`),
        fault?.detail,
      );
      await sleep(RETRIES_MS);
      assertEquals(acceptUnix(listener.fd), undefined);
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  },
});

Deno.test({
  name:
    "below a client's directory only its owner, root and this user are spoken to",
  ignore: isUser,
  fn: async () => {
    const scratch = await Deno.makeTempDir({ prefix: "gpioagg-peer-" });
    try {
      await Deno.chmod(scratch, 0o755);
      await Deno.mkdir(`${scratch}/vm`);
      await Deno.chmod(`${scratch}/vm`, 0o777);
      const deno = `${scratch}/deno`;
      await Deno.copyFile(await Deno.realPath(await artefact("deno")), deno);
      await Deno.copyFile(
        `${REPOSITORY}/tests/environment/unix_listener.js`,
        `${scratch}/listener.js`,
      );
      const socket = `${scratch}/vm/qmp`;
      await using listener = new ChildProcess({
        command: "setpriv",
        args: [
          ...[`--reuid=${OTHER}`, `--regid=${OTHER}`, "--clear-groups", deno],
          ...["run", "-q", "--no-config", "--no-lock", "-A"],
          ...[`${scratch}/listener.js`, socket],
        ],
        cwd: "/",
        env: { DENO_DIR: `${scratch}/vm/deno`, HOME: `${scratch}/vm` },
      });
      await listener.waitFor("listening", { timeoutMs: 120_000 });
      const problemWith = (owner: number) => {
        Deno.chownSync(`${scratch}/vm`, owner, owner);
        try {
          connectToQemu(socket, [scratch]).close();
          return "";
        } catch (error) {
          return String(error);
        }
      };
      const problem = problemWith(OTHER - 1);
      assert(
        problem.includes(
          `user ${OTHER} listens there, in a directory of user ${OTHER - 1}`,
        ),
        problem,
      );
      assertEquals(problemWith(OTHER), "");
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  },
});

Deno.test("a directory that every user may put a socket into is told of", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-open-" });
  try {
    await Deno.chmod(directory, 0o1777);
    using _qemu = new RunningQemu(directory);
    await using service = await ConfigService.start(() => `
aggregators:
  press:
    qemu-pins: { qtest: ${directory}/qtest, qmp: ${directory}/qmp }
    lines: [sim/2]
`);
    const [connected] = await service.heard("connected");
    assertEquals(
      connected?.detail,
      `every user can put a socket into ${directory} before QEMU does; use a ` +
        `directory for QEMU alone`,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
