/** `gpioagg safe` on a chip that refuses, as an I2C expander does. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const EREMOTEIO = 121;

/** Runs the command while a chip refuses the first `times` requests of lines. */
async function safeWith(times: number, retryFor: string) {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 2, names: { 0: "RELAY" } });
  kernel.refuse("GPIO_V2_GET_LINE_IOCTL", EREMOTEIO, times);
  const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [
      ...PROGRAM,
      "safe",
      `--retry-for=${retryFor}`,
      "RELAY,direction=output,safe=1",
      "gpiochip0/1,direction=output,safe=1",
    ],
  }).output();
  using opened = Chip.open(chip.path);
  return {
    code,
    stderr: new TextDecoder().decode(stderr),
    directions: opened.lines().map(({ direction }) => direction),
  };
}

Deno.test("safe retries what a chip refuses, and says nothing once it holds", async () => {
  assertEquals(await safeWith(3, "60s"), {
    code: 0,
    stderr: "",
    directions: ["output", "output"],
  });
});

Deno.test("safe fails for lines whose chip goes on refusing, and names each", async () => {
  const { code, stderr, directions } = await safeWith(1e6, "200ms");
  assertEquals([code, directions], [1, ["input", "input"]]);
  for (const line of ["RELAY", "gpiochip0/1"]) {
    assertMatch(
      stderr,
      new RegExp(`not in its safe state: --line ${line},.*EREMOTEIO`),
    );
  }
});

Deno.test("safe drives no input without direction=output, and fails for it", async () => {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 3 });
  using opened = Chip.open(chip.path);
  const makeSafe = async (...args: string[]) => {
    const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
      args: [...PROGRAM, "safe", ...args],
    }).output();
    return {
      code,
      stderr: new TextDecoder().decode(stderr),
      directions: opened.lines().map(({ direction }) => direction),
    };
  };
  const specs = ["gpiochip0/0,safe=1", "gpiochip0/1,direction=output,safe=1"];
  const directions = ["input", "output", "input"];
  const fault = "gpiochip0/0,safe=1: not in its safe state: it is an input, " +
    "and is not driven; direction=output in its SPEC drives it";
  {
    const whole = await makeSafe(...specs);
    assertEquals([whole.code, whole.directions], [1, directions]);
    assertStringIncludes(whole.stderr, fault);
    assertEquals(whole.stderr.includes("gpiochip0/1"), false, whole.stderr);
  }
  // A guardian's: no guest has driven the line.
  assertEquals(await makeSafe("--leave-inputs", ...specs), {
    code: 0,
    stderr: "",
    directions,
  });
  // Also beside a line that another process holds, and once it is an output.
  using _held = opened.requestLines({
    lines: [{ offset: 2, settings: { direction: "input" } }],
  });
  const partly = await makeSafe(
    "--retry-for=1ms",
    ...specs,
    "gpiochip0/2,safe=1",
  );
  assertEquals(partly.code, 1);
  assertStringIncludes(partly.stderr, fault);
  opened.requestLines({
    lines: [{ offset: 0, settings: { direction: "output", outputValue: 0 } }],
  }).close();
  assertEquals(await makeSafe(...specs), {
    code: 0,
    stderr: "",
    directions: ["output", "output", "input"],
  });
});

Deno.test("safe tells the lines of one SPEC apart", async () => {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 4 });
  using opened = Chip.open(chip.path);
  const safe = async () => {
    const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
      args: [...PROGRAM, "safe", "--retry-for=1ms", "gpiochip0/1-3,safe=0"],
    }).output();
    assertEquals(code, 1);
    return new TextDecoder().decode(stderr);
  };
  const told = (stderr: string) =>
    [...stderr.matchAll(/--line gpiochip0\/1-3,safe=0 \(line (\d)\):/g)]
      .map(([, offset]) => Number(offset)).sort();
  assertEquals(told(await safe()), [1, 2, 3]);
  using _held = opened.requestLines({
    lines: [{ offset: 2, settings: { direction: "input" } }],
  });
  const partly = await safe();
  assertEquals(told(partly), [1, 2, 3], partly);
});

Deno.test("safe makes the lines of a configuration file safe", async () => {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 6, names: { 5: "LAMP" } });
  using opened = Chip.open(chip.path);
  const directory = await Deno.makeTempDir();
  const safe = async (text: string, ...args: string[]) => {
    const file = `${directory}/x.yaml`;
    await Deno.writeTextFile(file, text);
    const { code, stdout, stderr } = await new Deno.Command(PROGRAM_FILE, {
      args: [...PROGRAM, "safe", "--retry-for=1ms", "--config", file, ...args],
    }).output();
    assertEquals(stdout.length, 0);
    return {
      code,
      stderr: new TextDecoder().decode(stderr)
        .replaceAll(`${directory}/`, ""),
      directions: opened.lines().map(({ direction }) => direction).join(" "),
    };
  };
  const text = `
aggregators:
  # The second aggregator's name is what a line of the first could be called.
  press:
    vhost-user: ${directory}/none/press.sock
    lines:
      - { chip: gpiochip0, offset: 0, as: VALVE, direction: output, safe: 1 }
      - { chip: gpiochip0, offset: 1, as: READY, direction: input }
      - { wire: VALVE, as: ECHO }
  press0:
    vhost-user: ${directory}/none/press0.sock
    lines:
      - gpiochip0/2,direction=output,safe=0
      - { chip: gpiochip0, offsets: 3-4, safe: 0 }
      - { line: LAMP, direction: output, safe: 1 }
`;
  try {
    const fault = (key: string) =>
      `press0.lines[1] (line ${key}): not in its safe state: it is an input, ` +
      "and is not driven; direction: output there drives it\n";
    const first = await safe(text);
    assertEquals(first.code, 1, first.stderr);
    assertEquals(first.directions, "output input output input input output");
    for (const offset of ["3", "4"]) {
      assertStringIncludes(first.stderr, fault(offset));
    }
    assertMatch(first.stderr, /^gpioagg: x\.yaml:14:9: /);
    assertEquals(await safe(text, "--leave-inputs"), {
      code: 0,
      stderr: "",
      directions: first.directions,
    });
    // A line that is busy keeps no other from being made safe.
    {
      using _held = opened.requestLines({
        lines: [{ offset: 0, settings: { direction: "input" } }],
      });
      const { code, stderr } = await safe(text, "--leave-inputs");
      assertEquals(code, 1, stderr);
      assertMatch(
        stderr,
        /^gpioagg: not in its safe state: x\.yaml:7:9: .*\n$/,
      );
    }
    const valid = "aggregators: { a: { vhost-user: /run/a.sock, lines: [";
    for (
      const [content, args, says] of [
        [`${valid}sim/1] } }`, [], /x\.yaml: none of its lines has a safe/],
        [`${valid}{ sim: 1, saef: 0 }] } }`, [], /"saef"[^]*no line was made/],
        ["", [], /no line was made safe/],
        [text, ["sim/1,safe=0"], /--config: no SPEC goes with it, but "sim/],
      ] as const
    ) {
      const { code, stderr } = await safe(content, ...args);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, says);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("safe drives no line of a file against an interlock", async () => {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 2 });
  using opened = Chip.open(chip.path);
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  // What holds the wire once no process drives it.
  chip.pull(0, "up");
  const safe = async (interlocks: string) => {
    {
      // As a killed service leaves them.
      using request = opened.requestLines({
        lines: [
          { offset: 0, settings: { direction: "output", outputValue: 1 } },
          { offset: 1, settings: { direction: "output", outputValue: 0 } },
        ],
      });
      assertEquals(request.getValues(), [1, 0]);
    }
    await Deno.writeTextFile(
      file,
      `
aggregators:
  press:
    vhost-user: /run/none/press.sock
    lines:
      - { chip: gpiochip0, offset: 0, as: UP, on-disconnect: release }
      - { chip: gpiochip0, offset: 1, as: DOWN, direction: output, safe: 1 }
${interlocks}`,
    );
    const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
      args: [...PROGRAM, "safe", "--retry-for=1ms", "--config", file],
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  };
  try {
    assertEquals(await safe(""), { code: 0, stderr: "" });
    const { code, stderr } = await safe(
      "interlocks:\n  - exclusive: [press.UP, press.DOWN]\n",
    );
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /not in its safe state: .*:7:9: .*gpiochip0 line 1 /);
  } finally {
    await Deno.remove(file);
  }
});
