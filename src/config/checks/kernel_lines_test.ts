import { assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../document/config_error.ts";
import { parseLineSpec } from "../spec/line_spec.ts";
import { Problems } from "../document/problems.ts";
import { checkKernelLines, checkKernelNames } from "./kernel_lines.ts";

/** Throws the first problem of lines, as the command line and the API do. */
function check(
  lines: Parameters<typeof checkKernelLines>[0],
): void {
  const problems = new Problems();
  checkKernelLines(lines, problems);
  checkKernelNames(lines, problems);
  problems.throwFirst();
}

function lines(...specs: string[]) {
  return specs.flatMap((spec) => parseLineSpec(spec));
}

Deno.test("checkKernelLines() takes lines of chips, by offset or name, with new names", () => {
  check(lines("gpiochip0/0-7", "ESTOP,as=stop", "soc/3,as=Y"));
});

Deno.test("checkKernelLines() refuses each rule that the kernel's aggregator has not", () => {
  const refused = {
    "sim/1": "such a line",
    "gpiochip0/1,active-low": "active-low",
    "gpiochip0/1,bias=pull-up": "bias=pull-up",
    "gpiochip0/1,drive=open-drain": "drive=open-drain",
    "gpiochip0/1,debounce=5ms": "debounce",
    "gpiochip0/1,direction=input": "direction=input",
    "gpiochip0/1,direction=output": "direction=output",
    "gpiochip0/1,initial=1": "initial=1",
    "gpiochip0/1,safe=0": "safe=0",
    "gpiochip0/1,on-disconnect=release": "on-disconnect=release",
    "gpiochip0/1,initial=as-is": "initial=as-is",
    "gpiochip0/1,shared": "shared",
    "gpiochip0/1,combine=or": "combine=or",
    "gpiochip0/1,min-interval=5ms": "min-interval",
    "gpiochip0/1,optional": "optional",
    "gpiochip0/1,lane": "lane",
  };
  for (const [spec, words] of Object.entries(refused)) {
    const error = assertThrows(
      () => check(lines("gpiochip0/0", spec)),
      ConfigError,
    );
    assertStringIncludes(error.message, `--line ${spec}: a kernel chip cannot`);
    assertStringIncludes(error.message, words);
  }
});

Deno.test("checkKernelLines() says which lines a kernel chip can have", () => {
  const error = assertThrows(() => check(lines("sim/1")), ConfigError);
  assertStringIncludes(error.hint, "Name a line of a chip");
});

Deno.test("checkKernelNames() refuses one name for two lines", () => {
  const error = assertThrows(
    () => check(lines("gpiochip0/1,as=A", "gpiochip0/2,as=A")),
    ConfigError,
  );
  assertStringIncludes(
    error.message,
    '--line gpiochip0/2,as=A: the name "A" is taken by gpiochip0/1,as=A',
  );
});

Deno.test("checkKernelLines() refuses a name that the kernel would change", () => {
  check(lines("gpiochip0/1,as=STOP LAMP"));
  for (const spec of ["gpiochip0/1,as= A", "gpiochip0/1,as=A "]) {
    const error = assertThrows(
      () => check(lines(spec)),
      ConfigError,
    );
    assertStringIncludes(error.message, "blanks at the ends of a name");
  }
});
