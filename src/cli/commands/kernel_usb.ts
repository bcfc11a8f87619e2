/**
 * `gpioagg kernel create --interface usb`: a kernel chip whose lines this
 * process serves.
 *
 * @module
 */
import type {
  KernelChipSpecification,
  LineSpecification,
} from "../../config/specification.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { describeRecord } from "../../kernel_chip/inventory.ts";
import { collectGarbage } from "../../kernel_chip/cleanup.ts";
import { freeName } from "../../kernel_chip/kernel_chip.ts";
import { Records } from "../../kernel_chip/records.ts";
import { serve } from "../../service/service.ts";
import { printableJson } from "../../text/printable.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { chipTable } from "../output/chip_table.ts";

/** A chip to make. */
interface UsbChipCreation {
  readonly name: string | undefined;
  readonly lines: readonly LineSpecification[];
  readonly kernelChip: KernelChipSpecification;
  readonly json: boolean;
}

/** Makes the chip and holds it; returns the exit status. */
export async function createUsbChip(
  { name: wanted, lines, kernelChip, json }: UsbChipCreation,
): Promise<number> {
  if (lines.length === 0) {
    throw new ConfigError("a chip must have at least one line", {
      path: "--line",
      hint: "Add lines with --line SPEC",
    });
  }
  const records = new Records();
  const name = await chooseName(records, wanted);
  const removed = Promise.withResolvers<void>();
  let status = 0;
  await serve(
    [{ name, lines, kernelChip: { ...kernelChip, interface: "usb" } }],
    {
      ready: () => {
        records.list().then((all) => {
          const record = all.find((one) => one.name === name);
          if (record === undefined) return;
          const described = describeRecord(record, "held");
          writeOutput(
            json ? printableJson(described) : chipTable([described], true),
          );
        }).catch((error) => writeError((error as Error).message));
      },
      event: ({ event, detail }) => {
        if (!REPORTED.has(event)) return;
        writeError(`${name}: ${detail}`);
      },
      chipGone: () => {
        status = 1;
        removed.resolve();
      },
      reloaded: () => {},
      problem: writeError,
    },
    { end: removed.promise },
  );
  return status;
}

/** Returns the chip's name, which a dead maker's chip does not keep. */
async function chooseName(
  records: Records,
  wanted: string | undefined,
): Promise<string> {
  using _lock = await records.lock();
  await collectGarbage(records);
  return await freeName(records, wanted);
}

/** Events that concern the chip, not its users. */
const REPORTED: ReadonlySet<string> = new Set([
  "fault",
  "enforced",
  "unplugged",
  "plugged",
]);
