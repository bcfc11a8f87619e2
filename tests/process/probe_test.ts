/**
 * `gpioagg probe` as a program, against a running `gpioagg serve`.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { Service } from "../environment/service.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

function start(...args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "probe", ...args],
    cwd: REPOSITORY,
  });
}

async function probe(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using process = start(...args);
  const { code } = await process.waitForExit();
  return { code, stdout: process.stdout, stderr: process.stderr };
}

function service(): Promise<Service> {
  return Service.start({
    plc0: ["sim/2,as=LAMP,direction=output", "sim/2,as=BUTTON"],
  });
}

Deno.test("probe shows what a guest would see", async () => {
  await using served = await service();
  const { code, stdout, stderr } = await probe(served.socket("plc0"));
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /features +GPIO_F_IRQ, INDIRECT_DESC, EVENT_IDX,/);
  assertMatch(stdout, /protocol features +MQ, REPLY_ACK, BACKEND_REQ, CONFIG,/);
  assertMatch(stdout, /queues +2\n/);
  assertMatch(stdout, /config +4 lines, 28 bytes of names\n/);
  assertEquals(stdout.split("\n\n")[1]!.trimEnd().split("\n"), [
    "LINE  NAME     DIRECTION  VALUE  INTERRUPT",
    "0     LAMP0    output     0      none",
    "1     LAMP1    output     0      none",
    "2     BUTTON0  input      0      none",
    "3     BUTTON1  input      0      none",
  ]);
});

Deno.test("probe sets and gets lines in the order given", async () => {
  await using served = await service();
  const socket = served.socket("plc0");
  const { code, stdout } = await probe(
    socket,
    "-q",
    ...["--get", "LAMP0", "--set", "LAMP0=1", "--get", "LAMP0"],
    ...["--set", "0=low", "--get", "0", "--set", "LAMP1=high"],
  );
  assertEquals([code, stdout], [0, "LAMP0=0\nLAMP0=1\nLAMP0=0\n"]);
  assertEquals((await served.lines("plc0"))["LAMP1"]!.value, 1);
});

Deno.test("probe --json prints one object a line", async () => {
  await using served = await service();
  await served.pull("plc0", "BUTTON1=1");
  const { code, stdout } = await probe(
    served.socket("plc0"),
    "--json",
    "--set=LAMP1=1",
    "--get=BUTTON1",
  );
  assertEquals(code, 0);
  const objects = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(objects[0].type, "device");
  assertEquals(objects[0].features.includes("GPIO_F_IRQ"), true);
  assertEquals(objects[0].lines, 4);
  assertEquals(objects[4], {
    type: "line",
    line: 3,
    name: "BUTTON1",
    direction: "input",
    value: 1,
    interrupt: "none",
  });
  assertEquals(objects.slice(5), [
    { type: "set", line: 1, name: "LAMP1", value: 1 },
    { type: "get", line: 3, name: "BUTTON1", value: 1 },
  ]);
});

Deno.test("probe --monitor prints the interrupts of all inputs", async () => {
  await using served = await service();
  await using process = start(
    served.socket("plc0"),
    "--monitor",
    "--json",
    "-n3",
  );
  await process.waitFor('"type":"monitor","lines":[2,3]');
  await served.pull("plc0", "BUTTON1=1");
  await process.waitFor(/"event".*"BUTTON1".*"value":1/);
  await served.pull("plc0", "BUTTON0=1");
  await process.waitFor(/"event".*"BUTTON0".*"value":1/);
  await served.pull("plc0", "BUTTON1=0");
  const { code } = await process.waitForExit();
  assertEquals([code, process.stderr], [0, ""]);
  const events = process.stdout.trimEnd().split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === "event");
  assertEquals(
    events.map(({ line, interrupt, value }) => [line, interrupt, value]),
    [[3, "both", 1], [2, "both", 1], [3, "both", 0]],
  );
});

Deno.test("probe --monitor ends at once when it is interrupted", async () => {
  await using served = await service();
  {
    await using process = start(
      served.socket("plc0"),
      "-q",
      "--monitor=BUTTON0",
      "--interrupt=rising",
    );
    await served.process.waitFor('"started"');
    process.kill("SIGINT");
    assertEquals((await process.waitForExit()).signal, "SIGINT");
  }
  // What it left behind does not keep the next one out.
  assertEquals((await probe(served.socket("plc0"), "--get=BUTTON0")).code, 0);
});

Deno.test("probe says what is wrong with the socket", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-probe-" });
  try {
    const absent = await probe(`${directory}/none.sock`);
    assertEquals(absent.code, 1);
    assertStringIncludes(absent.stderr, "there is no such socket");

    const dead = `${directory}/dead.sock`;
    listenUnix(dead).close();
    const refused = await probe(dead);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "nothing listens there");

    const mute = `${directory}/mute.sock`;
    using _listener = listenUnix(mute);
    const silent = await probe(mute, "--timeout=300ms");
    assertEquals(silent.code, 1);
    assertMatch(
      silent.stderr,
      /No answer to GET_FEATURES within 300 ms .*busy/,
    );

    const file = `${directory}/file`;
    await Deno.writeTextFile(file, "");
    const noSocket = await probe(file);
    assertEquals(noSocket.code, 1);
    assertStringIncludes(noSocket.stderr, `Cannot connect to ${file}`);

    const other = `${directory}/mail.sock`;
    using mailServer = listenUnix(other);
    await using stranger = start(other);
    pollFd(mailServer.fd, POLLIN, 120_000);
    using connection = acceptUnix(mailServer.fd)!;
    send(connection.fd, new TextEncoder().encode("220 ready to take mail\n"));
    assertEquals((await stranger.waitForExit()).code, 1);
    assertStringIncludes(stranger.stderr, "vhost-user backend?");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("probe tells that another frontend has the backend", async () => {
  await using served = await service();
  const socket = served.socket("plc0");
  using _vm = Frontend.open(socket, { timeoutMs: 120_000 });
  const { code, stderr } = await probe(socket, "--timeout=500ms");
  assertEquals(code, 1);
  assertMatch(stderr, /busy with another frontend/);
});

Deno.test("probe's usage errors have exit status 2 and a hint", async () => {
  await using served = await service();
  const socket = served.socket("plc0");
  for (
    const [args, status, expected] of [
      [[], 2, "missing SOCKET"],
      [[socket, "--set", "LAMP0"], 2, "NAME=VALUE"],
      [[socket, "--get", "LAMP"], 1, "Did you mean LAMP0?"],
      [[socket, "--frobnicate"], 2, "unknown option"],
    ] as const
  ) {
    const { code, stderr, stdout } = await probe(...args);
    assertEquals([code, stdout], [status, ""]);
    assertStringIncludes(stderr, expected);
  }
  const { code, stdout } = await probe("--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "Usage: gpioagg probe SOCKET");
});

Deno.test("probe reports a device that refuses, with exit status 1", async () => {
  await using served = await Service.start({
    plc0: ["sim/1,as=BUTTON,direction=input"],
  });
  const { code, stderr } = await probe(
    served.socket("plc0"),
    "-q",
    "--set=BUTTON=1",
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, "refused SET_DIRECTION 1 on line 0");
  assertStringIncludes(stderr, "gpioagg serve writes it to its log");
});
