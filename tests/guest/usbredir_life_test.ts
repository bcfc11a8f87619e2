/**
 * Life and death of a GPIO adapter on USB: pauses, restarts, resets, QEMUs that
 * end, and QEMUs that go on with the state of another one.
 */
import { assertEquals } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { Service } from "../environment/service.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";
import {
  bootUsbGuest,
  events,
  monitor,
  type UsbGuestOptions,
} from "./usbredir_rig.ts";

const ignore = await mustSkip("deno", "qemuOld", "qemuNew", "stockTrixie");

/** QEMU's monitor, one command after another. */
class Monitor implements AsyncDisposable {
  readonly path: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = `${directory}/monitor`;
  }

  static async prepare(): Promise<Monitor> {
    return new Monitor(await Deno.makeTempDir({ prefix: "gpioagg-hmp-" }));
  }

  get arguments(): string[] {
    return ["-monitor", `unix:${this.path},server=on,wait=off`];
  }

  get stateFile(): string {
    return `${this.#directory}/state`;
  }

  /** Runs a command; its output. */
  async run(command: string): Promise<string> {
    using connection = UnixStream.connect(this.path);
    await this.#prompt(connection);
    await connection.write(new TextEncoder().encode(`${command}\n`));
    return await this.#prompt(connection);
  }

  /** Waits until a QEMU has taken the state of another one, and lets it run. */
  async resume(): Promise<void> {
    await until("QEMU goes on", async () => {
      const status = await this.run("info status").catch(() => "");
      if (/VM status: paused\s*\n/.test(status)) await this.run("cont");
      return status.includes("running");
    }, 60_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #prompt(connection: UnixStream): Promise<string> {
    let text = "";
    while (!/\(qemu\) ?$/.test(text)) {
      const piece = await connection.read();
      if (piece === null) throw new Error(`QEMU's monitor ended: ${text}`);
      text += new TextDecoder().decode(piece);
    }
    return text;
  }
}

const SPECS = ["sim/2,safe=0", "sim/1"];

function guestAt(
  service: Service,
  monitor: Monitor,
  more: Partial<UsbGuestOptions> = {},
): Promise<GuestSession> {
  return bootUsbGuest({
    kernel: "trixie",
    qemu: "old",
    sockets: [service.socket("plc0")],
    ...more,
    arguments: [...monitor.arguments, ...more.arguments ?? []],
  });
}

async function valueOf(service: Service, name: string) {
  return (await service.lines("plc0"))[name]?.value;
}

/** Waits until the guest's lines can be driven. */
async function untilDriven(
  service: Service,
  guest: GuestSession,
): Promise<void> {
  await until("the chip is back", async () => {
    await guest.exec("gpioset -t 0 -c $(gpiodetect | cut -d' ' -f1) 1=1");
    return await valueOf(service, "sim1") === 1;
  }, 60_000);
}

Deno.test({
  name: "a pause loses nothing; a restart of gpioagg and a reset are the end",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: SPECS }, "--usbredir");
    await using hmp = await Monitor.prepare();
    await using guest = await guestAt(service, hmp, {
      arguments: ["-action", "reboot=reset"],
    });
    await guest.run("gpioset -z -c 0 0=1");
    await monitor(guest, "-c 0 2");
    await hmp.run("stop");
    await service.pull("plc0", "sim2=1");
    await service.pull("plc0", "sim2=0");
    assertEquals(await valueOf(service, "sim0"), 1);
    await hmp.run("cont");
    assertEquals(await events(guest, 2), ["rising", "falling"]);
    assertEquals(await valueOf(service, "sim0"), 1);

    await service.crash();
    await untilDriven(service, guest);

    const from = guest.process.stdout.length;
    await hmp.run("system_reset");
    await until(
      "the line is safe",
      async () => await valueOf(service, "sim1") === 0,
    );
    await guest.process.waitFor("\x1eready\x1e", { from, timeoutMs: 120_000 });
    await untilDriven(service, guest);
  },
});

Deno.test({
  name: "a QEMU with the state of another one has its chip again",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: SPECS }, "--usbredir");
    await using hmp = await Monitor.prepare();
    {
      await using guest = await guestAt(service, hmp);
      await untilDriven(service, guest);
      // Its command loop begins anew, and says so, in the QEMU that goes on.
      await guest.run("(sleep 5; killall session) >/dev/null 2>&1 &");
      await hmp.run("stop");
      await hmp.run(`migrate "exec:cat >${hmp.stateFile}"`);
      await until(
        "the state is saved",
        async () => (await hmp.run("info migrate")).includes("completed"),
        60_000,
      );
      guest.process.kill("SIGKILL");
      await until(
        "the line is safe",
        async () => await valueOf(service, "sim1") === 0,
      );
    }
    const booting = guestAt(service, hmp, {
      arguments: ["-incoming", `exec:cat ${hmp.stateFile}`],
    });
    const [second] = await Promise.all([booting, hmp.resume()]);
    await using guest = second;
    await untilDriven(service, guest);
  },
});
