/**
 * `gpioagg serve`.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { SPEC_KEYS } from "../../config/spec/line_spec.ts";
import type { ApiSpecification } from "../../config/specification.ts";
import type {
  AggregatorDescription,
  ServiceEvent,
} from "../../service/messages/messages.ts";
import type { ApiSettings } from "../../service/api/server.ts";
import type { ReloadAnswer } from "../../service/reload.ts";
import { serve } from "../../service/service.ts";
import { absolutePath } from "../arguments/absolute_path.ts";
import { AuditFile } from "../output/audit_file.ts";
import { errorJson, writeConfigErrors } from "../output/config_errors.ts";
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
import { printableJson } from "../../text/printable.ts";

/** Time limit of writing the last lines. **Units**: ms. */
const FLUSH_LIMIT_MS = 1000;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readServeArguments(args);
  const { help, json, printCapabilities, aggregators } = given;
  if (help) {
    writeOutput(helpText());
    return 0;
  }
  if (printCapabilities) {
    writeOutput(printableJson({ type: "gpio", features: [] }));
    return 0;
  }
  // Guests depend on this process: from here on it does not wait for readers.
  writeInBackground();
  if (given.config !== undefined) return await serveFile(given.config, given);
  const api = apiSettings(given);
  if (aggregators.length === 0 && api === undefined) {
    throw new ConfigError("nothing to serve", {
      hint: "gpioagg serve --socket-path PATH --line SPEC...; " +
        "sim/8 is a SPEC for eight simulated lines",
    });
  }
  try {
    await serve(
      [...aggregators],
      json ? jsonEvents : textEvents,
      api === undefined ? {} : { api },
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
  const events = given.json ? jsonEvents : textEvents;
  try {
    await serve([...specification.aggregators], events, {
      configuration: {
        first: specification,
        read: () => readConfig(file, { fromPipe: false }),
      },
      ...(api === undefined ? {} : { api }),
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
      socketDirectory: sockets?.path ?? directoryOf(first.path),
      socketAccess: sockets?.access ?? {},
      ...(qemuSockets === undefined ? {} : { qemuSockets }),
    },
    audit: auditLog === undefined
      ? (line) => json ? writeOutput(line) : writeError(`audit: ${line}`)
      : auditWriter(auditLog),
  };
}

/** Returns the directory of a file as an absolute path. */
function directoryOf(path: string): string {
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
  ready(aggregators: readonly AggregatorDescription[]) {
    writeOutput(printableJson({ event: "ready", aggregators }));
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
        ? { errors: answer.errors.map(errorJson) }
        : answer.outcome),
    }));
  },
};

const textEvents = {
  flush,
  problem: writeError,
  ready(aggregators: readonly AggregatorDescription[]) {
    for (const { name, lines, presentation, socketPath } of aggregators) {
      const count = lines.length === 1 ? "1 line" : `${lines.length} lines`;
      const shown = socketPath === undefined
        ? presentation
        : `at ${fromHere(socketPath)}`;
      writeError(`${name}: serving ${count} ${shown}`);
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
  unplugged: "chip removed",
  plugged: "chip returned",
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
socket, for any VMM, until SIGTERM or SIGINT. When a VMM disconnects, the next
one can connect; the lines stay requested.

Every --socket-path, --fd, --qemu-pins, --vfio-user or --usbredir begins another
aggregator:
  --socket-path PATH    listen there; PATH.control is for gpioagg sim
  --fd N                use the inherited socket N instead, listening or
                        connected; when a connected one ends, so does serve
  --qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]
                        present the lines as pins of a controller (pl061) that a
                        QEMU emulates; PIN is a number, or gpioB0 on an Aspeed,
                        and gets the line NAME (default: pin 0 the first line, …).
                        Both are sockets of QEMU: -qtest unix:PATH,server=on,wait=off
                        -qtest-log none -qmp unix:PATH,server=on,wait=off; access
                        to them is full control of the VM: keep them private
  --vfio-user PATH      present the lines as a PCI card (ML7213 IOH, up to 109
                        lines) to QEMU 10.1 and newer, which connects there
  --usbredir PATH[,device=ljca|cp2112][,connect]
                        present the lines as GPIO adapters on USB to any QEMU
                        (-device usb-redir), which connects there, or with
                        connect listens there; ljca (Linux 6.7 and newer, x86-64):
                        up to 64 lines; cp2112: 8 lines each, at PATH, PATH.1, …
  --line SPEC           add lines, in the order of the guest's line numbers
  --name NAME           its name in messages (default: the socket's name)
  --isolate             serve this aggregator in a process of its own; before
                        any --socket-path: each of them
  --paused-for PERIOD   time that a stopped vhost-user driver counts as paused;
                        after that its guest counts as gone (3s); keep: no limit

Or with a configuration file:
  --config FILE         serve the aggregators of FILE (gpioagg check FILE, gpioagg
                        schema); SIGHUP or gpioagg reload reads it again; its
                        api: is overridden by the options below

Anywhere:
  --json                one JSON object a line on standard output: ready,
                        connected, disconnected, started, stopped, gone,
                        waiting, fault, refused, silent, enforced, unplugged,
                        plugged, reloaded, problem, lost (count)
  --api PATH            serve a control API: gpioagg create, list, watch, …
  --api-look PATH       a second, read-only socket of it
  --api-sockets DIR     directory of created aggregators' sockets (beside
                        the API's)
  --api-qemu-sockets DIR
                        allow clients to use QEMU sockets below DIR, as create
                        --qemu-pins and --usbredir connect= do (none); may be
                        repeated
  --audit-log FILE      append all changes through the API, as JSON lines
                        (standard error; also when FILE cannot be written)
  --print-capabilities  print the vhost-user capabilities, as JSON
  -h, --help            this text

The PATH of a socket, and DIR for the sockets made there, can be followed by the
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
${keys.join("\n")}

The guest's "high" is active: active-low inverts on the host's side. Without
direction= the guest chooses; a line is taken as it is until a user drives
it. safe= implies on-disconnect=safe; otherwise a line keeps its state.`;
}
