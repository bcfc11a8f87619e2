/**
 * `gpioagg complete-words KIND TEXT [FIRST [STATE]]`: prints the words that
 * begin with TEXT, one a line. Shells call it where they find no answer without
 * it: a kind's modules are loaded only for it; errors print nothing. With STATE,
 * the chips that are there, it remembers their lines for them.
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import { isPrintable } from "../../text/words_file.ts";
import { writeOutput } from "../output/output.ts";
import type { Commands } from "../usage/command.ts";

/** Time that a service gets. **Units**: milliseconds. */
const SERVICE_LIMIT_MS = 1000;

/** Runs the command. */
export async function main(
  [kind = "", text = "", first = "", state = ""]: readonly string[],
  _programName: string,
  commands: Commands,
): Promise<number> {
  const words = await listWords(kind, text, first, commands).catch(() => []);
  const fitting = words.filter((word) =>
    word.startsWith(text) && isPrintable(word)
  );
  if (fitting.length > 0) writeOutput([...new Set(fitting)].join("\n"));
  if (state !== "") {
    const { hostLines } = await import("../completion/host_words.ts");
    const { rememberLines } = await import("../completion/lines_file.ts");
    rememberLines(state, hostLines());
  }
  return 0;
}

async function listWords(
  kind: string,
  text: string,
  first: string,
  commands: Commands,
): Promise<string[]> {
  switch (kind) {
    case "command":
      return Object.keys(commands).filter((name) =>
        commands[name]!.isHidden !== true
      );
    case "chip": {
      const { chipWords } = await import("../completion/host_words.ts");
      return chipWords();
    }
    case "line": {
      const { lineWords } = await import("../completion/host_words.ts");
      return lineWords(text);
    }
    case "line-value": {
      const { lineWords } = await import("../completion/host_words.ts");
      const equals = text.indexOf("=");
      if (equals >= 0) {
        return ["0", "1"].map((value) => text.slice(0, equals + 1) + value);
      }
      return lineWords(text).map((word) =>
        word.endsWith("/") ? word : `${word}=`
      );
    }
    case "spec": {
      const { lineWords } = await import("../completion/host_words.ts");
      const { specWords } = await import("../completion/spec_words.ts");
      return specWords(text, lineWords);
    }
    case "sim":
      return await controlled();
    case "pull":
      return await pulls(text, first);
    case "aggregator":
      return (await aggregators()).map(({ name }) => name);
    case "served-line":
      return await servedLines();
    case "line-condition": {
      const equals = text.lastIndexOf("=");
      const { CONDITION_WORDS } = await import("../live/conditions.ts");
      return equals < 0
        ? (await servedLines()).map((line) => `${line}=`)
        : CONDITION_WORDS.map((word) => text.slice(0, equals + 1) + word);
    }
    case "forced-value": {
      const equals = text.lastIndexOf("=");
      return equals < 0
        ? (await servedLines()).map((line) => `${line}=`)
        : ["0", "1"].map((value) => text.slice(0, equals + 1) + value);
    }
    case "signal-map": {
      const equals = text.indexOf("=");
      return equals < 0
        ? []
        : (await servedLines()).map((line) => text.slice(0, equals + 1) + line);
    }
    case "rule-change": {
      const { ruleWords } = await import("../completion/spec_words.ts");
      return ruleWords(text);
    }
    case "service": {
      const { findServices } = await import("../../client/services.ts");
      return findServices().map(({ name }) => name);
    }
    case "kernel-chip": {
      const { visibleRecords } = await import("../../kernel_chip/records.ts");
      return (await visibleRecords()).map(({ name }) => name);
    }
    default:
      return [];
  }
}

async function controlled(): Promise<string[]> {
  const { controlledNames } = await import(
    "../../service/control/control_names.ts"
  );
  const { serviceDirectories } = await import("../../client/services.ts");
  return controlledNames(serviceDirectories());
}

async function pulls(text: string, name: string): Promise<string[]> {
  const equals = text.lastIndexOf("=");
  if (equals >= 0) {
    return ["0", "1"].map((level) => text.slice(0, equals + 1) + level);
  }
  const { connectControl } = await import("./sim.ts");
  using client = connectControl(name);
  const { aggregator } = client.pull([]);
  return aggregator.lines
    .filter(({ source }) => /^simulated/.test(source))
    .map(({ name, lineNumber }) => `${name || lineNumber}=`);
}

async function servedLines(): Promise<string[]> {
  return (await aggregators()).flatMap(({ name, lines }) =>
    lines.map((line) => `${name}.${line.name || line.lineNumber}`)
  );
}

async function aggregators(): Promise<AggregatorState[]> {
  const { ServiceClient } = await import("../../client/client.ts");
  const { findServices } = await import("../../client/services.ts");
  const found = await Promise.all(
    findServices().map(async ({ api, apiState, look, lookState }) => {
      const path = apiState === "served"
        ? api
        : lookState === "served"
        ? look
        : undefined;
      if (path === undefined) return [];
      const client = new ServiceClient(path, { limitMs: SERVICE_LIMIT_MS });
      try {
        return await client.list();
      } catch {
        // A service that does not answer has no words.
        return [];
      }
    }),
  );
  return found.flat();
}
