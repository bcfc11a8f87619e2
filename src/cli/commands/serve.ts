/**
 * `gpioagg serve`.
 *
 * @module
 */
import { ConfigError, toProblem } from "../../config/document/config_error.ts";
import { SPEC_KEYS } from "../../config/spec/line_spec.ts";
import type { ApiSpecification } from "../../config/specification.ts";
import type {
  AggregatorDescription,
  ServiceEvent,
} from "../../service/messages/messages.ts";
import type { ApiSettings } from "../../service/api/server.ts";
import type { ReloadAnswer } from "../../service/reload.ts";
import type { Standby } from "../../service/standby/spare.ts";
import type { ApiPaths } from "../../service/service.ts";
import { absolutePath } from "../arguments/absolute_path.ts";
import { AuditFile } from "../output/audit_file.ts";
import { INVALID_FILE, writeConfigErrors } from "../output/config_errors.ts";
import { reloadLines } from "../output/reload_text.ts";
import {
  flushOutput,
  writeError,
  writeInBackground,
  writeOutput,
} from "../output/output.ts";
import {
  readServeArguments,
  type ServeArguments,
} from "../arguments/serve_arguments.ts";
import { SERVE_OPTIONS } from "../arguments/serve_options.ts";
import { RecordFile } from "../output/record_file.ts";
import { helpText } from "../usage/help_text.ts";
import type { CommandUsage } from "../usage/usage.ts";
import { printableError, printableJson } from "../../text/printable.ts";

/** Time limit of writing the last lines. **Units**: ms. */
const FLUSH_LIMIT_MS = 1000;

const KEY_WIDTH = Math.max(...Object.keys(SPEC_KEYS).map((key) => key.length));

/** The command line. */
export const USAGE = {
  name: "serve",
  synopsis: [
    "--socket-path PATH --line SPEC... [--name NAME] " +
    "[--socket-path PATH --line SPEC...]...",
    "--config FILE",
  ],
  about:
    `Serves each group of lines as one virtio-gpio controller at a vhost-user
socket, for any VMM, until SIGTERM or SIGINT. When a VMM disconnects, the next
one can connect; the lines stay requested.`,
  operands: [],
  options: SERVE_OPTIONS,
  after:
    `The PATH of a socket, and DIR for the sockets made there, can be followed by the
permissions: PATH,mode=660,owner=USER,group=GROUP. By default the service's user
and group can use VMM sockets and the look-only socket, and only the user --api.
Nothing is ever served on a network.

A SPEC names lines, then their rules:
  CHIP/OFFSETS[,KEY=VALUE...]  gpiochip0/0-7,9 or soc-gpio/4 or 2/1
  LINE_NAME[,KEY=VALUE...]     ESTOP,active-low
  sim/N[,KEY=VALUE...]         N simulated lines: no GPIO needed
  wire/AGGREGATOR.LINE         an input that follows that output
  copy/LINE, invert/LINE       an input with that line's value, or its opposite
  const/0, const/1             an input that never changes
CHIP is a name, number, /dev path or label, or a stable identity:
usb-serial:FT123+lines:8/0-7, i2c:1-0020/4, label:soc-gpio/LINE_NAME, also
device-tree: and device: paths (gpioagg info --ids shows them). The keys:
${
      Object.entries(SPEC_KEYS).map(([key, text]) =>
        `  ${key.padEnd(KEY_WIDTH)}  ${text}`
      ).join("\n")
    }

The guest's "high" is active: active-low inverts on the host's side. Without
direction= the guest chooses; a line is taken as it is until a user drives
it. safe= implies on-disconnect=safe; otherwise a line keeps its state.`,
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readServeArguments(args);
  const { help, printCapabilities } = given;
  if (help) {
    writeOutput(helpText(USAGE));
    return 0;
  }
  if (printCapabilities) {
    writeOutput(printableJson({ type: "gpio", features: [] }));
    return 0;
  }
  // Guests depend on this process: from here on it does not wait for readers.
  writeInBackground();
  if (given.standby) {
    const { keepService } = await import("../standby/keep_service.ts");
    return await keepService(args);
  }
  return await serveGiven(given, {});
}

/** Serves as a process that its keeper started, with the same arguments. */
export async function serveAs(
  args: readonly string[],
  standby: Standby,
): Promise<number> {
  const { manager, end, handedOver } = standby;
  return await serveGiven(readServeArguments(args), {
    manager,
    end,
    handedOver,
  });
}

/**
 * Does ahead what {@linkcode serveAs} needs: loads it, and unless it is to serve
 * already, runs it once.
 */
export async function warmUp(
  args: readonly string[],
  isToServe: () => boolean,
): Promise<void> {
  writeInBackground();
  const given = readServeArguments(args);
  const { serve } = await import("../../service/service.ts");
  const { startReactorThread, warmUpReactor } = await import(
    "../../service/reactor/reactor_thread.ts"
  );
  await startReactorThread();
  if (isToServe()) return;
  let hasApi = given.api !== undefined || given.apiLook !== undefined;
  try {
    if (given.config !== undefined) {
      const { readConfig } = await import("../arguments/read_config.ts");
      const result = readConfig(given.config, { fromPipe: false });
      hasApi ||= "specification" in result &&
        result.specification.api !== undefined;
    }
    const { warmUpService } = await import("../standby/warm_up.ts");
    await warmUpReactor(() => warmUpService(serve, hasApi));
  } catch (error) {
    // It can serve all the same, if the file can be read by then.
    writeError(`the spare process is not warm: ${printableError(error)}`);
  }
}

async function serveGiven(
  given: ServeArguments,
  standby: Partial<Omit<Standby, keyof Disposable>>,
): Promise<number> {
  if (given.config !== undefined) {
    return await serveFile(given.config, given, standby);
  }
  const { json, aggregators } = given;
  const api = apiSettings(given);
  if (aggregators.length === 0 && api === undefined) {
    throw new ConfigError("nothing to serve", {
      hint: "gpioagg serve --socket-path PATH --line SPEC...; " +
        "sim/8 is a SPEC for eight simulated lines",
    });
  }
  const { serve } = await import("../../service/service.ts");
  try {
    await serve(
      [...aggregators],
      json ? jsonEvents : textEvents,
      {
        ...standby,
        ...(api === undefined ? {} : { api }),
        ...(given.record === undefined ? {} : { record: given.record }),
      },
    );
  } finally {
    await flush();
  }
  return 0;
}

/** Serves a configuration file, and reads it again on request. */
async function serveFile(
  file: string,
  given: ServeArguments,
  standby: Partial<Omit<Standby, keyof Disposable>>,
): Promise<number> {
  // Loaded only for a file: `serve` without one needs no YAML.
  const { readConfig } = await import("../arguments/read_config.ts");
  const first = readConfig(file);
  if ("errors" in first) {
    writeConfigErrors(first.errors);
    return 2;
  }
  const { specification } = first;
  const api = apiSettings(given, specification.api);
  // An option says nothing of the file.
  const record = specification.record === undefined
    ? given.record
    : { ...specification.record, ...given.record };
  const recordSink = record?.file === undefined || record.keep === 0
    ? undefined
    : RecordFile.open(record.file.path);
  const events = given.json ? jsonEvents : textEvents;
  const { serve } = await import("../../service/service.ts");
  try {
    await serve([...specification.aggregators], events, {
      ...standby,
      configuration: {
        first: specification,
        read: () => readConfig(file, { fromPipe: false }),
      },
      ...(api === undefined ? {} : { api }),
      ...(record === undefined ? {} : { record }),
      ...(recordSink === undefined ? {} : { recordSink }),
    });
  } finally {
    await flush();
  }
  return 0;
}

/**
 * Returns the control API of options and file; undefined if there is none. An
 * option overrides the file.
 */
function apiSettings(
  given: ServeArguments,
  file: ApiSpecification = {},
): ApiSettings | undefined {
  const { json } = given;
  const socket = given.api ?? file.socket;
  const look = given.apiLook ?? file.look;
  const sockets = given.apiSockets ?? file.sockets;
  const qemuSockets = given.apiQemuSockets.length > 0
    ? given.apiQemuSockets
    : file.qemuSockets;
  const auditLog = given.auditLog ?? file.auditLog;
  const first = socket ?? look;
  if (first === undefined) {
    const stray = sockets !== undefined
      ? "--api-sockets"
      : qemuSockets !== undefined
      ? "--api-qemu-sockets"
      : auditLog !== undefined
      ? "--audit-log"
      : undefined;
    if (stray === undefined) return undefined;
    throw new ConfigError("requires a control API", {
      path: stray,
      hint: "Add --api PATH",
    });
  }
  return {
    ...(socket === undefined ? {} : { change: socket }),
    ...(look === undefined ? {} : { look }),
    creation: {
      socketDirectory: sockets?.path ?? absoluteDirectory(first.path),
      socketAccess: sockets?.access ?? {},
      ...(qemuSockets === undefined ? {} : { qemuSockets }),
    },
    audit: auditLog === undefined
      ? (line) => json ? writeOutput(line) : writeError(`audit: ${line}`)
      : auditWriter(auditLog),
  };
}

/** Returns the directory of a file as an absolute path. */
function absoluteDirectory(path: string): string {
  const whole = absolutePath(path);
  return whole.slice(0, whole.lastIndexOf("/")) || "/";
}

/** The audit log, if it is a file. */
let auditFile: AuditFile | undefined;

function auditWriter(path: string): (line: string) => Promise<void> {
  const file = AuditFile.open(path, { tell: writeError });
  auditFile = file;
  return (line) => file.write(line);
}

/** Waits a moment until the reported lines are written, the audit log first. */
async function flush(): Promise<void> {
  await auditFile?.flush(FLUSH_LIMIT_MS);
  await flushOutput(FLUSH_LIMIT_MS);
}

const jsonEvents = {
  flush,
  ready(aggregators: readonly AggregatorDescription[], api?: ApiPaths) {
    writeOutput(printableJson({
      event: "ready",
      aggregators,
      ...(api === undefined ? {} : { api: wholePaths(api) }),
    }));
  },
  event(event: ServiceEvent) {
    writeOutput(printableJson(event));
  },
  problem(text: string) {
    writeOutput(printableJson({ event: "problem", detail: text }));
  },
  reloaded(answer: ReloadAnswer) {
    writeOutput(printableJson({
      event: "reloaded",
      ...("errors" in answer
        ? { errors: answer.errors.map(toProblem) }
        : answer.outcome),
    }));
  },
};

const textEvents = {
  flush,
  problem: writeError,
  ready(aggregators: readonly AggregatorDescription[], api?: ApiPaths) {
    for (const { name, lines, presentation, socketPath } of aggregators) {
      const count = lines.length === 1 ? "1 line" : `${lines.length} lines`;
      const shown = socketPath === undefined
        ? presentation
        : `at ${fromHere(socketPath)}`;
      writeError(`${name}: serving ${count} ${shown}`);
    }
    if (api === undefined) return;
    const { socket, look } = wholePaths(api);
    const places = [
      ...(socket === undefined ? [] : [fromHere(socket)]),
      ...(look === undefined ? [] : [`${fromHere(look)} (for reading only)`]),
    ];
    writeError(`control API at ${places.join(" and ")}`);
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
      writeError(INVALID_FILE);
    } else for (const line of reloadLines(answer.outcome)) writeError(line);
  },
};

function wholePaths({ socket, look }: ApiPaths): ApiPaths {
  return {
    ...(socket === undefined ? {} : { socket: absolutePath(socket) }),
    ...(look === undefined ? {} : { look: absolutePath(look) }),
  };
}

/** Returns the path of a socket, relative if it is in this directory. */
function fromHere(path: string): string {
  const here = `${Deno.cwd()}/`;
  // At the root, where services are started, paths are not shortened.
  return here !== "//" && path.startsWith(here)
    ? path.slice(here.length)
    : path;
}

const EVENT_WORDS: Readonly<Record<ServiceEvent["event"], string>> = {
  connected: "VMM connected",
  disconnected: "VMM disconnected",
  started: "guest driver started",
  stopped: "guest driver stopped",
  gone: "guest gone",
  waiting: "another VMM waits",
  fault: "fault",
  refused: "refused",
  silent: "guest silent",
  enforced: "rule holds again",
  forced: "forced",
  unforced: "not forced any more",
  unplugged: "chip removed",
  plugged: "chip returned",
};
