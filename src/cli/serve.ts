/**
 * `gpioagg serve`.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { SPEC_KEYS } from "../config/line_spec.ts";
import type { ApiSpecification } from "../config/specification.ts";
import type {
  AggregatorDescription,
  ServiceEvent,
} from "../daemon/messages.ts";
import type { ApiSettings } from "../daemon/api/server.ts";
import type { ReloadAnswer } from "../daemon/reload.ts";
import { serve } from "../daemon/service.ts";
import { absolutePath } from "./absolute_path.ts";
import { errorJson, writeConfigErrors } from "./config_errors.ts";
import { reloadLines } from "./reload_text.ts";
import { writeError, writeOutput } from "./output.ts";
import { readServeArguments, type ServeArguments } from "./serve_arguments.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readServeArguments(args);
  const { help, json, printCapabilities, aggregators } = given;
  if (help) {
    writeOutput(helpText());
    return 0;
  }
  if (printCapabilities) {
    writeOutput(JSON.stringify({ type: "gpio", features: [] }));
    return 0;
  }
  if (given.config !== undefined) return await serveFile(given.config, given);
  const api = apiSettings(given);
  if (aggregators.length === 0 && api === undefined) {
    throw new ConfigError("nothing to serve", {
      hint: "gpioagg serve --socket-path PATH --line SPEC...; " +
        "sim/8 is a SPEC for eight simulated lines",
    });
  }
  await serve(
    [...aggregators],
    json ? jsonEvents : textEvents,
    api === undefined ? {} : { api },
  );
  return 0;
}

/** Serves what a configuration file says, and says it again on demand. */
async function serveFile(
  file: string,
  given: ServeArguments,
): Promise<number> {
  // Loaded for those who have a file: `serve` without one needs no YAML.
  const { readConfig } = await import("./read_config.ts");
  const first = readConfig(file);
  if ("errors" in first) {
    writeConfigErrors(first.errors);
    return 2;
  }
  const { specification } = first;
  const api = apiSettings(given, specification.api);
  const events = given.json ? jsonEvents : textEvents;
  await serve([...specification.aggregators], events, {
    configuration: { first: specification, read: () => readConfig(file) },
    ...(api === undefined ? {} : { api }),
  });
  return 0;
}

/**
 * What switches and file say about a control API; undefined if nothing. Each
 * switch wins over the file.
 */
function apiSettings(
  given: ServeArguments,
  file: ApiSpecification = {},
): ApiSettings | undefined {
  const { json } = given;
  const socket = given.api ?? file.socket;
  const look = given.apiLook ?? file.look;
  const sockets = given.apiSockets ?? file.sockets;
  const auditLog = given.auditLog ?? file.auditLog;
  const first = socket ?? look;
  if (first === undefined) {
    if (sockets === undefined && auditLog === undefined) return undefined;
    throw new ConfigError("is for a control API, and none is asked for", {
      path: sockets === undefined ? "--audit-log" : "--api-sockets",
      hint: "Add --api PATH",
    });
  }
  return {
    ...(socket === undefined ? {} : { change: socket }),
    ...(look === undefined ? {} : { look }),
    creation: {
      socketDirectory: sockets?.path ?? directoryOf(first.path),
      socketAccess: sockets?.access ?? {},
    },
    audit: auditLog === undefined
      ? (line) => json ? writeOutput(line) : writeError(`audit: ${line}`)
      : auditFile(auditLog),
  };
}

/**
 * The writer of an audit log.
 *
 * @throws {Error} If the file cannot be written: that is told now, and not at
 * the first change.
 */
function auditFile(file: string): (line: string) => void {
  const append = (text: string) => {
    try {
      Deno.writeTextFileSync(file, text, { append: true, mode: 0o600 });
    } catch (cause) {
      throw new Error(
        `Cannot write to the audit log ${file}: ${reasonOf(cause)}`,
        { cause },
      );
    }
  };
  append("");
  return (line) => {
    try {
      append(`${line}\n`);
    } catch (error) {
      // What was done is done: a full disk shall not leave it half done.
      writeError(error instanceof Error ? error.message : String(error));
      writeError(`audit: ${line}`);
    }
  };
}

/** The kernel's reason, out of what Deno says of it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [reason = ""] = error.message.split(" (os error ");
  const code = "code" in error ? ` (${error.code})` : "";
  return `${reason.slice(0, 1).toLowerCase()}${reason.slice(1)}${code}`;
}

/** The directory of a file, from the root on. */
function directoryOf(path: string): string {
  const whole = absolutePath(path);
  return whole.slice(0, whole.lastIndexOf("/")) || "/";
}

const jsonEvents = {
  ready(aggregators: readonly AggregatorDescription[]) {
    writeOutput(JSON.stringify({ event: "ready", aggregators }));
  },
  event(event: ServiceEvent) {
    writeOutput(JSON.stringify(event));
  },
  problem(text: string) {
    writeOutput(JSON.stringify({ event: "problem", detail: text }));
  },
  reloaded(answer: ReloadAnswer) {
    writeOutput(JSON.stringify({
      event: "reloaded",
      ...("errors" in answer
        ? { errors: answer.errors.map(errorJson) }
        : answer.outcome),
    }));
  },
};

const textEvents = {
  problem: writeError,
  ready(aggregators: readonly AggregatorDescription[]) {
    for (const { name, lines, presentation } of aggregators) {
      const count = lines.length === 1 ? "1 line" : `${lines.length} lines`;
      writeError(`${name}: serving ${count} ${fromHere(presentation)}`);
    }
  },
  event({ aggregator, event, detail }: ServiceEvent) {
    writeError(
      `${aggregator}: ${EVENT_WORDS[event]}${
        detail === "" ? "" : `: ${detail}`
      }`,
    );
  },
  reloaded(answer: ReloadAnswer) {
    if ("errors" in answer) {
      writeConfigErrors(answer.errors);
      writeError("the configuration is not valid: nothing was changed");
    } else for (const line of reloadLines(answer.outcome)) writeError(line);
  },
};

/** For who started it here: a socket in this directory is called as from here. */
function fromHere(presentation: string): string {
  const here = `at ${Deno.cwd()}/`;
  // At the root, where services are started, nothing becomes shorter.
  return here !== "at //" && presentation.startsWith(here)
    ? `at ${presentation.slice(here.length)}`
    : presentation;
}

const EVENT_WORDS: Readonly<Record<ServiceEvent["event"], string>> = {
  connected: "VMM connected",
  disconnected: "VMM gone",
  started: "guest driver started",
  stopped: "guest driver stopped",
  fault: "fault",
  refused: "refused",
  silent: "guest silent",
  unplugged: "chip gone",
  plugged: "chip there",
};

function helpText(): string {
  const width = Math.max(...Object.keys(SPEC_KEYS).map((key) => key.length));
  const keys = Object.entries(SPEC_KEYS).map(([key, text]) =>
    `  ${key.padEnd(width)}  ${text}`
  );
  return `Usage: gpioagg serve --socket-path PATH --line SPEC... [--name NAME]
                     [--socket-path PATH --line SPEC...]...
       gpioagg serve --config FILE

Serves each group of lines as one virtio-gpio controller at a vhost-user
socket, for any VMM, until SIGTERM or SIGINT. A VMM that goes away is followed
by the next one; the lines stay requested.

Every --socket-path, --fd or --qemu-pins begins another aggregator:
  --socket-path PATH    listen there; PATH.control is for gpioagg sim
  --fd N                use the inherited socket N instead, listening or
                        connected; when a connected one ends, so does serve
  --qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]
                        be the pins of a controller (pl061) that a QEMU emulates;
                        PIN is a number, or gpioB0 on an Aspeed: the line NAME
                        is there (pin 0 is the first line, and so on). Both are
                        sockets of QEMU's: -qtest unix:PATH,server=on,wait=off
                        -qtest-log none -qmp unix:PATH,server=on,wait=off; who
                        reaches them owns the machine, so keep them private
  --line SPEC           add lines, in the order in which the guest counts them
  --name NAME           what messages call it (the socket's name)

Or everything comes from a file:
  --config FILE         serve what FILE says (gpioagg check FILE, gpioagg
                        schema); SIGHUP or gpioagg reload reads it again; its
                        api: is overruled by the switches below

Anywhere:
  --json                one JSON object a line on standard output: ready,
                        connected, disconnected, started, stopped, fault,
                        refused, silent, unplugged, plugged, reloaded, problem
  --api PATH            have a control API: gpioagg create, list, watch, …
  --api-look PATH       a second socket of it, where one may only look
  --api-sockets DIR     where created aggregators get their sockets (beside
                        the API's)
  --audit-log FILE      append who changed what through the API, as JSON lines
                        (standard error; also when FILE cannot be written)
  --print-capabilities  say what vhost-user needs to know, as JSON
  -h, --help            this text

Behind the PATH of a socket, and behind DIR for the sockets made there, who may
use it: PATH,mode=660,owner=USER,group=GROUP. Without, VMM sockets and the one
to look at are for the service's user and group, and --api for the user alone.
Nothing is ever served on a network.

A SPEC names lines, then their rules:
  CHIP/OFFSETS[,KEY=VALUE...]  gpiochip0/0-7,9 or soc-gpio/4 or 2/1
  LINE_NAME[,KEY=VALUE...]     ESTOP,active-low
  sim/N[,KEY=VALUE...]         N simulated lines: no GPIO needed
  wire/AGGREGATOR.LINE         an input that follows that output
  copy/LINE, invert/LINE       an input with that line's value, or its opposite
  const/0, const/1             an input that never changes
CHIP is a name, number, /dev path or label, or what it is known by for good:
usb-serial:FT123+lines:8/0-7, i2c:1-0020/4, label:soc-gpio/LINE_NAME, also
device-tree: and device: paths (gpioagg info --ids shows them). The keys:
${keys.join("\n")}

The guest's "high" is active: active-low inverts on the host's side. Without
direction= the guest chooses; a line is taken as it is until somebody drives
it. safe= implies on-disconnect=safe; otherwise a line keeps its state.`;
}
