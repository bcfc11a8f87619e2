/**
 * `gpioagg run`: serves lines to a VM for as long as it runs.
 *
 * @module
 */
import { readLink } from "../../../ffi/files.ts";
import { ownCommand } from "../../../ffi/own_command.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import {
  type AggregatorSpecification,
  usbredirSockets,
} from "../../config/specification.ts";
import {
  declaredState,
  ReactorClient,
} from "../../service/reactor/reactor_client.ts";
import { RESPAWN_RULES, type RespawnRule } from "../../vm/respawn_policy.ts";
import { reportUnexpected } from "../../service/unexpected.ts";
import { checkProgram, runVm } from "../../vm/vm.ts";
import { VmGuardian } from "../../vm/guardian.ts";
import { VmSignals } from "../../vm/signals.ts";
import { attach, type Attached, takeAttach } from "./attach.ts";
import {
  flushOutput,
  writeError,
  writeInBackground,
  writeOutput,
} from "../output/output.ts";
import { makePrivateDirectory } from "../private_directory.ts";
import { checkPlaceholders } from "../../vm/placeholder_checks.ts";
import { reconnectOption } from "../../vm/qemu_reconnect.ts";
import { withPinSockets } from "../arguments/qemu_pins_argument.ts";
import { withAdapterSockets } from "../arguments/usbredir_argument.ts";
import { readArguments } from "../arguments/arguments.ts";
import { readServeArguments } from "../arguments/serve_arguments.ts";
import { AGGREGATOR_OPTIONS } from "../arguments/serve_options.ts";
import { helpText } from "../usage/help_text.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  type Options,
} from "../usage/usage.ts";
import {
  fillPlaceholders,
  PLACEHOLDERS,
  type VmAdapter,
  type VmSocket,
} from "../../vm/vmm_arguments.ts";

/**
 * Time during which the guardian retries lines that refuse their safe state.
 */
const GUARDIAN_RETRY = "600s";
const HOW = "gpioagg run --line SPEC...|--attach NAME -- VMM ARGUMENT...";

const PLACEHOLDER_WIDTH = Math.max(
  ...Object.keys(PLACEHOLDERS).map((name) => name.length),
);

/** The command line. */
export const USAGE = {
  name: "run",
  synopsis: [
    "[--respawn[=always|on-failure]] --line SPEC... " +
    "[--socket-path PATH [--name NAME]]... -- VMM ARGUMENT...",
    "[--respawn[=RULE]] --attach NAME... -- VMM ARGUMENT...",
  ],
  about:
    `Serves lines as gpioagg serve does, and runs the VMM that uses them: on this
terminal, with signals forwarded to it. While no VM runs, lines with a safe
value have it. The exit status is the VMM's, or 128 plus the signal's number.
SIGTERM, SIGHUP, SIGINT and SIGQUIT end it, also before there is a VM: a VMM that
continues gets SIGTERM after 5 s, and is killed after 15 s. After each VMM the
terminal's settings are restored. A VMM must stay in the foreground: one that
goes to the background counts as ended.

The options that describe lines are those of gpioagg serve. Without PATH
(--usbredir device=DEVICE) the sockets are private ones, and the VMM must get
them by one of the placeholders below.`,
  operands: ["program"],
  options: {
    respawn: {
      kind: "optional",
      value: "RULE",
      help:
        "start the VM again when it ends: always, or on-failure (a status " +
        "other than 0, or a signal); after 0.1 s at first, up to 30 s if it " +
        "keeps ending within 10 s",
      completes: ["always", "on-failure"],
    },
    attach: {
      kind: "values",
      value: "NAME|PATH",
      help: "use an aggregator of a running service (gpioagg list), or the " +
        "vhost-user socket at PATH, instead of own lines or beside them; its " +
        "lines belong to the service",
      completes: "aggregator",
    },
    api: { ...API_OPTION, help: "that service's control socket, or its name" },
    ...AGGREGATOR_OPTIONS,
    help: HELP_OPTION,
  },
  after: `Placeholders in the VMM's arguments (also a script's: vm.sh {socket}):
${
    Object.entries(PLACEHOLDERS).map(([name, text]) =>
      `  ${name.padEnd(PLACEHOLDER_WIDTH)}  ${text}`
    ).join("\n")
  }

When gpioagg itself dies, even by SIGKILL, the guest's device is dead at once:
the kernel releases the lines as they are. A small guardian process, which runs
from before the lines are requested until they are released, then puts lines with
a safe value (or on-disconnect=input) into that state and ends the VM: SIGTERM,
and SIGKILL three seconds later; simulated lines have ended anyway. A guardian
that is killed is replaced, and one that is stopped goes on within a second or two.
If both are killed at once, no process is left to make the lines safe: they stay
as their chips' drivers leave them. The kernel then sends SIGTERM to the VM, if
there is a setpriv with --pdeathsig (util-linux has it, busybox does not) and the
VMM was not started through sudo or the like; otherwise the VM runs on without
its lines.`,
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  const [word, ...vmmArgs] = end < 0 ? [] : args.slice(end + 1);
  // An empty word is a variable of a script that was not set.
  const program = word || undefined;
  const { respawn, rest: others } = takeRespawn(own);
  const attachments = takeAttach(others);
  const { rest } = attachments;
  refuseServiceSwitches(rest);
  // Before anything else that is missing: it is probably a slip of that.
  readArguments(rest, repeated(USAGE.options));
  const hasLines = attachments.targets.length > 0 ||
    rest.some((arg) => /^(--line(=.*)?|--help|-h)$/s.test(arg));
  if (!hasLines) {
    const problem = program === undefined
      ? "no VMM to run"
      : "the VM has no lines";
    throw new ConfigError(problem, { hint: HOW });
  }
  writeInBackground();
  using _unexpected = reportUnexpected(writeError);
  // From here on there is something to remove at the end.
  using signals = new VmSignals(writeError);
  // An absolute path without $TMPDIR: other processes remove it too.
  const directory = makePrivateDirectory("gpioagg-run-");
  try {
    // With --attach alone it has no lines of its own.
    const isSocketPrivate = !hasSocket(rest) &&
      (attachments.targets.length === 0 || rest.length > 0);
    const { help, aggregators } = readServeArguments([
      ...isSocketPrivate ? privateSocket(vmmArgs, `${directory}/vm.sock`) : [],
      ...withAdapterSockets(withPinSockets(rest, directory), directory),
    ], HOW);
    if (help) {
      writeOutput(helpText(USAGE));
      return 0;
    }
    if (program === undefined) {
      throw new ConfigError("no VMM to run", { hint: HOW });
    }
    await checkProgram(program);
    const attached = await attach(attachments);
    const adapters = listAdapters(aggregators, attached);
    const filled = fillPlaceholders(vmmArgs, {
      sockets: listSockets(aggregators, attached),
      cards: [
        ...aggregators.flatMap(({ name, vfioUser }) =>
          vfioUser === undefined ? [] : [{ name, path: vfioUser.socketPath }]
        ),
        ...attached.cards,
      ],
      adapters,
      reconnect: adapters.some(({ connects }) => connects !== true)
        ? await reconnectOption(program)
        : "",
      pins: [
        ...aggregators.flatMap(({ qemuPins }) => qemuPins ?? []),
        ...attached.pins,
      ],
      arePinsPrivate: aggregators.some(({ qemuPins }) =>
        qemuPins?.qtest.startsWith(`${directory}/`)
      ),
      areAdaptersPrivate: aggregators.some(({ usbredir }) =>
        usbredir?.socketPath.startsWith(`${directory}/`)
      ),
    });
    checkPlaceholders(vmmArgs, isSocketPrivate);
    const command: Run["command"] = [program, ...filled];
    return await runWith({ aggregators, command, respawn, directory, signals });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Time limit of the last messages. **Units**: milliseconds. */
const FLUSH_LIMIT_MS = 200;

interface Run {
  aggregators: AggregatorSpecification[];
  command: [string, ...string[]];
  respawn: RespawnRule;
  /** Directory of the private sockets. */
  directory: string;
  signals: VmSignals;
}

async function runWith(
  { aggregators, command, respawn, directory, signals }: Run,
): Promise<number> {
  // Started first and ended last, so that the lines are made safe whenever this
  // process dies.
  await using guardian = await VmGuardian.start({
    ...whatIsLeft(aggregators),
    workingDirectory: workingDirectory(),
    directory,
    report: writeError,
  });
  // A QEMU that does not know the device says no more than that.
  const unused = new Set(
    aggregators.filter(({ vfioUser }) => vfioUser !== undefined)
      .map(({ name }) => name),
  );
  const vm = () =>
    runVm({
      command,
      respawn,
      guardian,
      signals,
      report: writeError,
      adviceAfterFailure: () => unused.size > 0 ? CARD_ADVICE : undefined,
    });
  if (aggregators.length === 0) return await vm();
  using reactor = await ReactorClient.start({
    service: ({ aggregator, event, detail }) => {
      if (event === "connected") unused.delete(aggregator);
      if (event === "fault") writeError(`${aggregator}: fault: ${detail}`);
      if (event === "enforced") {
        writeError(`${aggregator}: rule holds again: ${detail}`);
      }
      // Not faults, but possibly unexpected.
      if (event === "connected" && detail !== "") {
        writeError(`${aggregator}: ${detail}`);
      }
    },
    idle: () => {},
    problem: writeError,
    crashed: ({ message }) => void exitWithError(message),
  });
  const added = reactor.add(aggregators);
  // A stop request does not wait for a chip.
  await Promise.race([added, signals.ending]);
  try {
    return await vm();
  } finally {
    // Lines that were never requested need not be made safe.
    const end = added.then(() => reactor.shutdown(), () => {});
    await declaredState(end).catch((error) => exitWithError(error.message));
  }
}

const CARD_ADVICE = "It has not connected to its PCI card, which needs QEMU " +
  "10.1 or newer; gpioagg doctor --qemu PROGRAM examines a QEMU";

/** Directory of this process; / if it has been removed. */
function workingDirectory(): string {
  return readLink("/proc/self/cwd")?.replace(/ \(deleted\)$/, "") ?? "/";
}

/**
 * Ends this process. The lines are its own as long as it lives: at its end the
 * guardian makes them safe, and ends the VM.
 */
async function exitWithError(message: string): Promise<never> {
  writeError(message);
  await flushOutput(FLUSH_LIMIT_MS);
  Deno.exit(1);
}

/** Removes `--respawn[=RULE]` from the arguments, at any position. */
function takeRespawn(
  args: readonly string[],
): { respawn: RespawnRule; rest: string[] } {
  let respawn: RespawnRule = "never";
  const rest: string[] = [];
  for (const arg of args) {
    const match = /^--respawn(?:=(.*))?$/.exec(arg);
    if (match === null) {
      rest.push(arg);
      continue;
    }
    const rule = RESPAWN_RULES.find((known) =>
      known === (match[1] ?? "always")
    );
    if (rule === undefined) {
      throw new ConfigError(`"${match[1]}" is not a valid rule`, {
        path: "--respawn",
        hint: `Write --respawn=${RESPAWN_RULES.join(" or --respawn=")}`,
      });
    }
    respawn = rule;
  }
  return { respawn, rest };
}

/** Options of `serve` that do not apply to a VM's own aggregators. */
const OF_SERVICE =
  /^--(config|json|api|api-look|api-sockets|api-qemu-sockets|audit-log|record|print-capabilities)(=|$)/;

/** Options of one aggregator may be repeated: there can be several. */
function repeated(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => [
      name,
      option.kind === "value" ? { ...option, kind: "values" } : option,
    ]),
  );
}

/** @throws {ConfigError} If there is one of them: none is ignored. */
function refuseServiceSwitches(args: readonly string[]): void {
  const [, name] = args.map((arg) => OF_SERVICE.exec(arg))
    .find((match) => match !== null) ?? [];
  if (name === undefined) return;
  throw new ConfigError("applies to a service, and not to gpioagg run", {
    path: `--${name}`,
    hint: "Use gpioagg serve, and start the VM beside it",
  });
}

/** Returns true if the user chose a socket; otherwise a private one is made. */
function hasSocket(args: readonly string[]): boolean {
  return args.some((arg) =>
    /^--(socket-path|qemu-pins|vfio-user|usbredir)(=|$)/.test(arg)
  );
}

/** Returns the options of the socket that is made where none is named. */
function privateSocket(vmmArgs: readonly string[], path: string): string[] {
  if (vmmArgs.includes("{vfio-user}")) return ["--vfio-user", path];
  return vmmArgs.includes("{usbredir}")
    // Any QEMU can listen, and each new one does.
    ? ["--usbredir", `${path},connect`]
    : ["--socket-path", path];
}

/** Returns all adapters on USB, in order. */
function listAdapters(
  aggregators: readonly AggregatorSpecification[],
  { adapters }: Attached,
): VmAdapter[] {
  const own = aggregators.flatMap(({ usbredir, lines }) =>
    usbredir === undefined ? [] : [{
      ...usbredir,
      sockets: usbredirSockets(usbredir, lines.length),
    }]
  );
  return [...own, ...adapters].flatMap(({ sockets, device, connects }) =>
    sockets.map((path) => ({ path, device, connects: connects === true }))
  );
}

/** @throws {ConfigError} If two have the same name. */
function listSockets(
  aggregators: readonly AggregatorSpecification[],
  { sockets }: Attached,
): VmSocket[] {
  const own = aggregators.filter(({ qemuPins, vfioUser, usbredir }) =>
    (qemuPins ?? vfioUser ?? usbredir) === undefined
  ).map(vmSocket);
  const both = sockets.find(({ name }) => own.some((one) => one.name === name));
  if (both !== undefined) {
    throw new ConfigError(
      `this VM has an aggregator "${both.name}" of its own`,
      {
        path: `--attach ${both.name}`,
        hint: "Give the own one another name with --name",
      },
    );
  }
  return [...own, ...sockets];
}

function vmSocket({ name, vhostUser }: AggregatorSpecification): VmSocket {
  if (vhostUser === undefined || "fd" in vhostUser) {
    throw new ConfigError("a VM gets sockets by path, not by fd", {
      path: name,
      hint: "Omit --fd: without --socket-path the socket is private",
    });
  }
  return { name, path: vhostUser.socketPath };
}

/**
 * Returns the guardian's actions on the lines after the death of this process:
 * it puts those into their safe state that have one and that outlive a process.
 */
function whatIsLeft(
  aggregators: readonly AggregatorSpecification[],
): { safeCommand: string[]; linesLeft: string } {
  const specs = new Set<string>();
  let hostCount = 0;
  if (aggregators.length === 0) {
    return { linesLeft: "its lines belong to the service", safeCommand: [] };
  }
  for (const { lines } of aggregators) {
    for (const { onDisconnect, origin, source } of lines) {
      if (source.kind !== "chip" && source.kind !== "line-name") continue;
      hostCount++;
      if (onDisconnect !== "keep") specs.add(origin);
    }
  }
  return {
    linesLeft: hostCount === 0
      ? "its lines were simulated, and have ended with it"
      : "its lines have no safe state, and are left as they are",
    safeCommand: specs.size === 0 ? [] : safeCommand(specs),
  };
}

function safeCommand(specs: ReadonlySet<string>): string[] {
  const { path, argv: [, ...program] } = ownCommand(Deno.args.length);
  return [
    path,
    ...program,
    "safe",
    // A line that no guest drove needs nothing.
    "--leave-inputs",
    // No other process is left that could do it.
    "--retry-for",
    GUARDIAN_RETRY,
    ...[...specs].flatMap((spec) => ["--line", spec]),
  ];
}
