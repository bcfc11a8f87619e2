/**
 * README.md and docs/ against the program: commands, options, keys, metrics,
 * requests, events and files that they name exist, and all that exist are named.
 */
import { assert, assertEquals } from "@std/assert";
import { ServiceClient } from "../../mod.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import {
  buildCatalog,
  type CatalogCommand,
} from "../../src/cli/usage/catalog.ts";
import { parseConfig } from "../../src/config/file/config_file.ts";
import { configSchema } from "../../src/config/schema/file_schema.ts";
import { IDENTITY_KEYS } from "../../src/config/chip_identity.ts";
import { RULE_KEYS } from "../../src/config/values/rules.ts";
import { atOnce } from "../../src/reactor/pieces.ts";
import { encodeMetrics } from "../../src/service/api/answers/metrics.ts";
import { type GuestDriver, GUESTS } from "../../src/doctor/guests.ts";
import { openApi } from "../../src/service/api/answers/openapi.ts";
import { EventCount } from "../../src/virtio/gpio/counters.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";

/** Text of each page, by its path in the repository. */
const PAGES: ReadonlyMap<string, string> = await (async () => {
  const paths: string[] = [];
  for (const folder of ["", "docs/"]) {
    for await (const { name } of Deno.readDir(`${REPOSITORY}/${folder}`)) {
      if (name.endsWith(".md")) paths.push(`${folder}${name}`);
    }
  }
  const pages = new Map<string, string>();
  for (const path of paths.sort()) {
    pages.set(path, await Deno.readTextFile(`${REPOSITORY}/${path}`));
  }
  return pages;
})();

function page(path: string): string {
  const text = PAGES.get(path);
  assert(text !== undefined, path);
  return text!;
}

/** Returns the text from a heading to the next one of its level. */
function section(text: string, title: string): string {
  const begin = text.indexOf(`\n## ${title}\n`);
  assert(begin >= 0, `no section "${title}"`);
  const end = text.indexOf("\n## ", begin + 1);
  return text.slice(begin, end < 0 ? undefined : end);
}

interface CodeBlock {
  language: string;
  code: string;
}

/** Returns the code blocks of a page, unindented. */
function blocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^( *)```(\w*)\n([^]*?)^ *```$/gm)]
    .map(([, indent, language, code]) => ({
      language: language!,
      code: code!.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    }));
}

/** Returns the rows of the tables of a text, without heads, as trimmed cells. */
function rows(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.startsWith("|"));
  return lines.filter((line, i) =>
    !/^\|[ |-]*$/.test(line) && !/^\|[ |-]*-[ |-]*$/.test(lines[i + 1] ?? "")
  ).map((line) =>
    line.slice(1, line.lastIndexOf("|")).split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll("\\|", "|"))
  );
}

/** Returns the texts in backquotes. */
function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}

function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

// Commands that are shown with their output (code blocks marked "console").

/** A command, and its output; "…" stands for anything. */
interface Shown {
  command: string;
  output: string[];
}

const ANYTHING = "…";

function shownIn(block: string): Shown[] {
  return block.split(/^\$ /m).slice(1).map((text) => {
    const [, command, output] = /^((?:.*\\\n)*.*)\n?([^]*)$/.exec(text)!;
    const lines = output!.split("\n").filter((line) => line !== "");
    return { command: command!, output: lines };
  });
}

const withoutTime = (text: string) =>
  text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");

/** A line of output as an expression, with "…" for any text. */
function pattern(line: string): RegExp {
  const parts = withoutTime(line).split(ANYTHING).map((part) =>
    part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
  );
  return new RegExp(`^${parts.join(".*")}$`, "m");
}

/** Runs the commands in turn, and waits for the output of each. */
async function follow(shown: readonly Shown[], cwd: string): Promise<void> {
  await using running = new AsyncDisposableStack();
  const all: ChildProcess[] = [];
  for (const { command, output } of shown) {
    const process = new ChildProcess({
      command: "bash",
      args: ["-c", `exec ${command.replace(/ &$/, "")}`],
      env: { PATH: `${REPOSITORY}/scripts:${Deno.env.get("PATH")}` },
      cwd,
    });
    running.use(process);
    all.push(process);
    await until(`the output of "${command}"`, () => {
      const text = withoutTime(
        all.map(({ stdout, stderr }) => stdout + stderr).join("\n"),
      );
      return output.every((line) =>
        line === ANYTHING ? process.stdout !== "" : pattern(line).test(text)
      );
    }, 120_000);
    if (!command.endsWith(" &")) await process.waitForExit();
  }
}

async function inDirectory(
  action: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-docs-" });
  try {
    await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

for (const [path, text] of PAGES) {
  const shown = blocks(text).filter(({ language }) => language === "console")
    .flatMap(({ code }) => shownIn(code));
  if (shown.length === 0) continue;
  Deno.test(`${path}: commands have the output that is shown`, () =>
    inDirectory(async (directory) => {
      // A file that is shown is a file that the next commands find.
      const [first] = shown;
      const file = /^cat (\S+)$/.exec(first!.command)?.[1];
      if (file !== undefined) {
        const content = first!.output.join("\n") + "\n";
        await Deno.writeTextFile(`${directory}/${file}`, content);
      }
      await follow(shown, directory);
    }));
}

Deno.test("docs/api.md names each method of ServiceClient", () => {
  const [, listed = ""] = /`ServiceClient` has ([^.]*)\./
    .exec(section(page("docs/api.md"), "The client library")) ?? [];
  const methods = Object.getOwnPropertyNames(ServiceClient.prototype)
    .filter((name) => name !== "constructor");
  assertEquals(sorted(codes(listed)), sorted(methods));
});

Deno.test("three pages have commands that run", () => {
  const counts = [...PAGES].map(([path, text]) =>
    [
      path,
      blocks(text).filter(({ language }) => language === "console").length,
    ] as const
  ).filter(([, count]) => count > 0);
  assertEquals(counts, [
    ["README.md", 3],
    ["docs/api.md", 1],
    ["docs/config.md", 1],
  ]);
});

// Configurations.

/** Returns true for a file of Prometheus (see prometheus_test.ts). */
function isOfPrometheus(code: string): boolean {
  return code.startsWith("scrape_configs:");
}

Deno.test("configurations that are shown are valid", () => {
  let count = 0;
  for (const [path, text] of PAGES) {
    for (const { language, code } of blocks(text)) {
      if (language !== "yaml" || isOfPrometheus(code)) continue;
      count++;
      const result = parseConfig(code, path);
      assert(!("errors" in result), JSON.stringify(result));
    }
  }
  assertEquals(count, 5);
});

/** Parts of the JSON Schema of a configuration that this page looks at. */
interface Schema {
  properties: Record<string, Schema>;
  additionalProperties: Schema;
  anyOf: Schema[];
  items: Schema;
}

Deno.test("config.md has every key of a configuration, and no other", () => {
  const text = page("docs/config.md");
  const keysIn = (table: string) =>
    sorted(
      rows(table).flatMap(([cell]) => codes(cell!)).map((code) =>
        code.replace(/=.*$/, "")
      ),
    );
  const keysOf = ({ properties }: Schema) => Object.keys(properties);

  const file = configSchema() as unknown as Schema;
  assertEquals(keysIn(section(text, "Top-level keys")), sorted(keysOf(file)));

  const record = file.properties["record"]!.anyOf.at(-1)!;
  assertEquals(
    keysIn(section(text, "Keys of `record`")),
    sorted(keysOf(record)),
  );

  const aggregator = file.properties["aggregators"]!.additionalProperties;
  const [main, ...exposures] = section(text, "Keys of an aggregator").split(
    /^\*\*`/m,
  );
  assertEquals(keysIn(main!), sorted(keysOf(aggregator)));
  assertEquals(exposures.length, 5);
  for (const part of exposures) {
    const name = part.slice(0, part.indexOf("`"));
    const schema = aggregator.properties[name]!;
    const mapping = schema.anyOf?.at(-1) ?? schema;
    assertEquals(keysIn(part), sorted(keysOf(mapping)), name);
  }

  const line = aggregator.properties["lines"]!.items.anyOf[1]!;
  const rules = keysIn(section(text, "Line rules"));
  assertEquals(rules, sorted(RULE_KEYS));
  assertEquals(
    sorted([...keysIn(section(text, "Keys of a line")), ...rules]),
    sorted(keysOf(line)),
  );

  const [sources, identities] = section(text, "Line sources").split(
    "survives renumbering",
  );
  assert(sources !== undefined && identities !== undefined);
  assertEquals(
    sorted(
      rows(identities!).map(([cell]) =>
        codes(cell!)[0]!.replace(/^\+?(.*?):.*$/, "$1")
      ),
    ),
    sorted(Object.keys(IDENTITY_KEYS)),
  );

  const api = section(text, "Keys of the control API");
  assertEquals(keysIn(api), sorted(keysOf(file.properties["api"]!)));
});

// Commands and options.

/** All commands, as their tables describe them. */
const CATALOG = await buildCatalog(COMMANDS);

const OPTION = /(?<![\w-])(?:--[a-z][a-z-]+|-[A-Za-z](?![\w-]))/g;
/** Options of all commands, which the page names once. */
const COMMON = ["-h", "--help"];

/** The options of a command, its actions' included. */
function listOptions({ options, actions }: CatalogCommand): string[] {
  const all = [...options, ...actions.flatMap(({ options }) => options)];
  return sorted([
    ...new Set(all.flatMap(({ long, short }) => [
      `--${long}`,
      ...short === undefined ? [] : [`-${short}`],
    ])),
  ].filter((option) => !COMMON.includes(option)));
}

function optionsIn(text: string): string[] {
  return [...text.matchAll(OPTION)].map(([option]) => option);
}

/** The options that cli.md has of a command. */
function documentedOptions(command: string): string[] {
  const text = page("docs/cli.md");
  if (text.includes(`\n## ${command}\n`)) {
    return sorted(
      rows(section(text, command)).flatMap(([cell]) =>
        codes(cell!).flatMap((code) => optionsIn(code.split(/[ [=]/)[0]!))
      ),
    );
  }
  return sorted(
    rows(section(text, "GPIO tools")).flatMap(([cell, of]) =>
      of === "all" || of!.split(", ").includes(command)
        ? codes(cell!).flatMap((code) => optionsIn(code))
        : []
    ),
  );
}

Deno.test("cli.md has every command, and every option of each", () => {
  const table = page("docs/cli.md").split("\n## ")[0]!;
  const commands = rows(table).map(([cell]) =>
    /\[([a-z-]+)\]/.exec(cell!)![1]!
  );
  assertEquals(sorted(commands), sorted(CATALOG.map(({ name }) => name)));
  for (const command of CATALOG) {
    const { name } = command;
    assertEquals(documentedOptions(name), listOptions(command), name);
  }
});

Deno.test("commands in code use options that exist", () => {
  let count = 0;
  for (const [path, text] of PAGES) {
    const code = [
      ...blocks(text).map(({ code }) => code.replaceAll("\\\n", " ")),
      ...codes(text.replaceAll(/^ *```[^]*?^ *```$/gm, "")),
    ].join("\n");
    for (
      const [line, name, rest] of code.matchAll(
        /(?<![\w/-])gpioagg ([a-z-]+)( .*)?$/gm,
      )
    ) {
      const command = CATALOG.find((one) => one.name === name);
      if (command === undefined) continue;
      count++;
      const known = listOptions(command);
      const args = (rest ?? "").split(/ -- | #|;/)[0]!;
      for (const option of args.matchAll(/(?<= )--[a-z][a-z-]+/g)) {
        assert(
          known.includes(option[0]) || COMMON.includes(option[0]),
          `${path}: ${line}: ${option[0]}`,
        );
      }
    }
  }
  assert(count > 40, String(count));
});

// Metrics, requests and events.

Deno.test("metrics.md has every metric, with the type and help of the code", () => {
  const text = new TextDecoder().decode(
    atOnce(
      encodeMetrics([], {
        eventListeners: 0,
        eventsMissed: 0,
        residentBytes: 0,
        startedAt: 0,
        version: "0.1.0",
      }),
    ),
  );
  const wanted = new Map<string, string[]>();
  for (
    const [, kind, name, rest] of text.matchAll(/^# (HELP|TYPE) (\S+) (.*)$/gm)
  ) {
    if (kind === "HELP") wanted.set(name!, [`\`${name}\``, "", rest!]);
    else wanted.get(name!)![1] = rest!;
  }
  assert(wanted.size > 20);
  const shown = rows(section(page("docs/metrics.md"), "All metrics"));
  assertEquals(shown, [...wanted.values()]);
});

Deno.test("metrics.md has every outcome of an interrupt", () => {
  const shown = rows(section(page("docs/metrics.md"), "Interrupt outcomes"));
  assertEquals(
    shown.map(([cell]) => cell),
    Object.keys(EventCount).map((name) => `\`${name.toLowerCase()}\``),
  );
});

interface OpenApi {
  paths: Record<string, Record<string, unknown>>;
  components: {
    schemas: {
      CreateRequest: { properties: Record<string, unknown> };
      Line: { properties: Record<string, unknown> };
      Event: { discriminator: { mapping: Record<string, string> } };
    };
  };
}

Deno.test("api.md has every request, member and event of the API", () => {
  const { paths, components: { schemas } } = openApi() as OpenApi;
  const text = page("docs/api.md");
  const firstCodes = (title: string) =>
    sorted(rows(section(text, title)).flatMap(([cell]) => codes(cell!)));
  assertEquals(
    firstCodes("Requests"),
    sorted(
      Object.entries(paths).flatMap(([path, methods]) =>
        Object.keys(methods).filter((key) => key !== "parameters")
          .map((method) => `${method.toUpperCase()} ${path}`)
      ),
    ),
  );
  assertEquals(
    firstCodes("Lines"),
    sorted(Object.keys(schemas.Line.properties)),
  );
  assertEquals(
    firstCodes("Creating an aggregator"),
    sorted(Object.keys(schemas.CreateRequest.properties)),
  );
  assertEquals(
    firstCodes("Events"),
    sorted(Object.keys(schemas.Event.discriminator.mapping)),
  );
});

Deno.test("programs that are shown are accepted by the type checker", async () => {
  const { success, stderr } = await new Deno.Command(await artefact("deno"), {
    args: ["check", "--quiet", "--doc-only", "docs/api.md"],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
});

// Links, files and tasks.

/** Returns the anchors of the headings of a page, as code hosts make them. */
function anchors(text: string): Set<string> {
  const found = new Set<string>();
  const prose = text.replaceAll(/^ *```[^]*?^ *```$/gm, "");
  for (const [, title] of prose.matchAll(/^#+ (.*)$/gm)) {
    const base = title!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
    let anchor = base;
    for (let i = 1; found.has(anchor); i++) anchor = `${base}-${i}`;
    found.add(anchor);
  }
  return found;
}

Deno.test("links lead to files and headings that exist", async () => {
  let count = 0;
  for (const [path, text] of PAGES) {
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      count++;
      const [target, anchor] = link!.split("#");
      const folder = path.slice(0, path.lastIndexOf("/") + 1);
      const file = target === ""
        ? path
        : `${folder}${target}`.replace(/^docs\/\.\.\//, "");
      const url = new URL(`file://${REPOSITORY}/${file}`);
      assert(await exists(url), `${path}: ${link}`);
      if (anchor === undefined) continue;
      assert(anchors(page(file)).has(anchor), `${path}: ${link}`);
    }
  }
  assert(count > 50, String(count));
});

async function exists(url: URL): Promise<boolean> {
  try {
    await Deno.stat(url);
    return true;
  } catch {
    return false;
  }
}

Deno.test("long pages have a list of their sections, in order", () => {
  for (const name of ["config", "exposures", "guide", "api", "ARCHITECTURE"]) {
    const text = page(`docs/${name}.md`);
    const titles = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    const list = [...text.split("\n## ")[0]!.matchAll(/^- \[(.+)\]\(#/gm)]
      .map(([, title]) => title);
    assertEquals(list, titles, name);
  }
});

Deno.test("tasks, scripts and source files that are named exist", async () => {
  const { tasks } = JSON.parse(
    await Deno.readTextFile(`${REPOSITORY}/deno.json`),
  );
  for (const [path, text] of PAGES) {
    if (path === "CHANGELOG.md") continue; // names what is gone, too
    for (const [, task] of text.matchAll(/deno task ([a-z:-]+)/g)) {
      assert(task! in tasks, `${path}: deno task ${task}`);
    }
    const files = text.matchAll(
      /(?<![\w/.-])((?:scripts|src|tests|ffi)\/[\w@./-]*\w)/g,
    );
    for (const [, file] of files) {
      const url = new URL(`file://${REPOSITORY}/${file}`);
      assert(await exists(url), `${path}: ${file}`);
    }
  }
});

Deno.test("the guide's vm@.service uses the plant's service", async () => {
  const text = section(
    page("docs/guide.md"),
    "Three VMs, two chips, one emergency stop",
  );
  const command = /^sed [^]*?vm@\.service(?= \\$)/m.exec(text)?.[0];
  assert(command !== undefined);
  const { success, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", command!],
    cwd: REPOSITORY,
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const unit = new TextDecoder().decode(stdout);
  assertEquals(
    unit.match(/^(?:Requires|After|ExecStart)=.*$/gm),
    [
      "Requires=gpioagg@plant.service",
      "After=gpioagg@plant.service",
      "ExecStart=/usr/bin/gpioagg run --respawn --attach " +
      "/run/gpioagg-plant/%i.sock -- $VMM",
    ],
  );
  // The sockets of the plant's file are where the units look.
  const file = blocks(text).find(({ language }) => language === "yaml")!.code;
  for (const name of ["press", "crane", "oven"]) {
    assert(file.includes(`socket: /run/gpioagg-plant/${name}.sock,`), name);
  }
});

Deno.test("exposures.md has the table of guests that doctor uses", () => {
  const columns: Record<string, GuestDriver> = {
    "vhost-user": "gpio-virtio",
    "qemu-pins": "gpio-pl061",
    "vfio-user": "gpio-ml-ioh",
    "usbredir, ljca": "gpio-ljca",
    "usbredir, cp2112": "hid-cp2112",
  };
  const rows = section(
    page("docs/exposures.md"),
    "Which exposure for which guest",
  )
    .split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const [head, , ...guests] = rows;
  assertEquals(head!.slice(3), Object.keys(columns));
  assertEquals(
    guests,
    GUESTS.map((guest) => [
      guest.name,
      guest.arch,
      guest.kernel ?? "",
      ...Object.values(columns).map((driver) =>
        guest.drivers.includes(driver)
          ? "yes"
          : guest.unknown?.includes(driver)
          ? "not known"
          : ""
      ),
    ]),
  );
});

Deno.test("README.md is short, and has the two commands near its top", () => {
  const text = page("README.md");
  assert(text.split(/\s+/).length < 2000);
  const commands = text.indexOf("scripts/gpioagg demo");
  assert(commands > 0 && commands < text.indexOf("## Install"));
  assert(text.indexOf("scripts/test") > 0);
});

/** Entries that a stranger sees first: everything else has a folder. */
const TOP_LEVEL = [
  ...["deno.json", "deno.lock", "mod.ts", "README.md", "LICENSE"],
  ...["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"],
  ...["docs", "ffi", "scripts", "src", "tests"],
];
/** Made by tools, and ignored by git. */
const MADE = ["coverage", "dist", "node_modules"];

Deno.test("the top level has what it should, and nothing else", () => {
  const found = [...Deno.readDirSync(new URL("../..", import.meta.url))]
    .map(({ name }) => name)
    .filter((name) => !name.startsWith(".") && !MADE.includes(name));
  assertEquals(found.sort(), TOP_LEVEL.toSorted());
});
