/**
 * `gpioagg doctor`: which exposures this host can provide, and which of them a
 * guest has drivers for.
 *
 * @module
 */
import { readSmallFile } from "../../../ffi/files.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { effectiveUserId } from "../../../ffi/sysfs.ts";
import { captureOutput } from "../../async/program_output.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { type Guest, type GuestArch, GUESTS } from "../../doctor/guests.ts";
import { examineHost, type Host, type HostAccess } from "../../doctor/host.ts";
import { guestReport, hostReport } from "../../doctor/report.ts";
import {
  EXPOSURES,
  exposuresFor,
  type HostExposure,
} from "../../doctor/exposures.ts";
import { Chip } from "../../gpio/chip.ts";
import { listChips } from "../../gpio/lookup.ts";
import { chooseInterface } from "../../kernel_chip/driver.ts";
import { findUsbProblem } from "../../kernel_chip/usb_adapter.ts";
import { nearest } from "../../text/nearest.ts";
import { plainMessage } from "../../text/plain_error.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeOutput } from "../output/output.ts";

/** Longest time that a QEMU may take to print its help. */
const QEMU_LIMIT_MS = 10_000;

const GUEST_ARCHES: readonly GuestArch[] = ["amd64", "arm64"];
const GUEST_NAMES = [...new Set(GUESTS.map(({ name }) => name))];

/** The command line. */
export const USAGE = {
  name: "doctor",
  synopsis: ["[--guest NAME[/ARCH]]... [--qemu PROGRAM]... [--json]"],
  about:
    `Examines this host and prints which exposures it can provide. With --guest it
also prints which of them the stock kernel of that distribution has a driver
for, and the lines to paste for gpioagg, QEMU, libvirt and Proxmox. Changes
nothing.`,
  operands: [],
  options: {
    guest: {
      kind: "values",
      value: "NAME[/ARCH]",
      help: `${GUEST_NAMES.join(", ")}; ARCH is ${
        GUEST_ARCHES.join(" or ")
      } (default: both)`,
      completes: GUEST_NAMES,
    },
    qemu: {
      kind: "values",
      value: "PROGRAM",
      help: "examine this QEMU instead of those in PATH",
      completes: "program",
    },
    json: { kind: "flag", help: "print the same as JSON" },
    help: HELP_OPTION,
  },
  after:
    "Exit status: 0, or 1 if a named guest can have no exposure from this host.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg doctor --guest debian-13");
  const named = given.guest.map(findGuests);
  const guests = named.flat();
  const host = await examineHost(
    new ThisHost(),
    given.qemu.length > 0 ? given.qemu : undefined,
  );
  writeOutput(
    given.json
      ? JSON.stringify(asData(host, guests), undefined, 2)
      : [...hostReport(host), ...guestReport(host, guests)].join("\n"),
  );
  // A guest that is named without an architecture may have either.
  const isUseful = named.every((kernels) =>
    kernels.some((guest) => worksFrom(host, guest).length > 0)
  );
  return isUseful ? 0 : 1;
}

/**
 * Returns the guests that `text` names: `debian-13`, or `debian-13/arm64`.
 *
 * @throws {ConfigError} If there are none.
 */
function findGuests(text: string): Guest[] {
  const [name, arch] = text.split("/", 2);
  const found = GUESTS.filter((guest) =>
    guest.name === name && (arch === undefined || guest.arch === arch)
  );
  if (found.length > 0) return found;
  const names = [...new Set(GUESTS.map((guest) => guest.name))];
  if (names.includes(name!)) {
    throw new ConfigError(`unknown architecture ${JSON.stringify(arch)}`, {
      path: `--guest ${name}`,
      hint: "Architectures: " +
        GUESTS.filter((guest) => guest.name === name)
          .map((guest) => guest.arch).join(", "),
    });
  }
  const near = nearest(name!, names);
  throw new ConfigError(`unknown guest ${JSON.stringify(text)}`, {
    path: "--guest",
    hint: near === undefined
      ? `Known guests: ${names.join(", ")}; architectures: amd64, arm64`
      : `Did you mean ${near}?`,
  });
}

function asData(host: Host, guests: readonly Guest[]) {
  return {
    host: {
      ...host,
      qemus: host.qemus.map(({ program, version }) => ({ program, version })),
    },
    exposures: EXPOSURES.map((exposure) => {
      const reason = exposure.whyNot(host);
      return {
        name: exposure.name,
        works: reason === undefined,
        ...reason === undefined ? {} : { reason },
      };
    }),
    guests: guests.map((guest) => ({
      ...guest,
      exposures: worksFrom(host, guest).map((exposure) => ({
        name: exposure.name,
        ...exposure.recipe(host, guest.arch),
      })),
    })),
  };
}

/** Returns the exposures that a guest has a driver for and the host can provide. */
function worksFrom(host: Host, guest: Guest): HostExposure[] {
  return exposuresFor(guest).known.filter((exposure) =>
    exposure.whyNot(host, guest.arch) === undefined
  );
}

/** The host that this program runs on. */
class ThisHost implements HostAccess {
  readonly arch = Deno.build.arch;
  readonly isRoot = effectiveUserId() === 0;

  run(program: string, args: readonly string[]): Promise<string | undefined> {
    return captureOutput(program, args, QEMU_LIMIT_MS);
  }

  read(path: string): string | undefined {
    return readSmallFile(path);
  }

  exists(path: string): boolean {
    return fileStatus(path) !== undefined;
  }

  whyNoKernelChip(): string | undefined {
    try {
      chooseInterface();
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  findUsbChipProblem(): string | undefined {
    return findUsbProblem();
  }

  chips(): string[] {
    return listChips();
  }

  whyNotOpen(chip: string): string | undefined {
    try {
      using _opened = Chip.open(chip);
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? plainMessage(error.message) : String(error);
}
