/**
 * Line names of real boards: every command, file and reference takes them.
 */
import { assertEquals } from "@std/assert";
import { shownName, specText } from "../../src/text/names.ts";
import { REAL_NAMES } from "../doubles/real_line_names.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { command } from "./command.ts";

const yaml = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Longer than what the kernel shows; and what names a chip's line as well. */
const LONG = "9J3 Switch HDMI CEC/7J1 Header Pin11";
const SLASH = "TF 3V3/1V8 En";

async function tool(...args: string[]): Promise<string> {
  const { stdout, stderr } = await command(...args);
  assertEquals(stderr, "");
  return stdout;
}

Deno.test("names of real boards are taken by tools, files, references and interlocks", async () => {
  await using sim = await SimChip.create(localFiles, {
    lines: REAL_NAMES.length,
    names: Object.fromEntries(REAL_NAMES.entries()),
  });
  const printed = [...(await tool("info", "-c", sim.name)).matchAll(
    /^\tline +\d+:\t"(.*)" *\t/gm,
  )].map(([, name]) => name!);
  assertEquals(printed, REAL_NAMES.map(shownName));
  for (const names of [printed, REAL_NAMES]) {
    const found = await tool("get", "--json", "--", ...names);
    assertEquals(
      found.trim().split("\n").map((line) => JSON.parse(line).offset),
      [...REAL_NAMES.keys()],
    );
  }
  const at = (name: string) => REAL_NAMES.indexOf(name);
  const forms: ((name: string) => string)[] = [
    (name) => yaml(specText(name)),
    (name) => yaml(`${sim.name}/${specText(name)}`),
  ];
  // One service has both forms, in turn.
  const config = (turn: number) => (directory: string) => `
aggregators:
  a${turn}:
    vhost-user: ${directory}/a${turn}.sock
    defaults: { direction: output, on-disconnect: safe, safe: 0 }
    lines:
${REAL_NAMES.map((name) => `      - ${forms[turn]!(name)}\n`).join("")}
  b${turn}:
    vhost-user: ${directory}/b${turn}.sock
    lines:
${
    REAL_NAMES.map((name) => `      - { copy: ${yaml(`a${turn}.${name}`)} }\n`)
      .join("")
  }
interlocks:
  - exclusive: [ ${yaml(`a${turn}.${LONG}`)}, ${yaml(`a${turn}.${SLASH}`)} ]
`;
  await using service = await ConfigService.start(config(0));
  for (const turn of forms.keys()) {
    if (turn > 0) {
      const { added, refused } = await service.hangUp(config(turn));
      assertEquals([added, refused], [[`a${turn}`, `b${turn}`], []]);
    }
    using a = service.guest(`a${turn}`);
    using b = service.guest(`b${turn}`);
    assertEquals(a.driver.names(), REAL_NAMES.map(shownName));
    for (const lineNumber of REAL_NAMES.keys()) {
      if (lineNumber !== at(SLASH)) a.driver.setValue(lineNumber, 1);
    }
    assertEquals(
      REAL_NAMES.filter((name) => b.driver.getValue(at(name)) !== 1),
      [SLASH],
    );
    // The other one is active.
    let refusal = "";
    try {
      a.driver.setValue(at(SLASH), 1);
    } catch (error) {
      refusal = String(error);
    }
    assertEquals(refusal.includes("refused"), true, refusal);
    assertEquals(await sim.level(at(SLASH)), 0);
    assertEquals(await sim.level(at(LONG)), 1);
  }
});
