/**
 * The recipes of the documentation for VMMs: libvirt's XML against libvirt's own
 * schema, and the arguments for QEMU by a QEMU that starts with them.
 */
import { assert, assertEquals } from "@std/assert";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { Service } from "../environment/service.ts";
import { lacksTool, runTool } from "../environment/tool.ts";

const noLibvirt = await lacksTool(
  "virt-xml-validate",
  "it is in Debian's packages libvirt-clients and libxml2-utils",
);
const noQemu = await mustSkip("deno", "qemuOld", "qemuNew");

const read = (file: string) => Deno.readTextFile(`${REPOSITORY}/docs/${file}`);

/** Returns the code block behind a text of a document. */
async function findBlock(file: string, text: string): Promise<string> {
  const whole = await read(file);
  const at = whole.indexOf(text);
  const block = /^```\w*\n(.*?)^```$/ms.exec(whole.slice(at));
  if (at < 0 || block === null) throw new Error(`${file}: ${text}`);
  return block[1]!;
}

const domain = () => findBlock("guide.md", "\n## libvirt");

Deno.test({
  name: "libvirt's schema takes the guide's domain",
  ignore: noLibvirt,
  fn: async () => {
    // What every domain has, whatever its lines are.
    const whole = (await domain()).replace(
      />\n/,
      `>
  <name>press</name>
  <memory unit='MiB'>512</memory>
  <os><type>hvm</type></os>
`,
    );
    const file = await Deno.makeTempFile({ suffix: ".xml" });
    try {
      await Deno.writeTextFile(file, whole);
      const valid = await runTool("virt-xml-validate", [file, "domain"]);
      assert(valid!.success, valid!.output);
      await Deno.writeTextFile(file, whole.replace("'shared'", "'sheared'"));
      const invalid = await runTool("virt-xml-validate", [file, "domain"]);
      assert(!invalid!.success, "the schema takes everything");
    } finally {
      await Deno.remove(file);
    }
  },
});

/** Words of a command line, without the program and what is left out in it. */
function splitWords(text: string): string[] {
  return text.replaceAll("\\\n", " ").split(/\s+/)
    .filter((word) => word !== "" && word !== "…")
    .filter((word) => !word.startsWith("qemu-system"));
}

const RECIPES: readonly [string, () => Promise<string[]>][] = [
  ["the guide's first one", async () => {
    const block = await findBlock(
      "guide.md",
      "With a VMM that is started else",
    );
    return [
      "-m",
      "1G",
      ...splitWords(block.slice(block.indexOf("qemu-system"))),
    ];
  }],
  ["libvirt's", async () => [
    // What libvirt makes of memoryBacking.
    ..."-m 512 -object memory-backend-memfd,id=pc.ram,share=on,size=512M"
      .split(" "),
    ..."-machine memory-backend=pc.ram".split(" "),
    ...[...(await domain()).matchAll(/<qemu:arg value='(.*?)'\/>/g)]
      .map(([, word]) => word!),
  ]],
  ["Proxmox VE's", async () => {
    const block = await findBlock("guide.md", "\n## Proxmox VE");
    const [, memory] = /^memory: (\d+)$/m.exec(block)!;
    const [, args] = /^args: (.*)$/m.exec(block)!;
    return ["-m", memory!, ...splitWords(args!)];
  }],
  ["that of the exposures", async () => {
    const block = await findBlock("exposures.md", "**QEMU 9.0 and newer**");
    return ["-m", "1G", ...splitWords(block)];
  }],
];

for (const [name, recipe] of RECIPES) {
  for (const version of ["qemuOld", "qemuNew"] as const) {
    Deno.test({
      name: `QEMU (${version}) starts with the arguments of ${name}`,
      ignore: noQemu,
      fn: async () => {
        await using service = await Service.start({ press: ["sim/1"] });
        const socket = service.socket("press");
        const args = (await recipe()).map((word) =>
          word.replace(/path=(SOCK|\/run\/[^,]*)/, (_, path) => {
            assert(path === "SOCK" || path.endsWith("press.sock"), path);
            // As the documentation says of each of the two.
            const again = version === "qemuOld" ? ",reconnect=1" : "";
            return `path=${socket}${again}`;
          })
        );
        assertEquals(args.filter((word) => word.includes(socket)).length, 1);
        await using qemu = new ChildProcess({
          command: await artefact(version),
          args: [
            ..."-accel tcg -M q35 -nodefaults -display none -S -monitor stdio"
              .split(" "),
            ...args,
          ],
          input: true,
        });
        await service.process.waitFor('"event":"connected"', {
          timeoutMs: 120_000,
        });
        await qemu.write("info qtree\nquit\n");
        const { code } = await qemu.waitForExit({ timeoutMs: 120_000 });
        assertEquals(code, 0, qemu.stderr);
        assert(qemu.stdout.includes("vhost-user-gpio-pci"), qemu.stdout);
        await service.process.waitFor('"event":"disconnected"');
        assert(!service.process.stdout.includes('"event":"fault"'));
      },
    });
  }
}
