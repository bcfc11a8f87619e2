/**
 * Compares the tables of gpio_v2.ts with the machine's own `linux/gpio.h`, as
 * the machine's own C compiler reads it.
 */
import { assertEquals } from "@std/assert";
import {
  AttributeId,
  EdgeEventId,
  GPIOCHIP_INFO,
  InfoEventId,
  LINE_ATTRIBUTE,
  LINE_CONFIG,
  LINE_CONFIG_ATTRIBUTE,
  LINE_EVENT,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LINE_REQUEST,
  LINE_VALUES,
  LineFlag,
} from "../../ffi/gpio_v2.ts";
import { GPIO_IOCTLS } from "../../ffi/gpio_ioctl.ts";
import { mustIgnore } from "../doubles/skipped.ts";

const STRUCTS = [
  GPIOCHIP_INFO,
  LINE_ATTRIBUTE,
  LINE_CONFIG_ATTRIBUTE,
  LINE_CONFIG,
  LINE_REQUEST,
  LINE_VALUES,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LINE_EVENT,
];

/** `EventClockHte` to `EVENT_CLOCK_HTE`. */
const macro = (name: string) =>
  name.replaceAll(/(?<=.)([A-Z])/g, "_$1").toUpperCase();

/** Every number to compare: its C expression and ours. */
function comparisons(): [expression: string, ours: number][] {
  const list: [string, number][] = [];
  for (const struct of STRUCTS) {
    list.push([`sizeof(struct ${struct.name})`, struct.size]);
    for (const [field, offset] of Object.entries(struct.at)) {
      // Our name for the union of flags, values and debounce_period_us.
      const member = struct === LINE_ATTRIBUTE && field === "value"
        ? "flags"
        : field;
      list.push([`offsetof(struct ${struct.name}, ${member})`, offset]);
    }
  }
  for (const [name, flag] of Object.entries(LineFlag)) {
    list.push([`GPIO_V2_LINE_FLAG_${macro(name)}`, flag]);
  }
  for (const [name, id] of Object.entries(AttributeId)) {
    list.push([`GPIO_V2_LINE_ATTR_ID_${macro(name)}`, id]);
  }
  for (const [name, id] of Object.entries(EdgeEventId)) {
    list.push([`GPIO_V2_LINE_EVENT_${macro(name)}_EDGE`, id]);
  }
  const changes = {
    REQUESTED: InfoEventId.Requested,
    RELEASED: InfoEventId.Released,
    CONFIG: InfoEventId.Reconfigured,
  };
  for (const [name, id] of Object.entries(changes)) {
    list.push([`GPIO_V2_LINE_CHANGED_${name}`, id]);
  }
  for (const [name, number] of Object.entries(GPIO_IOCTLS)) {
    list.push([name, number]);
  }
  return list;
}

async function compiler(): Promise<string | undefined> {
  const probe = "#include <linux/gpio.h>\nint x = GPIO_V2_LINES_MAX;\n";
  for (const name of ["cc", "gcc", "clang"]) {
    try {
      const child = new Deno.Command(name, {
        args: ["-x", "c", "-fsyntax-only", "-"],
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(probe));
      await writer.close();
      if ((await child.status).success) return name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

const cc = await compiler();

Deno.test({
  name: "gpio_v2.ts agrees with linux/gpio.h on every number",
  ignore: mustIgnore(
    cc === undefined ? "no C compiler with linux/gpio.h" : undefined,
  ),
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const list = comparisons();
      const prints = list.map(([expression]) =>
        `  printf("%llu\\n", (unsigned long long)(${expression}));`
      );
      await Deno.writeTextFile(
        `${directory}/print.c`,
        [
          "#include <stddef.h>",
          "#include <stdio.h>",
          "#include <linux/gpio.h>",
          "int main(void) {",
          ...prints,
          "  return 0;",
          "}",
          "",
        ].join("\n"),
      );
      const compiled = await new Deno.Command(cc!, {
        args: ["-o", `${directory}/print`, `${directory}/print.c`],
      }).output();
      assertEquals(new TextDecoder().decode(compiled.stderr), "");
      const { stdout } = await new Deno.Command(`${directory}/print`).output();
      const theirs = new TextDecoder().decode(stdout).trim().split("\n");
      assertEquals(
        list.map(([expression, ours]) => `${expression} = ${ours}`),
        list.map(([expression], i) => `${expression} = ${theirs[i]}`),
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
