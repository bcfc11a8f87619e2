/** What the README shows is what happens. */
import { assert, assertEquals } from "@std/assert";
import { parseConfig } from "../../src/config/config_file.ts";
import { configSchema } from "../../src/config/file_shape.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";

const README = await Deno.readTextFile(`${REPOSITORY}/README.md`);

/** From a heading to the next one of its kind. */
function section(title: string): string {
  const begin = README.indexOf(`\n## ${title}\n`);
  assert(begin >= 0, `there is no section "${title}"`);
  const end = README.indexOf("\n## ", begin + 1);
  return README.slice(begin, end < 0 ? undefined : end);
}

/** The code blocks in a text that are marked with `language`, unindented. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^( *)```(\w*)\n([^]*?)^ *```$/gm)]
    .filter(([, , marked]) => marked === language)
    .map(([, indent, , code]) =>
      code!.replaceAll(new RegExp(`^${indent}`, "gm"), "")
    );
}

/** A command that is shown, and what it shows; "…" stands for anything. */
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

/** Runs what is shown, and waits for each output that is. */
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
    await until(`what is shown after "${command}"`, () => {
      const text = withoutTime(
        all.map(({ stdout, stderr }) => stdout + stderr).join("\n"),
      );
      return output.every((line) =>
        line === ANYTHING
          ? process.stdout !== ""
          : text.includes(`${withoutTime(line)}\n`)
      );
    }, 30_000);
    if (!command.endsWith(" &")) await process.waitForExit();
  }
}

async function inDirectory(
  action: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-readme-" });
  try {
    await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the five minutes are as they are told", () =>
  inDirectory(async (directory) => {
    const [serve, probe, press, ...others] = blocks(
      section("Five minutes"),
      "",
    );
    const shown = [serve!, probe!, press!].flatMap(shownIn);
    assertEquals(shown.map(({ command }) => command.split(" ")[1]), [
      "serve",
      "probe",
      "probe",
      "sim",
      "sim",
    ]);
    // The last one boots a guest: tests/guest has those.
    assertEquals(others.length, 1);
    await follow(shown, directory);
  }));

Deno.test("a mistake is shown as it is told", () =>
  inDirectory(async (directory) => {
    const [block] = blocks(section("The configuration file"), "");
    const [file, check] = shownIn(block!);
    await Deno.writeTextFile(
      `${directory}/plant.yaml`,
      file!.output.join("\n") + "\n",
    );
    await follow([file!, check!], directory);
  }));

Deno.test("configurations that are shown are valid", () => {
  const texts = blocks(README, "yaml");
  assertEquals(texts.length, 3);
  for (const text of texts) {
    const result = parseConfig(text, "README.md");
    assert(!("errors" in result), JSON.stringify(result));
  }
});

/** All keys that a schema knows. */
function keysOf(schema: unknown, keys = new Set<string>()): Set<string> {
  if (typeof schema !== "object" || schema === null) return keys;
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "properties") {
      for (const key of Object.keys(value)) keys.add(key);
    }
    keysOf(value, keys);
  }
  return keys;
}

Deno.test("every key of a configuration is explained", () => {
  const text = section("Lines: the SPEC") + section("The configuration file") +
    section("A standard controller inside QEMU");
  const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!)
    .join("\n");
  const words = new Set(quoted.split(/[^a-z0-9-]+/));
  const missing = [...keysOf(configSchema())].filter((key) => !words.has(key));
  assertEquals(missing, []);
});

Deno.test("every command is in the table", async () => {
  const { stdout } = await new Deno.Command(`${REPOSITORY}/scripts/gpioagg`, {
    args: ["--help"],
  }).output();
  const help = new TextDecoder().decode(stdout);
  const names = [...help.matchAll(/^ {2}([a-z-]+) {2,}/gm)].map(([, name]) =>
    name!
  );
  assert(names.length > 15, help);
  const cells = [...section("Commands").matchAll(/^\| (.*?) \|/gm)]
    .map(([, cell]) => cell!).join(" ");
  const words = new Set(cells.split(/[^a-z-]+/));
  assertEquals(names.filter((name) => !words.has(name)), []);
});

Deno.test("every section is in the contents, and leads to a heading", () => {
  const headings = [...README.matchAll(/^## (.*)$/gm)].map(([, title]) =>
    title!
  );
  const contents = [...README.matchAll(/^\[(.+)\]\(#(.+)\)/gm)];
  assertEquals(
    contents.map(([, title]) => title).sort(),
    [...headings].sort(),
  );
  const anchors = headings.map((title) =>
    title.toLowerCase().replaceAll(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")
  );
  for (const [, anchor] of README.matchAll(/\]\(#([^)]+)\)/g)) {
    assert(anchors.includes(anchor!), anchor);
  }
});
