/**
 * Names of any bytes: what one command prints, every other takes.
 */
import { assertEquals } from "@std/assert";
import { Chip, findLines } from "../../src/gpio/mod.ts";
import { chipWords, lineWords } from "../../src/cli/completion/host_words.ts";
import { liveWords } from "../../src/cli/completion/live_words.ts";
import { specWords } from "../../src/cli/completion/spec_words.ts";
import { bytesOfName, nameText, specText } from "../../src/text/names.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { LAUNCHER } from "../environment/program.ts";
import { command } from "./command.ts";
import { shell } from "./shell.ts";

/** One character a byte. */
const NAMES = [
  "FOO",
  "ID_SDA",
  "[SDA0]",
  "-",
  "presence-cpu0-dimm-channel-a-slot-0",
  "MXM3_3/GPIO2",
  "ETH/0",
  "TF 3V3/1V8 En",
  "9J3 Switch HDMI CEC/7J1 Header Pin11",
  "NAND_nR/B iNAND_CMD (EMMC)",
  "onrisc:blue:wlan",
  "BATLOW#",
  "A=B",
  'say "hi"',
  "it's",
  "caf\xe9",
  "caf\xe8",
  "caf\xc3\xa9",
  "\xef\xbb\xbfBOM",
  "BOM",
  "two\nlines",
  "esc\x1b[31mred",
  "tab\there",
  "P%d",
  "a,b",
  "a,b/c,d",
  "back\\slash",
  "end\\",
  "\\x41",
  "A",
  "sim",
  "const",
  "null",
  "12",
  "gpiochip0",
  "x".repeat(31),
];
/** Words of a SPEC that stand for something else without their chip. */
const NEEDS_CHIP = new Set(["sim", "const", "gpiochip0"]);

function shown(bytes: string): string {
  return bytes.slice(0, 31);
}

/** Makes a chip with these names, byte by byte. */
async function createChip(names: readonly string[]): Promise<SimChip> {
  const chip = await SimChip.create(localFiles, {
    lines: names.length,
    label: "odd, but \\true",
  });
  const directory = await shell(
    `dirname $(grep -l '^${chip.name}$' /sys/kernel/config/gpio-sim/*/*/chip_name)`,
  );
  const octal = (text: string) =>
    [...text].map((byte) =>
      `\\0${byte.charCodeAt(0).toString(8).padStart(3, "0")}`
    ).join("");
  await shell(
    `echo 0 > ${directory}/../live\n` +
      names.map((name, offset) =>
        `mkdir ${directory}/line${offset}
         printf '%b' '${octal(name)}' > ${directory}/line${offset}/name`
      ).join("\n") +
      `\necho 1 > ${directory}/../live`,
  );
  return chip;
}

async function gpioagg(...args: string[]): Promise<string> {
  const { stdout, stderr } = await command(...args);
  assertEquals(stderr, "");
  return stdout;
}

/** The same by the launcher: names are arguments of a process. */
async function launched(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(
    LAUNCHER,
    { args, stdin: "null" },
  ).output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stderr), "");
  return decoder.decode(stdout);
}

const yaml = (text: string) => `'${text.replaceAll("'", "''")}'`;

Deno.test("names of any bytes go from each command to all others", async () => {
  await using sim = await createChip(NAMES);
  const names: string[] = [];
  {
    using chip = Chip.open(sim.path);
    for (const [offset, info] of chip.lines().entries()) {
      const bytes = [...bytesOfName(info.name)];
      assertEquals(
        String.fromCharCode(...bytes),
        shown(NAMES[offset]!),
        `line ${offset}`,
      );
      names.push(info.name);
    }
  }
  assertEquals(new Set(names).size, NAMES.length);
  for (const [offset, name] of names.entries()) {
    assertEquals(findLines(name, { chip: sim.path })[0]?.offset, offset);
  }
  // The tools print names that the tools take.
  const printed = [
    ...(await launched("info", "-c", sim.name)).matchAll(
      /^\tline +\d+:\t"(.*)" *\t/gm,
    ),
  ].map(([, text]) => text!);
  assertEquals(printed, names.map(nameText));
  const offsetsOf = (json: string) =>
    json.trim().split("\n").map((line) => JSON.parse(line).offset);
  const expected = names.map((_, offset) => offset);
  assertEquals(
    offsetsOf(await launched("get", "--by-name", "--json", "--", ...printed)),
    expected,
  );
  for (const separators of [",", ",/"] as const) {
    const words = names.map((name) =>
      `${sim.name}/${specText(name, separators)}`
    );
    // Digits are an offset first.
    words[NAMES.indexOf("12")] = `${sim.name}/${NAMES.indexOf("12")}`;
    assertEquals(offsetsOf(await gpioagg("get", "--json", ...words)), expected);
  }
  assertEquals(
    offsetsOf(await gpioagg("get", "--json", "--", ...NAMES.slice(4, 13))),
    expected.slice(4, 13),
  );
});

Deno.test("completion knows lines without a gpioagg until chips change", async () => {
  const script = liveWords([]);
  const runtime = await Deno.makeTempDir();
  const live = async (program: string, kind: string, text: string) => {
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", script, "gpioagg-words", program, kind, text],
      env: { XDG_RUNTIME_DIR: runtime },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assertEquals(decoder.decode(stderr), "");
    return decoder.decode(stdout).split("\n").filter((word) => word !== "")
      .sort();
  };
  try {
    await using first = await createChip(["FOO", "A=B", "two words", "BAR"]);
    // The first time gpioagg looks, and remembers.
    assertEquals(await live(LAUNCHER, "line", "FO"), ["FOO"]);
    const none = "/bin/false";
    const lines = (text: string) => lineWords(text);
    for (
      const [kind, text, known] of [
        ["chip", "", chipWords()],
        ["line", "", lines("")],
        ["line", `${first.name}/1`, lines(`${first.name}/`)],
        ["line", `/dev/${first.name}/F`, lines(`/dev/${first.name}/`)],
        ["line", "no-such-chip/", []],
        ["line-value", "B", ["BAR="]],
        ["spec", "", specWords("", lines)],
        ["spec", `${first.name}/`, lines(`${first.name}/`)],
      ] as const
    ) {
      assertEquals(
        await live(none, kind, text),
        known.filter((word) => word.startsWith(text)).sort(),
        `${kind} ${text}`,
      );
    }
    await using second = await createChip(["LATER"]);
    assertEquals(await live(none, "line", "LAT"), []);
    assertEquals(await live(LAUNCHER, "line", "LAT"), ["LATER"]);
    assertEquals(await live(none, "line", `${second.name}/L`), [
      `${second.name}/LATER`,
    ]);
  } finally {
    await Deno.remove(runtime, { recursive: true });
  }
});

Deno.test("names of any bytes are served, from a SPEC and from a file", async () => {
  await using sim = await createChip(NAMES);
  using chip = Chip.open(sim.path);
  const names = chip.lines().map(({ name }) => name);
  const twelve = NAMES.indexOf("12");
  const forms: ((name: string, offset: number) => string)[] = [
    (name) =>
      yaml(
        NEEDS_CHIP.has(name)
          ? `${sim.name}/${name}`
          : specText(name, name === "ETH/0" ? "," : ",/"),
      ),
    (name, offset) =>
      yaml(
        offset === twelve
          ? `${sim.name}/${offset}`
          : `${sim.name}/${specText(name)}`,
      ),
    (name) => `{ line: ${yaml(nameText(name))} }`,
    (name) =>
      `{ chip: { label: 'odd, but \\true' }, line: ${yaml(nameText(name))} }`,
  ];
  // One service has them all, in turn: each has the lines as an aggregator of its
  // own, at another level than the one before.
  const level = (turn: number) => (turn + 1) % 2;
  const config = (turn: number) => (directory: string) => `
aggregators:
  a${turn}:
    vhost-user: ${directory}/a${turn}.sock
    defaults: { direction: output, initial: ${
    level(turn)
  }, on-disconnect: release }
    lines:
${
    names.map((name, offset) => `      - ${forms[turn]!(name, offset)}`)
      .join("\n")
  }
`;
  {
    await using service = await ConfigService.start(config(0));
    for (const [turn, form] of forms.entries()) {
      if (turn > 0) {
        const { added, refused } = await service.hangUp(config(turn));
        assertEquals([added, refused], [[`a${turn}`], []]);
      }
      for (const [offset, name] of names.entries()) {
        assertEquals(await sim.level(offset), level(turn), form(name, offset));
      }
    }
  }
  using outputs = chip.requestLines({
    lines: [{
      offsets: [...names.keys()],
      settings: { direction: "output" },
    }],
  });
  assertEquals(outputs.getValue(0), 0);
});

Deno.test("what info --ids prints names the chip everywhere", async () => {
  await using sim = await createChip(["READY", "ESTOP"]);
  await shell(`
    mkdir -p /dev/gpio/by-id
    ln -s ../../${sim.name} '/dev/gpio/by-id/usb-a,b'
  `);
  try {
    const ids = [...(await gpioagg("info", "--ids", "-c", sim.name)).matchAll(
      /^\t(\S.*?)(?: {2}\(.*\))?$/gm,
    )].map(([, id]) => id!).filter((id) => !id.startsWith("lines:"));
    assertEquals(ids.slice(1), [
      "label:odd\\, but \\true",
      "path:/dev/gpio/by-id/usb-a\\,b",
    ]);
    for (const id of ids) {
      assertEquals(
        (await gpioagg("get", "--numeric", `${id}/1`, `${id}/READY`)).trim(),
        "0 0",
      );
      assertEquals(
        (await gpioagg("detect", id)).split(" ")[0],
        sim.name,
      );
    }
    await using _service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    defaults: { direction: output, initial: 1 }
    lines:
      - ${yaml(`${ids[0]}/0`)}
      - ${yaml(`${ids[2]}/ESTOP`)}
`);
    assertEquals([await sim.level(0), await sim.level(1)], [1, 1]);
  } finally {
    await shell("rm -r /dev/gpio");
  }
});
