/** Users who hold many connections take nothing from others. */
import { assert, assertEquals } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { residentMb } from "./server_usage.ts";
import { lacksRoot } from "../doubles/skipped.ts";

/** Users that own nothing. */
const HOLDER = 65534;
const OTHER = 65533;

const isUser = lacksRoot("connections of other users");

const EVENTS = "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n";
const LIST = "GET /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
  "connection: close\r\n\r\n";

/** Opens connections, says something on each, and holds them. */
const HOLD = `use Socket; my ($uid, $path, $count, $text) = @ARGV;
$( = $) = "$uid $uid"; $< = $> = $uid; my @held; $| = 1;
for (1 .. $count) {
  socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!;
  connect($s, sockaddr_un($path)) or die $!;
  syswrite($s, $text); push @held, $s;
}
print "held\\n"; <STDIN>;`;

/** Says something on one connection, and prints all that it hears. */
const ASK = `use Socket; my ($uid, $path, $text) = @ARGV;
$( = $) = "$uid $uid"; $< = $> = $uid; alarm 10;
socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!;
connect($s, sockaddr_un($path)) or die $!;
syswrite($s, $text); print while <$s>;`;

async function hold(
  uid: number,
  path: string,
  count: number,
  text: string,
): Promise<ChildProcess> {
  const child = new ChildProcess({
    command: "perl",
    args: ["-e", HOLD, String(uid), path, String(count), text],
  });
  await child.waitFor("held", { timeoutMs: 120_000 });
  return child;
}

async function ask(uid: number, path: string, text: string): Promise<string> {
  const { stdout } = await new Deno.Command("perl", {
    args: ["-e", ASK, String(uid), path, text],
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test({
  name: "idle streams of one user lock out no other user, nor root, nor itself",
  ignore: isUser,
  async fn() {
    await using service = await ApiService.start({
      aggregators: { own: ["sim/1"] },
      apiAccess: ",mode=666",
      lookAccess: ",mode=666",
      openFiles: 1024,
    });
    for (const { socketPath } of [service.lookClient, service.client]) {
      await using _holder = await hold(HOLDER, socketPath, 273, EVENTS);
      for (const uid of [OTHER, HOLDER, 0]) {
        const answer = await ask(uid, socketPath, LIST);
        assert(answer.startsWith("HTTP/1.1 200 "), `${uid}: ${answer}`);
      }
      const fds = listDirectory(`/proc/${service.process.pid}/fd`).length;
      assert(fds < 120 + 120, `${fds} fds`);
    }
    // Connections that say nothing, and half a request.
    for (const text of ["", "GET / HTTP/1.1\r\n"]) {
      const { socketPath } = service.lookClient;
      await using _holder = await hold(HOLDER, socketPath, 273, text);
      for (const uid of [OTHER, HOLDER, 0]) {
        const answer = await ask(uid, socketPath, LIST);
        assert(answer.startsWith("HTTP/1.1 200 "), `${uid}: ${answer}`);
      }
    }
  },
});

Deno.test("idle clients of all sockets neither end a service of 64 fds, nor keep it busy", async () => {
  await using service = await ApiService.start({
    aggregators: {
      good: ["sim/1,as=OUT,direction=output"],
      evil: ["sim/1"],
    },
    openFiles: 64,
  });
  using stack = new DisposableStack();
  const connect = (path: string, text: string) => {
    const fd = stack.use(connectUnix(path));
    send(fd.fd, new TextEncoder().encode(text));
    return fd;
  };
  for (let i = 0; i < 40; i++) {
    connect(service.client.socketPath, i % 2 === 0 ? "" : EVENTS);
    connect(service.lookClient.socketPath, i % 2 === 0 ? "" : EVENTS);
  }
  for (let i = 0; i < 30; i++) {
    connect(`${service.socket("evil")}.control`, "");
    connect(`${service.socket("good")}.control`, "");
  }
  assertEquals((await service.client.list()).length, 2);
  const asked = connect(`${service.socket("good")}.control`, "{}\n");
  const piece = new Uint8Array(65536);
  let text = "";
  while (!text.endsWith("\n")) {
    assert(pollFd(asked.fd, POLLIN, 120_000) !== 0, `nothing after ${text}`);
    const count = receive(asked.fd, piece, []);
    assert(count > 0, `the end after ${text}`);
    text += new TextDecoder().decode(piece.subarray(0, count));
  }
  assert(text.includes('"OUT"'), text);
  using frontend = Frontend.open(service.socket("good"), {
    timeoutMs: 120_000,
  });
  const driver = GpioDriver.attach(frontend);
  driver.setValue(0, 1);
  assertEquals(driver.getValue(0), 1);
  assertEquals((await service.client.list()).length, 2);
});

/** Clients that ask for something large and read nothing of it. */
const SILENT = 300;
/** Memory that they may cost together. **Units**: MB. */
const SILENT_MB = 64;

for (const path of ["/v1/aggregators", "/v1/events", "/metrics"]) {
  Deno.test(`${SILENT} clients that do not read ${path} cost little memory`, async () => {
    await using service = await ApiService.start({
      aggregators: { own: ["sim/4096,as=LONG_LINE_NAME_HERE"] },
      // A small nursery: garbage is no memory that clients cost.
      v8Flags: "--max-semi-space-size=2",
    });
    const { client, lookClient } = service;
    await client.createLasting({ name: "b", lines: ["sim/4096,as=OTHER"] });
    for (let i = 0; i < 20; i++) await lookClient.list();
    const { pid } = service.process;
    const before = residentMb(pid);
    using stack = new DisposableStack();
    const request = new TextEncoder().encode(
      `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`,
    );
    for (let i = 0; i < SILENT; i++) {
      const fd = stack.use(connectUnix(lookClient.socketPath));
      send(fd.fd, request);
      // Not all of them get the same answer.
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    let most = 0;
    for (let i = 0; i < 20; i++) {
      assertEquals((await lookClient.list()).length, 2);
      most = Math.max(most, residentMb(pid) - before);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    console.log(`    ${most.toFixed(0)} MB`);
    assert(most < SILENT_MB, `${most} MB`);
  });
}
