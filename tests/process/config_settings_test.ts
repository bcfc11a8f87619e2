/** Settings of a configuration file for the service's own sockets. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import type { ApiEvent } from "../../src/client/protocol.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const QUIET_MS = 50;

function readMode(path: string): string {
  const { mode } = Deno.statSync(path);
  return (mode! & 0o777).toString(8);
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A service whose control API is in its file. */
async function withService(
  api: (directory: string) => string,
  switches: (directory: string) => readonly string[],
  action: (serve: ChildProcess, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-settings-" });
  try {
    await Deno.mkdir(`${directory}/vms`);
    writeConfig(directory, api(directory));
    await using serve = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...PROGRAM,
        "serve",
        "--json",
        "--config",
        `${directory}/plant.yaml`,
        ...switches(directory),
      ],
      cwd: REPOSITORY,
    });
    await serve.waitFor('"event":"ready"', { timeoutMs: 120_000 });
    await action(serve, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function writeConfig(directory: string, api: string): void {
  Deno.writeTextFileSync(
    `${directory}/plant.yaml`,
    "aggregators:\n" +
      `  plc0: { vhost-user: ${directory}/plc0.sock, lines: [sim/1] }\n${api}\n`,
  );
}

const apiOf = (directory: string) => `
api:
  socket: { path: ${directory}/api.sock, mode: "0640" }
  look: ${directory}/look.sock
  sockets: { path: ${directory}/vms, mode: "0600" }
  audit-log: ${directory}/audit.log
`;

Deno.test("serve has the control API that its file says; what changes there needs a restart", () =>
  withService(apiOf, () => [], async (serve, directory) => {
    assertEquals(readMode(`${directory}/api.sock`), "640");
    assertEquals(readMode(`${directory}/look.sock`), "660");
    const client = new ServiceClient(`${directory}/api.sock`);
    const made = await client.createLasting({ name: "vm", lines: ["sim/1"] });
    assertEquals(made.socketPath, `${directory}/vms/vm.sock`);
    assertEquals(readMode(`${directory}/vms/vm.sock`), "600");
    assertStringIncludes(
      Deno.readTextFileSync(`${directory}/audit.log`),
      '"aggregator":"vm"',
    );
    const look = new ServiceClient(`${directory}/look.sock`);
    assertEquals((await look.list()).map(({ name }) => name).sort(), [
      "plc0",
      "vm",
    ]);
    const refused = await look.remove("vm").catch(String);
    assertStringIncludes(String(refused), "it is for reading only");
    writeConfig(directory, "");
    assertEquals((await client.reload()).refused, [{
      aggregator: "",
      reasons: ["the control API's sockets and files need a restart"],
    }]);
    writeConfig(directory, apiOf(directory));
    serve.kill("SIGHUP");
    await serve.waitFor('"refused":[]');
  }));

Deno.test("a switch wins over what the file says of the control API", () =>
  withService(
    apiOf,
    (directory) => [
      `--api=${directory}/other.sock`,
      `--api-sockets=${directory},mode=660`,
    ],
    async (_serve, directory) => {
      assertEquals(readMode(`${directory}/other.sock`), "600");
      assert(!isThere(`${directory}/api.sock`));
      assertEquals(readMode(`${directory}/look.sock`), "660");
      const client = new ServiceClient(`${directory}/other.sock`);
      await client.createLasting({ name: "vm", lines: ["sim/1"] });
      assertEquals(readMode(`${directory}/vm.sock`), "660");
    },
  ));

Deno.test("a control socket is where and for whom its aggregator says", async () => {
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: { socket: ${directory}/a.sock, mode: "0640" }
    lines: [sim/1]
  b:
    vhost-user: { socket: ${directory}/b.sock, mode: "0640" }
    control: { mode: "0600" }
    lines: [sim/1]
  c:
    vhost-user: ${directory}/c.sock
    control: { path: ${directory}/c.control, mode: "0666" }
    lines: [sim/1]
`);
  assertEquals(readMode(`${service.socket("a")}.control`), "640");
  assertEquals(readMode(service.socket("b")), "640");
  assertEquals(readMode(`${service.socket("b")}.control`), "600");
  assert(!isThere(`${service.socket("c")}.control`));
  const own = service.socket("c").replace(/sock$/, "control");
  assertEquals(readMode(own), "666");
  using control = new ControlClient(own);
  assertEquals(control.ask({ pull: [["sim0", 1]] }).lines[0]?.value, 1);
});

Deno.test("watching shows inputs that no guest has armed, and disturbs none", async () => {
  await using service = await ConfigService.start((directory) => `
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines: ["sim/1,as=IDLE,direction=input", "sim/1,as=ARMED,direction=input"]
`);
  using guest = service.guest("plc0");
  const { driver } = guest;
  driver.setInterruptType(1, IrqType.EdgeRising);
  driver.arm(1);
  const seen: string[] = [];
  const listen = async () => {
    for await (const event of watched(service.api)) {
      if (event.event === "snapshot") seen.push("snapshot");
      if (event.event !== "lines") continue;
      for (const { name, value, changes } of event.lines) {
        seen.push(`${name}=${value} (${changes})`);
      }
      if (seen.length > 2) return;
    }
  };
  const listening = listen();
  await until("the snapshot", () => seen.length === 1);
  await service.pull("plc0", "IDLE=1");
  await until("a change", () => seen.length === 2);
  assertEquals(seen[1], "IDLE=1 (1)");
  assertEquals(driver.waitEvent(QUIET_MS), undefined);
  await service.pull("plc0", "ARMED=1");
  await listening;
  assertEquals(seen[2], "ARMED=1 (1)");
  assertEquals(driver.waitEvent(120_000)?.lineNumber, 1);
  // No watcher any more: the guest has its interrupt as it was.
  driver.arm(1);
  await service.pull("plc0", "ARMED=0", "IDLE=0");
  assertEquals(driver.waitEvent(QUIET_MS), undefined);
  await service.pull("plc0", "ARMED=1");
  assertEquals(driver.waitEvent(120_000)?.lineNumber, 1);
});

function watched(api: string): AsyncGenerator<ApiEvent, void> {
  return new ServiceClient(api).events("plc0");
}

Deno.test("a file with nothing but a control API serves what clients make", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-settings-" });
  try {
    const file = `${directory}/plant.yaml`;
    await Deno.writeTextFile(file, `api: { socket: ${directory}/api.sock }\n`);
    await using serve = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "serve", "--json", "--config", file],
      cwd: REPOSITORY,
    });
    await serve.waitFor('"event":"ready"', { timeoutMs: 120_000 });
    const client = new ServiceClient(`${directory}/api.sock`);
    assertEquals(await client.list(), []);
    await using made = await client.create({ name: "a", lines: ["sim/1"] });
    assertEquals(made.socketPath, `${directory}/a.sock`);
    // Reading it again leaves alone what a client has made.
    assertEquals((await client.reload()).removed, []);
    assertEquals((await client.list()).map(({ name }) => name), ["a"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
