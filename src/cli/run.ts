/**
 * `gpioagg run`: a VM with its lines, for as long as it is wanted.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { ConfigError } from "../config/config_error.ts";
import type { AggregatorSpecification } from "../config/specification.ts";
import { declaredState, ReactorClient } from "../daemon/reactor_client.ts";
import { RESPAWN_RULES, type RespawnRule } from "../daemon/respawn_policy.ts";
import { checkProgram, runVm } from "../daemon/vm.ts";
import { VmGuardian } from "../daemon/vm_guardian.ts";
import { VmSignals } from "../daemon/vm_signals.ts";
import { writeError, writeOutput } from "./output.ts";
import { checkPlaceholders } from "./placeholder_checks.ts";
import { withPinSockets } from "./qemu_pins_argument.ts";
import { readServeArguments } from "./serve_arguments.ts";
import {
  fillPlaceholders,
  PLACEHOLDERS,
  type VmSocket,
} from "./vmm_arguments.ts";

const HOW = "gpioagg run --line SPEC... -- VMM ARGUMENT...";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  const [program, ...vmmArgs] = end < 0 ? [] : args.slice(end + 1);
  const { respawn, rest } = takeRespawn(own);
  refuseServiceSwitches(rest);
  // From here on there is something to take away at the end.
  using signals = new VmSignals(writeError);
  // Its whole path, whatever $TMPDIR says: it is removed from elsewhere too.
  const directory = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "gpioagg-run-" }),
  );
  try {
    const isSocketPrivate = !hasSocket(rest);
    const { help, aggregators } = readServeArguments([
      ...isSocketPrivate ? ["--socket-path", `${directory}/vm.sock`] : [],
      ...withPinSockets(rest, directory),
    ]);
    if (help) {
      writeOutput(helpText());
      return 0;
    }
    if (program === undefined) {
      throw new ConfigError("no VMM to run", { hint: HOW });
    }
    await checkProgram(program);
    const filled = fillPlaceholders(vmmArgs, {
      sockets: aggregators.filter(({ qemuPins }) => !qemuPins).map(socketOf),
      pins: aggregators.flatMap(({ qemuPins }) => qemuPins ?? []),
      arePinsPrivate: aggregators.some(({ qemuPins }) =>
        qemuPins?.qtest.startsWith(`${directory}/`)
      ),
    });
    checkPlaceholders(vmmArgs, isSocketPrivate);
    const command: Run["command"] = [program, ...filled];
    return await runWith({ aggregators, command, respawn, directory, signals });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

interface Run {
  aggregators: AggregatorSpecification[];
  command: [string, ...string[]];
  respawn: RespawnRule;
  /** Where the private sockets are. */
  directory: string;
  signals: VmSignals;
}

async function runWith(
  { aggregators, command, respawn, directory, signals }: Run,
): Promise<number> {
  // The first one here and the last one to go: whenever this process dies,
  // somebody is there who makes the lines safe.
  await using guardian = await VmGuardian.start({
    ...whatIsLeft(aggregators),
    workingDirectory: Deno.cwd(),
    directory,
    report: writeError,
  });
  using reactor = await ReactorClient.start({
    service: ({ aggregator, event, detail }) => {
      if (event === "fault") writeError(`${aggregator}: fault: ${detail}`);
      // What is no fault, but may surprise.
      if (event === "connected" && detail !== "") {
        writeError(`${aggregator}: ${detail}`);
      }
    },
    idle: () => {},
    crashed: ({ message }) => dieOf(message),
  });
  const added = reactor.add(aggregators);
  // Whoever is told to end waits for no chip.
  await Promise.race([added, signals.ending]);
  try {
    return await runVm({
      command,
      respawn,
      guardian,
      signals,
      report: writeError,
    });
  } finally {
    // Lines that could not be had are nobody's to bring in order.
    const end = added.then(() => reactor.shutdown(), () => {});
    await declaredState(end).catch((error) => dieOf(error.message));
  }
}

/**
 * Ends this process. The lines are its own as long as it lives: with its end the
 * guardian makes them safe, and ends the VM.
 */
function dieOf(message: string): never {
  writeError(message);
  Deno.exit(1);
}

/** `--respawn[=RULE]`, wherever it stands, and what is left. */
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
      throw new ConfigError(`"${match[1]}" is no rule`, {
        path: "--respawn",
        hint: `Write --respawn=${RESPAWN_RULES.join(" or --respawn=")}`,
      });
    }
    respawn = rule;
  }
  return { respawn, rest };
}

/** What `serve` takes and a VM's own aggregators have no use for. */
const OF_SERVICE =
  /^--(config|json|api|api-look|api-sockets|audit-log|print-capabilities)(=|$)/;

/** @throws {ConfigError} If there is one of them: nothing is ignored. */
function refuseServiceSwitches(args: readonly string[]): void {
  const [, name] = args.map((arg) => OF_SERVICE.exec(arg))
    .find((match) => match !== null) ?? [];
  if (name === undefined) return;
  throw new ConfigError("is for a service, and not for gpioagg run", {
    path: `--${name}`,
    hint: "gpioagg serve takes it; a VM can be started beside it",
  });
}

/** Whether the user chose a socket; without there is a private one. */
function hasSocket(args: readonly string[]): boolean {
  return args.some((arg) => /^--(socket-path|qemu-pins)(=|$)/.test(arg));
}

function socketOf({ name, vhostUser }: AggregatorSpecification): VmSocket {
  if (vhostUser === undefined || "fd" in vhostUser) {
    throw new ConfigError("a VM is given sockets by path, not by fd", {
      path: name,
      hint: "Leave --fd out: without --socket-path there is a private socket",
    });
  }
  return { name, path: vhostUser.socketPath };
}

/**
 * What a guardian does about the lines when this process died: it puts those
 * into their safe state that have one and that outlive a process.
 */
function whatIsLeft(
  aggregators: readonly AggregatorSpecification[],
): { safeCommand: string[]; linesLeft: string } {
  const specs = new Set<string>();
  let hostCount = 0;
  for (const { lines } of aggregators) {
    for (const { onDisconnect, origin, source } of lines) {
      if (source.kind !== "chip" && source.kind !== "line-name") continue;
      hostCount++;
      if (onDisconnect !== "keep") specs.add(origin);
    }
  }
  return {
    linesLeft: hostCount === 0
      ? "its lines were simulated, and are gone with it"
      : "its lines have no safe state, and are left as they are",
    safeCommand: specs.size === 0 ? [] : safeCommand(specs),
  };
}

function safeCommand(specs: ReadonlySet<string>): string[] {
  // Each word of a command line ends with a NUL, and may be empty.
  const words = (readSmallFile("/proc/self/cmdline") ?? "").split("\0");
  words.pop();
  const [, ...program] = words.slice(0, words.length - Deno.args.length);
  return [
    readLink("/proc/self/exe") ?? Deno.execPath(),
    ...program,
    "safe",
    ...[...specs].flatMap((spec) => ["--line", spec]),
  ];
}

function helpText(): string {
  const width = Math.max(...Object.keys(PLACEHOLDERS).map((p) => p.length));
  const placeholders = Object.entries(PLACEHOLDERS).map(([name, text]) =>
    `  ${name.padEnd(width)}  ${text}`
  );
  return `Usage: gpioagg run [--respawn[=always|on-failure]] --line SPEC...
                   [--socket-path PATH [--name NAME]]... -- VMM ARGUMENT...

Serves lines as gpioagg serve does, and runs the VMM that uses them: on this
terminal, with signals handed on to it. While no VM runs, lines with a safe
value have it. The exit status is the VMM's, or 128 and the signal's number.
SIGTERM, SIGHUP, SIGINT and SIGQUIT are the end, also before there is a VM: a VMM
that goes on hears SIGTERM after 5 s, and is killed after 15 s. After each VMM the
terminal is as it was. A VMM stays in the foreground: one that goes to the
background has ended.

  --respawn[=RULE]    start the VM again when it ends: always, or on-failure
                      (a status other than 0, or a signal); after 0.1 s at
                      first, up to 30 s when it keeps ending within 10 s
  --line SPEC, --socket-path PATH, --name NAME, --qemu-pins device=TYPE
                      as for gpioagg serve; without PATH the sockets are
                      private ones, and the VMM must be told of them by one of
                      the words below
  -h, --help          this text

Put in for these among the VMM's arguments (a script's too: vm.sh {socket}):
${placeholders.join("\n")}

When gpioagg itself dies, even by SIGKILL, the guest's device is dead in the same
moment: the kernel lets the lines go as they are. A small guardian, who is there
before the lines are taken and until they are let go, then puts lines with a safe
value (or on-disconnect=input) into that state and ends the VM: SIGTERM, and
SIGKILL three seconds later; simulated lines are gone anyway. A guardian that is
killed is replaced. If both are killed at once, nobody is left to make the lines
safe: they stay as their chips' drivers leave them. The VM hears SIGTERM from the
kernel then, where there is a setpriv that knows --pdeathsig (util-linux has it,
busybox has not) and the VMM is not started through sudo or the like; elsewhere
it runs on without its lines.`;
}
