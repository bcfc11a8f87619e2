/** Formats of the control API, judged by other people's programs. */
import { assert, assertEquals } from "@std/assert";
import { readText, sendRequest } from "../../src/client/http_request.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import type { AnySchema } from "../../src/client/message_schema.ts";
import { ANSWERS, MESSAGES } from "../../src/client/messages.ts";
import { ApiService } from "../environment/api_service.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { lacksTool, runTool } from "../environment/tool.ts";
import { until } from "../environment/wait.ts";

const VALIDATOR = "npm:@seriousme/openapi-schema-validator@2.11.0/validate-api";

const noPromtool = await lacksTool(
  "promtool",
  "it is in Debian's package prometheus",
);

/** A service of whose guest everything was counted that can be. */
async function withTraffic(
  action: (service: ApiService) => Promise<void>,
): Promise<void> {
  await using service = await ApiService.start({
    aggregators: { "own": ["sim/1,as=BUTTON", 'sim/1,as=QUOTE"\\'] },
  });
  await service.client.createLasting({ name: "made", lines: ["sim/2"] });
  for (const name of ["own", "made"]) {
    using frontend = Frontend.open(service.socket(name), {
      timeoutMs: 120_000,
    });
    const driver = GpioDriver.attach(frontend);
    driver.names();
    driver.setInterruptType(0, IrqType.EdgeBoth);
    driver.arm(0);
    await service.client.pull(name, { "0": 1 });
    assertEquals(driver.waitEvent(5000)?.lineNumber, 0);
    driver.getValue(1);
  }
  using qemu = new RunningQemu(service.directory);
  await service.client.createLasting({
    name: "pins",
    lines: ["sim/2"],
    qemuPins: {
      qtest: `${service.directory}/qtest`,
      qmp: `${service.directory}/qmp`,
    },
  });
  await until("the pins", () => qemu.model.gpio.inputs.length === 2);
  qemu.model.gpio.setDirections(2);
  qemu.model.gpio.setData(2);
  qemu.model.reset();
  await until("their reset", async () => {
    const page = new MetricsPage(await service.lookClient.metrics());
    return page.sum("gpioagg_pin_resets_total") === 1;
  });
  await action(service);
}

Deno.test({
  name: "promtool accepts the metrics",
  ignore: noPromtool,
  fn: () =>
    withTraffic(async (service) => {
      const text = await service.lookClient.metrics();
      const checked = await runTool("promtool", ["check", "metrics"], {
        input: text,
      });
      assert(checked!.success, `${checked!.output}\n${text}`);
      assertEquals(checked!.output.trim(), "");
    }),
});

Deno.test({
  name: "promtool accepts the alerts, and they are raised when they should",
  ignore: noPromtool,
  fn: async () => {
    const cwd = `${REPOSITORY}/scripts/prometheus`;
    const rules = await runTool("promtool", ["check", "rules", "alerts.yml"], {
      cwd,
    });
    assert(rules!.success, rules!.output);
    const tests = await runTool(
      "promtool",
      ["test", "rules", "alerts_test.yml"],
      { cwd },
    );
    assert(tests!.success, tests!.output);
  },
});

Deno.test("alerts and the dashboard use metrics that exist", async () => {
  await using service = await ApiService.start();
  const text = await service.lookClient.metrics();
  const known = new Set(
    [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!),
  );
  for (const file of ["alerts.yml", "dashboard.json"]) {
    const content = await Deno.readTextFile(
      `${REPOSITORY}/scripts/prometheus/${file}`,
    );
    const names = [...content.matchAll(/\b(?:gpioagg|process)_[a-z_]+/g)].map((
      [name],
    ) => name.replace(/_bucket$/, ""));
    assert(names.length > 5, file);
    for (const name of names) assert(known.has(name), `${file}: ${name}`);
  }
});

Deno.test("metrics count what a guest did", () =>
  withTraffic(async (service) => {
    const text = await service.lookClient.metrics();
    for (
      const sample of [
        'gpioagg_requests_total{aggregator="made",line="1",name="sim1",kind="get_value",result="ok"} 1',
        'gpioagg_requests_total{aggregator="own",line="0",name="BUTTON",kind="set_irq_type",result="ok"} 1',
        'gpioagg_interrupts_total{aggregator="own",line="0",name="BUTTON",outcome="delivered"} 1',
        'gpioagg_connections_total{aggregator="made"} 1',
        "gpioagg_aggregators 3",
        'gpioagg_line_present{aggregator="made",line="1",name="sim1"} 1',
        'gpioagg_request_duration_seconds_count{aggregator="own",line="0",name="BUTTON"} 1',
      ]
    ) {
      assert(text.includes(`${sample}\n`), `${sample} is not in\n${text}`);
    }
  }));

Deno.test("an OpenAPI validator accepts the description", async () => {
  await using service = await ApiService.start();
  const answer = await sendRequest(service.lookClient.socketPath, {
    method: "GET",
    path: "/openapi.json",
  });
  const file = `${service.directory}/openapi.json`;
  await Deno.writeTextFile(file, await readText(answer.body));
  const validated = await runTool(
    await artefact("deno"),
    [
      "run",
      "-q",
      "--no-lock",
      "--no-config",
      "--no-prompt",
      "--allow-read",
      "--allow-env",
      VALIDATOR,
      file,
    ],
    { cwd: service.directory },
  );
  assert(validated!.success, validated!.output);
  assertEquals(JSON.parse(validated!.output), { valid: true });
});

Deno.test("what the description lists is there, and nothing else", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1"] },
  });
  const ask = async (
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
  ) => {
    const answer = await sendRequest(service.lookClient.socketPath, {
      method,
      path,
    });
    const { status } = answer;
    answer.close();
    return status;
  };
  const answer = await sendRequest(service.lookClient.socketPath, {
    method: "GET",
    path: "/openapi.json",
  });
  const { paths } = JSON.parse(await readText(answer.body)) as {
    paths: Record<string, Record<string, unknown>>;
  };
  for (const [template, operations] of Object.entries(paths)) {
    const path = template.replace("{name}", "own");
    for (const method of ["GET", "POST", "PATCH", "DELETE"] as const) {
      const isListed = Object.hasOwn(operations, method.toLowerCase());
      const expected = !isListed ? 405 : method === "GET" ? 200 : 403;
      assertEquals(await ask(method, path), expected, `${method} ${path}`);
    }
  }
});

/** Checks that a message is as the table of messages says. */
function assertMessage(schema: AnySchema, message: unknown): void {
  schema.check(message, "", ({ path, problem }) => {
    throw new Error(`${path}: ${problem}: ${JSON.stringify(message)}`);
  });
}

Deno.test("answers and events are as the table of messages says", async () => {
  await withTraffic(async ({ client, lookClient }) => {
    for (
      const [path, schema] of [
        ["/v1/aggregators", ANSWERS.aggregators],
        ["/v1/aggregators/pins", MESSAGES.Aggregator],
        ["/v1/aggregators/own/lines", ANSWERS.lines],
        ["/v1/aggregators/none", MESSAGES.Error],
        ["/healthz", MESSAGES.Health],
      ] as const
    ) {
      const answer = await sendRequest(lookClient.socketPath, {
        method: "GET",
        path,
      });
      assertMessage(schema, JSON.parse(await readText(answer.body)));
    }
    const seen: string[] = [];
    for await (const event of client.events()) {
      assertMessage(MESSAGES.Event, event);
      seen.push(event.event);
      if (event.event === "snapshot") await client.pull("own", { "0": 0 });
      if (event.event === "lines") break;
    }
    assertEquals(seen[0], "snapshot");
  });
});
