/**
 * Lines that `gpioagg doctor --guest` prints to be pasted: taken by gpioagg, by
 * each QEMU of the tests, and by libvirt's schema.
 */
import { assert, assertEquals } from "@std/assert";
import { GUESTS } from "../../src/doctor/guests.ts";
import {
  type Artefact,
  artefact,
  mustSkip,
} from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { lacksTool, runTool } from "../environment/tool.ts";

interface Recipe {
  readonly name: string;
  readonly gpioagg: readonly string[];
  readonly qemu: readonly string[];
  readonly libvirt: readonly string[];
  readonly proxmox: readonly string[];
}

const LIMIT_MS = 120_000;

/** The parts that "…" stands for, with a monitor that ends it. */
const REST = {
  amd64: "-M q35 -m 1G",
  arm64: "-M virt -cpu cortex-a57 -m 1G",
};
const COMMON = "-accel tcg -nodefaults -display none -S -monitor stdio";

/** Exposures for guests of any architecture. */
const ALWAYS = [
  "usbredir, device=cp2112",
  "usbredir, device=ljca",
  "vhost-user",
];
const PINS = ["qemu-pins, device=pl061", ...ALWAYS];

const QEMUS: readonly [Artefact, "amd64" | "arm64", readonly string[]][] = [
  ["qemuOld", "amd64", ALWAYS],
  ["qemuNew", "amd64", ALWAYS],
  ["qemuNewest", "amd64", ALWAYS.toSpliced(2, 0, "vfio-user")],
  ["qemuArmOld", "arm64", PINS],
  ["qemuArmNew", "arm64", PINS],
];

const ignore = await mustSkip("deno", ...QEMUS.map(([name]) => name));
const noLibvirt = await lacksTool(
  "virt-xml-validate",
  "it is in Debian's packages libvirt-clients and libxml2-utils",
);

/** The recipes for all guests of an architecture, each once. */
async function readRecipes(
  qemu: string,
  arch: "amd64" | "arm64",
): Promise<Recipe[]> {
  const guests = GUESTS.filter((guest) => guest.arch === arch)
    .flatMap(({ name }) => ["--guest", `${name}/${arch}`]);
  const args = [...PROGRAM, "doctor", "--json", "--qemu", qemu, ...guests];
  const { output } = (await runTool(PROGRAM_FILE, args))!;
  const { guests: found } = JSON.parse(output) as {
    guests: { exposures: Recipe[] }[];
  };
  const all = found.flatMap(({ exposures }) => exposures);
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()]
    .toSorted((one, other) => one.name < other.name ? -1 : 1);
}

/** Checks that libvirt's schema takes the elements where they say they belong. */
async function checkDomain(recipe: Recipe): Promise<void> {
  const [comment, ...elements] = recipe.libvirt;
  const [, place, namespace = ""] = /in <(domain|devices)( [^>]*)?>/
    .exec(comment!)!;
  const text = recipe.libvirt.join("\n");
  assertEquals(elements.length > 0, true, recipe.name);
  const file = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    await Deno.writeTextFile(
      file,
      `<domain type='kvm'${namespace}>
<name>press</name><memory unit='GiB'>1</memory><os><type>hvm</type></os>
<devices>${place === "devices" ? text : ""}</devices>
${place === "domain" ? text : ""}
</domain>`,
    );
    const valid = await runTool("virt-xml-validate", [file, "domain"]);
    assert(valid!.success, `${recipe.name}: ${valid!.output}`);
  } finally {
    await Deno.remove(file);
  }
}

for (const [qemu, arch, exposures] of QEMUS) {
  Deno.test({
    name: `${qemu} and gpioagg take the lines that doctor prints for it`,
    ignore,
    fn: async () => {
      const path = await artefact(qemu);
      const program = arch === "arm64" ? `${path}/qemu-system-aarch64` : path;
      const recipes = await readRecipes(program, arch);
      assertEquals(recipes.map(({ name }) => name), exposures);
      for (const recipe of recipes) {
        await useRecipe(recipe, program, REST[arch]);
        // The arguments are those of the command line.
        const args = /^args: (.*)$/.exec(recipe.proxmox[0]!)![1]!;
        assert(recipe.qemu[0]!.endsWith(` … ${args}`), recipe.proxmox[0]);
        if (!noLibvirt) await checkDomain(recipe);
      }
    },
  });
}

/** Pastes both command lines into shells, and waits until they know each other. */
async function useRecipe(
  recipe: Recipe,
  program: string,
  rest: string,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-doctor-" });
  // A test machine has neither chips nor the group of QEMUs, perhaps.
  const paste = (text: string) =>
    text.replaceAll("/run/press", `${directory}/press`)
      .replace(",group=kvm", "").replace("-g kvm ", "");
  const { qemu: [qemuLine], gpioagg } = recipe;
  const serve = paste(gpioagg.at(-1)!)
    .replace(/gpiochip0\/0-(\d+)/, (_, last) => `sim/${Number(last) + 1}`)
    .replace(
      /^gpioagg /,
      `exec ${
        [PROGRAM_FILE, ...PROGRAM].map((word) => `'${word}'`).join(" ")
      } `,
    );
  try {
    for (const command of gpioagg.slice(0, -1)) {
      const { success, output } =
        (await runTool("sh", ["-c", paste(command)]))!;
      assert(success, output);
    }
    await using service = new ChildProcess({
      command: "sh",
      args: ["-c", `${serve} --json`],
    });
    await service.waitFor('"event":"ready"', { timeoutMs: LIMIT_MS });
    assert(qemuLine!.startsWith(`${program} `), qemuLine);
    const machine = qemuLine!.includes(" -M ")
      ? rest.replace(/-M \S+ /, "")
      : rest;
    await using vm = new ChildProcess({
      command: "sh",
      args: [
        "-c",
        `exec ${paste(qemuLine!.replace("…", `${machine} ${COMMON}`))}`,
      ],
      input: true,
    });
    await service.waitFor('"event":"connected"', { timeoutMs: LIMIT_MS });
    await vm.write("quit\n");
    const { code } = await vm.waitForExit({ timeoutMs: LIMIT_MS });
    assertEquals(code, 0, `${recipe.name}: ${vm.stderr}`);
    // A QEMU that is slow to start is told of.
    const faults = service.stdout.split("\n").filter((line) =>
      line.includes('"event":"fault"') && !line.includes("listens there yet")
    );
    assertEquals(faults, [], recipe.name);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
