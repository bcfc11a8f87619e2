/**
 * The text of `--help`, from the table of a command.
 *
 * @module
 */
import { wrapped } from "../../text/wrap.ts";
import { fitLines } from "../../text/fit_lines.ts";
import { type CommandUsage, type Options, optionText } from "./usage.ts";

const WIDTH = 80;
/** Widest column of options; wider ones have a line of their own. */
const MAX_COLUMN = 24;

/** Returns the help of a command. */
export function helpText(usage: CommandUsage): string {
  const { name, synopsis, about, options, actions = {}, after } = usage;
  const all = [
    ...Object.values(actions).map(({ options }) => options),
    options,
  ];
  const column = measureColumn(all);
  const blocks = Object.entries(actions).map(([action, one]) =>
    [
      wrapped(one.about, WIDTH, `${action.padEnd(column)}`, " ".repeat(column)),
      optionLines(one.options, column),
    ].filter((part) => part !== "").join("\n")
  );
  return [
    synopsisText(name, synopsis),
    fitLines(about, WIDTH),
    [...blocks, optionLines(options, column)].join("\n"),
    ...after === undefined ? [] : [fitLines(after, WIDTH)],
  ].join("\n\n");
}

function synopsisText(name: string, forms: readonly string[]): string {
  return forms.map((form, i) => {
    const start = `${i === 0 ? "Usage:" : "      "} gpioagg ${name}`;
    if (form === "") return start;
    // Brackets stay whole.
    const words = form.match(/(?:\[[^\]]*(?:\[[^\]]*\][^\]]*)*\]\S*|\S+)/g)!;
    return wrapped(words, WIDTH, `${start} `, " ".repeat(start.length + 1));
  }).join("\n");
}

function measureColumn(tables: readonly Options[]): number {
  const widths = tables.flatMap((options) =>
    Object.entries(options).map(([name, option]) =>
      optionText(name, option).length + 4
    )
  ).filter((width) => width <= MAX_COLUMN);
  return Math.max(...widths);
}

function optionLines(options: Options, column: number): string {
  return Object.entries(options).map(([name, option], i) => {
    const text = `  ${optionText(name, option)}`;
    const heading = option.heading === undefined
      ? ""
      : `${i === 0 ? "" : "\n"}${option.heading}\n`;
    const pad = " ".repeat(column);
    return heading +
      (text.length + 2 > column
        ? `${text}\n${wrapped(option.help, WIDTH, pad, pad)}`
        : wrapped(option.help, WIDTH, text.padEnd(column), pad));
  }).join("\n");
}
