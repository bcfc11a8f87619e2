/**
 * `gpioagg demo`: shows the main job with one command, on simulated lines.
 *
 * @module
 */
import { makePrivateDirectory } from "../private_directory.ts";
import { ControlClient } from "../../service/control/control_client.ts";
import { defaultControlPath } from "../../config/specification.ts";
import { ReactorClient } from "../../service/reactor/reactor_client.ts";
import {
  Direction,
  EventStatus,
  GpioDriver,
  IrqType,
} from "../../vhost_frontend/driver.ts";
import { Frontend } from "../../vhost_frontend/frontend.ts";

import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { runDemoVm } from "./demo_vm.ts";
import { writeOutput } from "../output/output.ts";
import { readServeArguments } from "../arguments/serve_arguments.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

const LINES = [
  "sim/2,as=LAMP,direction=output,safe=0",
  "sim/2,as=BUTTON,direction=input",
];
/**
 * Limit of each wait: an emulated processor takes some seconds for what others do
 * in some milliseconds.
 */
const LIMIT_MS = 60_000;
/** Signals that end it. The numbers are Linux's. */
const ENDING = [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const;

/** The command line. */
export const USAGE = {
  name: "demo",
  synopsis: ["[--vm]"],
  about:
    `Serves four simulated lines, attaches as a guest's driver would, drives and
watches lines, and prints the result. Needs no GPIO, no VMM, no privileges.`,
  operands: [],
  options: {
    vm: {
      kind: "flag",
      help:
        "boot a real guest instead (User-Mode Linux; from a checkout: the " +
        "kernel is built once, which takes some minutes) and show its own " +
        "tools using the lines",
    },
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg demo [--vm]");
  // From here on there is something to remove at the end.
  using stack = new DisposableStack();
  const end = new AbortController();
  let status = 0;
  for (const [signal, number] of ENDING) {
    const onSignal = () => {
      status = 128 + number;
      end.abort();
    };
    Deno.addSignalListener(signal, onSignal);
    stack.defer(() => Deno.removeSignalListener(signal, onSignal));
  }
  const directory = makePrivateDirectory("gpioagg-demo-");
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  try {
    const socket = `${directory}/demo.sock`;
    await serveDuring(socket, async () => {
      if (given.vm) await runDemoVm(socket, say, end.signal);
      else if (!end.signal.aborted) playGuest(socket);
    });
  } catch (error) {
    // Processes that were ended with this one fail.
    if (!end.signal.aborted) throw error;
  }
  return status;
}

/** Serves the demo's lines at `socket` while `action` runs. */
async function serveDuring(
  socket: string,
  action: () => Promise<void>,
): Promise<void> {
  const command = ["--socket-path", socket].concat(
    LINES.flatMap((spec) => ["--line", spec]),
  );
  const { aggregators } = readServeArguments(command);
  using reactor = await ReactorClient.start({
    service: () => {},
    idle: () => {},
    crashed: (error) => {
      throw error;
    },
  });
  say("On the host:");
  say(`  gpioagg serve ${command.join(" ")}`);
  await reactor.add(aggregators);
  await action();
  await reactor.shutdown();
}

/** Acts as a guest's driver and as a person at the machine. */
function playGuest(socket: string): void {
  using frontend = Frontend.open(socket, { timeoutMs: LIMIT_MS });
  const driver = GpioDriver.attach(frontend);
  const names = driver.names();
  say("\nA guest's driver attaches (gpioagg's own driver, as in probe):");
  for (const [lineNumber, name] of names.entries()) {
    const isOutput = driver.getDirection(lineNumber) === Direction.Output;
    const value = driver.getValue(lineNumber);
    say(
      `  line ${lineNumber} ${name.padEnd(8)} ` +
        `${isOutput ? "output" : "input "} ${value}`,
    );
  }

  say("\nThe guest drives LAMP0; the host sees it:");
  const lamp = names.indexOf("LAMP0");
  // Not before it is used: an idle client is disconnected after a while, and a
  // slow machine takes longer to attach.
  using control = new ControlClient(defaultControlPath(socket), LIMIT_MS);
  for (const value of [1, 0, 1]) {
    driver.setValue(lamp, value);
    const seen = control.ask({}).lines[lamp]?.value;
    say(`  guest sets LAMP0=${value}   host reads ${seen}`);
    if (seen !== value) throw new Error(`LAMP0 is ${seen}, not ${value}`);
  }

  say("\nBUTTON0 is pressed; the guest is interrupted:");
  const button = names.indexOf("BUTTON0");
  driver.setInterruptType(button, IrqType.EdgeBoth);
  for (const level of [1, 0] as const) {
    driver.arm(button);
    control.ask({ pull: [["BUTTON0", level]] });
    const event = driver.waitEvent(LIMIT_MS);
    if (
      event?.lineNumber !== button || event.status !== EventStatus.Valid
    ) throw new Error("The interrupt did not arrive");
    say(
      `  gpioagg sim ${socket} BUTTON0=${level}   ` +
        `guest: interrupt of line ${button}, reads ${driver.getValue(button)}`,
    );
  }
  driver.setInterruptType(button, IrqType.None);

  say(`
To continue with a VM of your own, serve the lines as above and start QEMU with
  -object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem \\
  -chardev socket,path=SOCKET,id=gpio0 -device vhost-user-gpio-pci,chardev=gpio0
The guest needs CONFIG_GPIO_VIRTIO; interrupts need QEMU 9.0 or newer.
gpioagg demo --vm boots a small guest of its own and uses its tools.`);
}

function say(text: string): void {
  writeOutput(text);
}
