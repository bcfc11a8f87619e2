/**
 * Boards without a guest system: a few instructions drive a pin high after each
 * reset, so that what QEMU's controllers do and tell there is seen.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { PinRig } from "./qemu_pins_rig.ts";

interface Machine {
  readonly machine: string;
  readonly device: string;
  /** Default: 5. */
  readonly pin?: number;
  /** The first controller's registers. */
  readonly base: number;
  /** Writes of the program: values at registers. */
  readonly writes: readonly (readonly [offset: number, value: number])[];
  /** Address of its memory. */
  readonly load: number;
}

const PIN = 5;
/** gpioAC3, the last pin of an AST2500. */
const LAST_PIN = 227;

const MACHINES: readonly Machine[] = [
  {
    machine: "mcimx6ul-evk",
    device: "imx.gpio",
    base: 0x0209_c000,
    writes: [[0x00, 1 << PIN], [0x04, 1 << PIN]],
    load: 0x8001_0000,
  },
  {
    machine: "npcm750-evb",
    device: "npcm7xx-gpio",
    base: 0xf001_0000,
    writes: [[0x0c, 1 << PIN], [0x10, 1 << PIN]],
    load: 0x0001_0000,
  },
  {
    machine: "ast2500-evb",
    device: "aspeed.gpio-ast2500",
    pin: LAST_PIN,
    base: 0x1e78_0000,
    writes: [[0x1e8, 1 << (LAST_PIN % 32)], [0x1ec, 1 << (LAST_PIN % 32)]],
    load: 0x8001_0000,
  },
  {
    // Nothing is known of its registers: three bits each say what a pin is.
    machine: "raspi2b",
    device: "bcm2835_gpio",
    base: 0x3f20_0000,
    writes: [[0x00, 1 << (3 * PIN)], [0x1c, 1 << PIN]],
    load: 0x0001_0000,
  },
];

for (const qemu of ["old", "new"] as const) {
  const ignore = await mustSkip(
    qemu === "old" ? "qemuArmOld" : "qemuArmNew",
  );

  for (const { machine, device, pin = PIN, base, writes, load } of MACHINES) {
    Deno.test({
      name:
        `${machine}: an output is seen to rise after each reset (QEMU ${qemu})`,
      ignore,
      fn: async () => {
        await using rig = await PinRig.create("sim/1,direction=output,safe=0", {
          device,
          index: 0,
          pins: [{ pin, lineNumber: 0 }],
        });
        const program = `${rig.directory}/program`;
        await Deno.writeFile(program, assembleProgram(base, writes));
        await using _machine = await rig.start(qemu, [
          ...["-M", machine, "-S", "-device"],
          `loader,file=${program},force-raw=on,addr=${load},cpu-num=0`,
        ]);
        await rig.until("the link", () => rig.log.includes("started"));
        await rig.monitor("cont");
        const rises = () => rig.driven[0]!.filter((level) => level === 1);
        for (let boot = 1; boot <= 3; boot++) {
          await rig.until("the output", () => rig.sims[0]!.level === 1);
          assertEquals(rises().length, boot);
          await rig.monitor("stop");
          await rig.monitor("system_reset");
          await rig.until("the safe state", () => rig.sims[0]!.level === 0);
          await rig.monitor("cont");
        }
      },
    });
  }

  for (
    const [told, further] of [
      ["disconnected", []],
      ["stopped", ["-no-shutdown"]],
    ] as const
  ) {
    Deno.test({
      name: `virt: what a guest did before it shut down is done, and QEMU ` +
        `${told} (QEMU ${qemu})`,
      ignore,
      fn: async () => {
        // The line stays as the guest leaves it.
        await using rig = await PinRig.create("sim/2", {
          device: "pl061",
          pins: [{ pin: PIN, lineNumber: 0 }, { pin: 1, lineNumber: 1 }],
        });
        const program = `${rig.directory}/program`;
        await Deno.writeFile(program, wordsToBytes(LAST_WORDS));
        await using _machine = await rig.start(qemu, [
          ..."-M virt -cpu cortex-a15 -S -device".split(" "),
          `loader,file=${program},force-raw=on,addr=0x40200000,cpu-num=0`,
          ...further,
        ]);
        await rig.until("the link", () => rig.log.includes("started"));
        await rig.monitor("cont");
        await rig.until("the output", () => rig.sims[0]!.level === 1);
        rig.sims[1]!.pull(1);
        await rig.until("the end", () => rig.log.includes(told));
        assertEquals(rig.driven[0]!.at(-1), 0);
        assertEquals(rig.sims[0]!.level, 0);
      },
    });
  }

  Deno.test({
    name: `virt: a snapshot that is loaded knows what the lines are now ` +
      `(QEMU ${qemu})`,
    ignore,
    fn: async () => {
      await using rig = await PinRig.create("sim/2", {
        device: "pl061",
        pins: [{ pin: PIN, lineNumber: 0 }, { pin: 1, lineNumber: 1 }],
      });
      const program = `${rig.directory}/program`;
      await Deno.writeFile(program, wordsToBytes(MIRROR));
      await using _machine = await rig.start(qemu, [
        ..."-M virt -cpu cortex-a15 -m 32 -device".split(" "),
        `loader,file=${program},force-raw=on,addr=0x40200000,cpu-num=0`,
      ]);
      await rig.until("the link", () => rig.log.includes("started"));
      const file = { driver: "file", filename: `${rig.directory}/disk` };
      await rig.job("blockdev-create", { options: { ...file, size: 0 } });
      await rig.monitor("blockdev-add", { ...file, "node-name": "file" });
      const disk = { driver: "qcow2", file: "file" };
      await rig.job("blockdev-create", { options: { ...disk, size: 1 << 20 } });
      await rig.monitor("blockdev-add", { ...disk, "node-name": "disk" });
      const snapshot = { tag: "low", vmstate: "disk", devices: ["disk"] };
      await rig.job("snapshot-save", snapshot);
      rig.sims[1]!.pull(1);
      await rig.until("the output", () => rig.sims[0]!.level === 1);
      const seen = rig.pins.counters.levels[1]!;
      await rig.job("snapshot-load", snapshot);
      await rig.until("levels", () => rig.pins.counters.levels[1]! > seen);
      await rig.until("the output", () => rig.sims[0]!.level === 1);
      // The guest has the same view of both.
      rig.sims[1]!.pull(0);
      await rig.until("the fall", () => rig.sims[0]!.level === 0);
      assertEquals(rig.log, ["connected", "started"]);
    },
  });

  Deno.test({
    name: `virt: what is particular about its PL061s is told (QEMU ${qemu})`,
    ignore,
    fn: async () => {
      const args = ["-M", "virt,secure=on", "-S"];
      const device = "pl061";
      {
        await using rig = await PinRig.create("sim/8", { device, index: 0 });
        await using _machine = await rig.start(qemu, args);
        await rig.until("the link", () => rig.log.includes("started"));
        assertStringIncludes(
          rig.notices.join(),
          "pin 3, which line 3 is tied to, is the machine's power button",
        );
      }
      await using rig = await PinRig.create("sim/8", { device, index: 1 });
      await using _machine = await rig.start(qemu, args);
      await rig.until("the refusal", () => rig.log.length > 0);
      assertStringIncludes(rig.log.join(), "is in the secure world");
      assertEquals(rig.notices, []);
    },
  });
}

/** Instructions of an Arm processor that write to registers, and then rest. */
function assembleProgram(
  base: number,
  writes: readonly (readonly [offset: number, value: number])[],
): Uint8Array<ArrayBuffer> {
  const instructions = [...load(0, base)];
  for (const [offset, value] of writes) {
    // str r1, [r0, #offset]
    instructions.push(...load(1, value), 0xe580_1000 | offset);
  }
  // wfi; b to that
  instructions.push(0xe320_f003, 0xeaff_fffd);
  return wordsToBytes(instructions);
}

function wordsToBytes(words: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(4 * words.length));
  for (const [i, word] of words.entries()) bytes.setUint32(4 * i, word, true);
  return new Uint8Array(bytes.buffer);
}

/** ldr of a word that stands behind the next instruction, which skips it. */
function load(register: number, value: number): [number, number, number] {
  return [(0xe59f_0000 | register << 12) >>> 0, 0xea00_0000, value];
}

/**
 * Instructions for `virt` that drive pin 5 high until pin 1 is, and then low,
 * with PSCI's SYSTEM_OFF right behind it.
 */
const LAST_WORDS = [
  ...load(0, 0x0903_0000),
  ...load(1, 1 << PIN),
  0xe580_1400, // str r1, [r0, #direction]
  0xe580_13fc, // str r1, [r0, #data]
  0xe590_2008, // ldr r2, [r0, #data of pin 1]
  0xe352_0000, // cmp r2, #0
  0x0aff_fffc, // beq to the ldr
  ...load(1, 0),
  0xe580_13fc, // str r1, [r0, #data]
  ...load(0, 0x8400_0008),
  0xe140_0070, // hvc #0
];

/** Instructions for `virt` that drive pin 5 as pin 1 is. */
const MIRROR = [
  ...load(0, 0x0903_0000),
  ...load(1, 1 << PIN),
  0xe580_1400, // str r1, [r0, #direction]
  0xe590_2008, // ldr r2, [r0, #data of pin 1]
  0xe1a0_2202, // lsl r2, r2, #4
  0xe580_23fc, // str r2, [r0, #data]
  0xeaff_fffb, // b to the ldr
];
