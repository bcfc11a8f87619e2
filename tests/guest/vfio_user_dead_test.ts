/**
 * A PCI card whose gpioagg was killed where no service manager keeps its session.
 */
import { assertEquals } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { Service } from "../environment/service.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("deno", "qemuNewest", "stockTrixie");

const LIMIT_MS = 120_000;

/**
 * Runs a command on a QEMU's monitor for programs (QMP); its answer.
 *
 * @throws {Error} If QEMU ends meanwhile.
 */
async function execute(
  path: string,
  command: string,
  parameters: Readonly<Record<string, unknown>>,
): Promise<{ readonly error?: { readonly desc: string } }> {
  using connection = UnixStream.connect(path);
  let text = "";
  const answer = async () => {
    for (;;) {
      const end = text.indexOf("\n");
      const message = end < 0 ? {} : JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if ("QMP" in message || "return" in message || "error" in message) {
        return message;
      }
      if (end >= 0) continue;
      const piece = await connection.read();
      if (piece === null) throw new Error(`QEMU ended at ${command}`);
      text += new TextDecoder().decode(piece);
    }
  };
  const send = async (execute: string, args: unknown) => {
    const line = JSON.stringify({ execute, arguments: args });
    await connection.write(new TextEncoder().encode(`${line}\n`));
    return await answer();
  };
  await answer();
  await send("qmp_capabilities", {});
  return await send(command, parameters);
}

Deno.test({
  name: "a card whose gpioagg is killed reads ones, until it is added again",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      { plc0: ["sim/16,safe=0"] },
      "--vfio-user",
    );
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-qmp-" });
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    const qmp = `${directory}/qmp`;
    const card = {
      driver: "vfio-user-pci",
      id: "card",
      bus: "port0",
      socket: { type: "unix", path: service.socket("plc0") },
    };
    await using guest = await bootQemuGuest({
      qemu: "newest",
      kernel: "trixie",
      memoryMiB: 256,
      arguments: [
        ...["-device", "pcie-root-port,id=port0,chassis=1"],
        ...["-device", JSON.stringify(card)],
        ...["-qmp", `unix:${qmp},server=on,wait=off`],
      ],
    });
    const value = async (name: string) =>
      (await service.lines("plc0"))[name]?.value;
    const chips = async () =>
      [...(await guest.run("gpiodetect 2>&1 || true"))
        .matchAll(/^(gpiochip\d+) \[0000:/gm)].map(([, name]) => name!);
    // The third chip has the first lines.
    const untilCard = async (): Promise<string> => {
      await until(
        "the card's chips",
        async () => (await chips()).length === 8,
        LIMIT_MS,
      );
      return (await chips())[2]!;
    };
    const chip = await untilCard();
    await guest.run(`gpioset -t 0 -c ${chip} 0=1`);
    assertEquals(await value("sim0"), 1);
    assertEquals(await guest.run(`gpioget --numeric -c ${chip} 4 5`), "0 0");

    // The guest sees nothing of it but levels; what it sets is lost.
    await service.crash();
    assertEquals(await guest.run(`gpioget --numeric -c ${chip} 4 5`), "1 1");
    await guest.run(`gpioset -t 0 -c ${chip} 0=1`);
    assertEquals(await value("sim0"), 0);

    await execute(qmp, "device_del", { id: "card" });
    await until(
      "the card is gone",
      async () => (await chips()).length === 0,
      LIMIT_MS,
    );
    await until(
      "the card is added again",
      async () => (await execute(qmp, "device_add", card)).error === undefined,
      LIMIT_MS,
    );
    const again = await untilCard();
    await guest.run(`gpioset -t 0 -c ${again} 0=1`);
    assertEquals(await value("sim0"), 1);
    await service.pull("plc0", "sim5=1");
    assertEquals(await guest.run(`gpioget --numeric -c ${again} 4 5`), "0 1");
  },
});
