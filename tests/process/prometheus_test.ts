/** A Prometheus that scrapes a service, as docs/metrics.md says. */
import { assert, assertEquals } from "@std/assert";
import { ApiService } from "../environment/api_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { lacksTool, runTool } from "../environment/tool.ts";
import { until } from "../environment/wait.ts";

const ignore = await lacksTool("prometheus", "run scripts/environment judges");

/** Returns the first file of Prometheus that docs/metrics.md shows. */
async function scrapeConfigs(): Promise<string> {
  const page = await Deno.readTextFile(`${REPOSITORY}/docs/metrics.md`);
  const [, indent, block] = /^( *)```yaml\n([^]*?)^ *```$/m.exec(page)!;
  return block!.replaceAll(new RegExp(`^${indent}`, "gm"), "").trimEnd();
}

/** A Prometheus with two jobs: the page's, with the token, and one with a wrong token. */
class Prometheus implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #directory: string;
  #address = "";

  private constructor(directory: string) {
    this.#directory = directory;
    this.#process = new ChildProcess({
      command: "prometheus",
      args: [
        `--config.file=${directory}/prometheus.yml`,
        `--storage.tsdb.path=${directory}/data`,
        "--web.listen-address=127.0.0.1:0",
      ],
    });
  }

  static async start(target: string, token: string): Promise<Prometheus> {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-prometheus-" });
    await Deno.writeTextFile(`${directory}/token`, token, { mode: 0o600 });
    const shown = (await scrapeConfigs())
      .replace("/etc/prometheus/gpioagg-token", `${directory}/token`)
      .replace("127.0.0.1:9464", target);
    await Deno.writeTextFile(
      `${directory}/prometheus.yml`,
      `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${REPOSITORY}/scripts/prometheus/alerts.yml]
${shown}
  - job_name: stranger
    authorization: { credentials: no }
    static_configs: [{ targets: ["${target}"] }]
`,
    );
    const prometheus = new Prometheus(directory);
    const [, address] = await prometheus.#process.waitFor(
      /Listening on.*address=(127\.0\.0\.1:\d+)/,
      { stream: "stderr" },
    );
    prometheus.#address = address!;
    return prometheus;
  }

  /** Returns the samples that an expression has now, sorted. */
  async query(expression: string): Promise<string[]> {
    const { success, output } = (await runTool("promtool", [
      "query",
      "instant",
      `http://${this.#address}`,
      expression,
    ]))!;
    assert(success, output);
    return output.trim().split("\n").filter((line) => line !== "")
      .map((line) => line.replace(/ @\[.*/, "")).sort();
  }

  /** Waits until an expression has these samples. */
  async becomes(expression: string, wanted: string[]): Promise<void> {
    let found: string[] = [];
    try {
      await until(expression, async () => {
        found = await this.query(expression);
        return found.join("\n") === wanted.join("\n");
      });
    } catch {
      assertEquals(found, wanted);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

Deno.test({
  name:
    "Prometheus scrapes the page's listener with its token, and not without",
  ignore,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: { press: ["sim/1,as=START", "sim/1,as=LAMP"] },
    });
    await using ui = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...PROGRAM,
        "ui",
        ...["--port", "0", "--api", `${service.directory}/look.sock`],
      ],
    });
    const [, target, token] = await ui.waitFor(
      /http:\/\/(127\.0\.0\.1:\d+)\/#(\S+)/,
    );
    await using prometheus = await Prometheus.start(target!, token!);
    await prometheus.becomes("up", [
      `up{instance="${target}", job="gpioagg"} => 1`,
      `up{instance="${target}", job="stranger"} => 0`,
    ]);
    const value = "sum by (aggregator, name) (gpioagg_line_value)";
    const samples = (start: number) => [
      `{aggregator="press", name="LAMP"} => 0`,
      `{aggregator="press", name="START"} => ${start}`,
    ];
    await prometheus.becomes(value, samples(0));
    await service.client.pull("press", { "0": 1 });
    await prometheus.becomes(value, samples(1));
    await prometheus.becomes(
      'sum by (name) (gpioagg_line_edges_total{name="START"})',
      ['{name="START"} => 1'],
    );
    // The alerts that are shipped are evaluated: there is no VM.
    await prometheus.becomes(
      'count by (alertname) (ALERTS{alertname="GpioaggVmGone"})',
      ['{alertname="GpioaggVmGone"} => 1'],
    );
  },
});
