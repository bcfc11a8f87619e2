/**
 * Rules on a real kernel chip that refuses writes: gpioagg on the chip of
 * gpio-virtio inside a User-Mode-Linux guest. That chip's lines are served
 * outside, where a `min-interval` refuses what changes a line too soon.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { Service } from "../environment/service.ts";
import {
  bootUmlHost,
  cacheProgram,
  type UmlHost,
} from "../environment/uml_host.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("uml", "gpiod", "busybox", "deno");

/** Time for which the chip refuses another change of a line. */
const REFUSED_MS = 15_000;
/** For whatever a slow machine makes of that. */
const LIMIT_MS = 60_000;

const G = [PROGRAM_FILE, ...PROGRAM].map((word) => `'${word}'`).join(" ");

/** The guest with its chip, whose lines are RELAY0 and so on. */
class RefusingChip implements AsyncDisposable {
  readonly #service: Service;
  readonly #guest: UmlHost;

  private constructor(service: Service, guest: UmlHost) {
    this.#service = service;
    this.#guest = guest;
  }

  static async boot(lines: number): Promise<RefusingChip> {
    await cacheProgram();
    const service = await Service.start({
      chip: [`sim/${lines},as=RELAY,min-interval=${REFUSED_MS}ms`],
    });
    try {
      const guest = await bootUmlHost({
        kernelArguments: [`virtio_uml.device=${service.socket("chip")}:41`],
        bootTimeoutMs: LIMIT_MS,
      });
      await guest.run("mkdir -p /tmp/r");
      return new RefusingChip(service, guest);
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts a service in the guest; waits until it serves. */
  async serve(name: string, args: string): Promise<void> {
    await this.#guest.run(
      `(${G} serve ${args} 2>/tmp/r/${name}.log; echo $? >/tmp/r/${name}.rc) ` +
        `>/dev/null & echo`,
    );
    await this.log(name, "serving ");
  }

  /** Waits for words in a service's log. */
  async log(name: string, words: string): Promise<string> {
    let text = "";
    await until(`"${words}" in the log of ${name}`, async () => {
      text = (await this.exec(`cat /tmp/r/${name}.log`)).output;
      return text.includes(words);
    }, LIMIT_MS);
    return text;
  }

  exec(command: string): Promise<{ code: number; output: string }> {
    return this.#guest.exec(command, { timeoutMs: LIMIT_MS });
  }

  /** Runs gpioagg in the guest. */
  gpioagg(args: string): Promise<{ code: number; output: string }> {
    return this.exec(`${G} ${args}`);
  }

  /** Returns the control API's answer: status and body. */
  async get(path: string): Promise<string> {
    const script = `import { request } from "node:http";
      request({ socketPath: "/tmp/r/api.sock", path: "${path}" }, (answer) => {
        let text = answer.statusCode + " ";
        answer.on("data", (data) => text += data);
        answer.on("end", () => console.log(text));
      }).end();`;
    await Deno.writeTextFile(`${this.#guest.share}/get.js`, script);
    const { output } = await this.exec("deno run -q -A /mnt/get.js");
    return output.trim();
  }

  /** Returns the value of a line's wire. */
  async value(name: string): Promise<number | undefined> {
    return (await this.#service.lines("chip"))[name]?.value;
  }

  async becomes(name: string, value: number): Promise<void> {
    await until(
      `${name} is ${value}`,
      async () => await this.value(name) === value,
      LIMIT_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest[Symbol.asyncDispose]();
    await this.#service[Symbol.asyncDispose]();
  }
}

Deno.test({
  name: "a kernel chip that refuses writes gets its safe values all the same",
  ignore,
  fn: async (t) => {
    await using chip = await RefusingChip.boot(7);

    await t.step("a guest that dies in that moment", async () => {
      await chip.serve(
        "plc",
        "--api /tmp/r/api.sock --socket-path /tmp/r/plc.sock " +
          "--line RELAY0,direction=output,safe=0",
      );
      await chip.gpioagg("probe /tmp/r/plc.sock --set RELAY0=1");
      const log = await chip.log("plc", "does not hold");
      assertStringIncludes(log, "plc: fault: RELAY0, gpiochip0 line 0");
      assertStringIncludes(log, "its rule (safe value 0) does not hold: ");
      assertStringIncludes(log, "(EINVAL); it is retried");
      assertEquals(await chip.value("RELAY0"), 1);
      const shown = await chip.gpioagg("show plc --json --api /tmp/r/api.sock");
      assertEquals(
        JSON.parse(shown.output).lines[0].pendingRule.rule,
        "safe value 0",
      );
      const metrics = await chip.get("/metrics");
      assertStringIncludes(
        metrics,
        'gpioagg_rule_pending{aggregator="plc",line="0",name="RELAY0"} 1\n',
      );
      const health = await chip.get("/healthz");
      assert(health.startsWith('503 {"status":"rules-pending"'), health);
      await chip.becomes("RELAY0", 0);
      assertStringIncludes(
        await chip.log("plc", "rule holds again"),
        "plc: rule holds again: RELAY0: its rule (safe value 0) holds now",
      );
      assertEquals(
        await chip.get("/healthz"),
        '200 {"status":"ok","pending":[]}',
      );
    });

    await t.step("a guest that is silent in that moment", async () => {
      await chip.serve(
        "late",
        "--socket-path /tmp/r/late.sock " +
          "--line RELAY1,direction=output,safe=0,safe-after=2s " +
          "--line sim/1,as=BUTTON,direction=input",
      );
      await chip.exec(
        `(${G} probe /tmp/r/late.sock --set RELAY1=1 --monitor=BUTTON) ` +
          ">/dev/null 2>&1 & echo $! >/tmp/r/probe.pid",
      );
      const log = await chip.log("late", "does not hold");
      assert(!log.includes("has its safe value now"), log);
      await chip.becomes("RELAY1", 0);
      await chip.log("late", "RELAY1 has its safe value now");
      await chip.exec("kill $(cat /tmp/r/probe.pid)");
    });

    await t.step("gpioagg safe", async () => {
      await chip.exec("gpioset -t 0 RELAY2=1");
      const early = await chip.gpioagg("safe RELAY2,safe=0 --retry-for 1s");
      assertEquals(early.code, 1, early.output);
      assertStringIncludes(
        early.output,
        "--line RELAY2,safe=0: not in its safe state: ",
      );
      assertEquals(await chip.value("RELAY2"), 1);
      const whole = await chip.gpioagg("safe RELAY2,safe=0 --retry-for 60s");
      assertEquals(whole.code, 0, whole.output);
      assertEquals(await chip.value("RELAY2"), 0);
    });

    await t.step("an interlock that finds both active at start", async () => {
      await chip.exec(`cat >/tmp/r/locked.yaml <<'END'
aggregators:
  press:
    vhost-user: /tmp/r/press.sock
    lines: [ RELAY3, RELAY4 ]
interlocks:
  - exclusive: [press.RELAY3, press.RELAY4]
END
gpioset -t 0 RELAY3=1 RELAY4=1`);
      await chip.serve("locked", "--config /tmp/r/locked.yaml");
      const log = await chip.log("locked", "does not hold");
      assertStringIncludes(log, "RELAY4, gpiochip0 line 4");
      assertEquals([await chip.value("RELAY3"), await chip.value("RELAY4")], [
        1,
        1,
      ]);
      await chip.becomes("RELAY4", 0);
      assertEquals(await chip.value("RELAY3"), 1);
    });

    await t.step("a start", async () => {
      await chip.exec("gpioset -t 0 RELAY6=1");
      await chip.serve(
        "first",
        "--socket-path /tmp/r/first.sock " +
          "--line RELAY6,direction=output,initial=0",
      );
      const log = await chip.log("first", "does not hold");
      assertStringIncludes(log, "its rule (output, 0 at first) does not hold");
      assertEquals(await chip.value("RELAY6"), 1);
      await chip.becomes("RELAY6", 0);
      await chip.log("first", "its rule (output, 0 at first) holds now");
    });

    await t.step("a removal", async () => {
      await chip.gpioagg(
        "create gate --detach --api /tmp/r/api.sock " +
          "--line RELAY5,direction=output,safe=0",
      );
      await chip.gpioagg("probe /tmp/r/gate.sock --set RELAY5=1");
      const removal = await chip.gpioagg("remove gate --api /tmp/r/api.sock");
      assertEquals(removal.code, 1, removal.output);
      assertStringIncludes(removal.output, "gate.RELAY5");
      await chip.becomes("RELAY5", 0);
      await until("it is gone", async () => {
        const { output } = await chip.gpioagg("list --api /tmp/r/api.sock");
        return !output.includes("gate");
      }, LIMIT_MS);
    });

    await t.step("SIGTERM", async () => {
      await chip.gpioagg("probe /tmp/r/plc.sock --set RELAY0=1");
      assertEquals(await chip.value("RELAY0"), 1);
      await chip.exec("kill $(pgrep -f 'api /tmp/r/api.sock --socket')");
      await until(
        "the service has ended",
        async () => (await chip.exec("cat /tmp/r/plc.rc")).code === 0,
        LIMIT_MS,
      );
      const { output } = await chip.exec("cat /tmp/r/plc.rc /tmp/r/plc.log");
      assert(output.startsWith("1\n"), output);
      assertStringIncludes(output, "plc.RELAY0 (");
      assertStringIncludes(output, "is not in its declared state after 5 s");
    });
  },
});
