/**
 * `gpioagg set-rule`.
 *
 * @module
 */
import type { RuleChangeState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import {
  CHANGEABLE_RULES,
  type ChangeableRule,
} from "../../config/values/rule_changes.ts";
import { RULES } from "../../config/values/rules.ts";
import { parseValue, readValue } from "../../config/values/values.ts";
import { keyHint, suggestedKey } from "../../text/arguments.ts";
import { printableJson } from "../../text/printable.ts";
import { refusedAs } from "../arguments/refused_as.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { displayName, findLine, noSuchLine } from "../live/line_names.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import { writeOutput } from "../output/output.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";

/** Value that takes a rule away. */
const NO_RULE = "none";

/** The command line. */
export const USAGE = {
  name: "set-rule",
  synopsis: ["NAME.LINE KEY=VALUE... [--json]"],
  about:
    `Changes rules of a line, under its guest. LINE is a name or number; the
aggregator is one that a client created (gpioagg create, run --attach): rules of
the service's own configuration change there, with gpioagg reload. KEY is a key
of a SPEC: direction, initial, safe, on-disconnect, safe-after or min-interval;
with the VALUE none the line is as without it.

The change is kept across a restart of the service, as the aggregator is.`,
  operands: ["served-line", "rule-change"],
  options: {
    json: JSON_OPTION,
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Keys of the control API by those of a SPEC. */
const API_KEYS: Readonly<Record<ChangeableRule, keyof RuleChangeState>> = {
  "direction": "direction",
  "initial": "initial",
  "safe": "safe",
  "on-disconnect": "onDisconnect",
  "safe-after": "safeAfter",
  "min-interval": "minInterval",
};

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [word, ...texts] = given.rest;
  if (word === undefined || texts.length === 0) {
    throw new ConfigError("missing NAME.LINE or KEY=VALUE argument", {
      hint: "gpioagg set-rule press.RELAY safe=1 min-interval=200ms",
    });
  }
  const change = readChange(texts);
  const client = await serviceOfLines([word], given.api, "change");
  const aggregators = await client.list();
  const found = findLine(word, aggregators);
  if (found === undefined) throw noSuchLine(word, aggregators);
  const { aggregator, line } = found;
  const key = String(line.lineNumber);
  const changed = await client.changeRules(aggregator, { [key]: change })
    .catch((error) => refusedAs(error, (path) => quoteArgument(path, word)));
  if (given.json) {
    const { rules = {} } = changed.lines[line.lineNumber]!;
    const name = displayName(line);
    writeOutput(printableJson({ aggregator, line: name, rules }));
  }
  return 0;
}

/** Returns what the user wrote for a path in the request: the line, a key. */
function quoteArgument(path: string, word: string): string {
  const [, key = ""] = /^rules\.[^.]+\.?(.*)$/.exec(path) ?? [];
  const rule = CHANGEABLE_RULES.find((one) => API_KEYS[one] === key);
  return rule === undefined ? word : `${word} ${rule}`;
}

/** Reads `KEY=VALUE` words. */
function readChange(texts: readonly string[]): RuleChangeState {
  const change: Record<string, unknown> = {};
  for (const text of texts) {
    const equals = text.indexOf("=");
    const key = equals < 0 ? text : text.slice(0, equals);
    if (!isChangeable(key)) throw unknownKey(key);
    const name = API_KEYS[key];
    if (equals < 0) {
      throw new ConfigError(`the key "${key}" has no value`, {
        hint: `Write ${key}=…: ${RULES[key].help}; or ${key}=${NO_RULE}`,
      });
    }
    if (change[name] !== undefined) {
      throw new ConfigError(`the key "${key}" is given twice`);
    }
    change[name] = parseRule(key, text.slice(equals + 1));
  }
  return change;
}

function parseRule(key: ChangeableRule, text: string): unknown {
  if (text === NO_RULE) return null;
  readValue<unknown>(RULES[key].kind, text, (problem, hint = "") => {
    throw new ConfigError(problem, { hint });
  }, `${key}=${text}`);
  return key === "safe" || key === "initial" ? parseValue(text) ?? text : text;
}

function isChangeable(key: string): key is ChangeableRule {
  return CHANGEABLE_RULES.some((one) => one === key);
}

function unknownKey(key: string): ConfigError {
  if (key.includes(".")) {
    return new ConfigError(`"${key}" is not a KEY=VALUE`, {
      hint: "One line at a time, and it comes first: gpioagg set-rule " +
        "press.RELAY safe=1",
    });
  }
  if (Object.hasOwn(RULES, key)) {
    return new ConfigError(`the rule "${key}" cannot change under a guest`, {
      hint: "Remove the aggregator and create it again",
    });
  }
  const suggestion = suggestedKey(key, CHANGEABLE_RULES);
  return new ConfigError(`unknown key "${key}"`, {
    hint: keyHint(suggestion, CHANGEABLE_RULES),
  });
}
