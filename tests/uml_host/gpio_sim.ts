/**
 * Simulated chips for tests that run beside them, inside the User-Mode-Linux
 * host.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import {
  localFiles,
  SimChip,
  type SimChipOptions,
} from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { activeKernel } from "../doubles/gpio_kernel/kernel.ts";

/** An edge is reported well within this time, or not at all. */
export const EVENT_LIMIT_MS = 120_000;

/** Long enough for an edge that must not be reported to show up. */
export const QUIET_MS = 50;

/**
 * Makes a simulated chip; `await using` removes it.
 *
 * @throws {Error} when its device file is a link: the test would drive whatever
 * real chip that leads to.
 */
export async function simChip(
  options: SimChipOptions,
): Promise<SimChip> {
  const chip = await SimChip.create(localFiles, options);
  const kind = fileStatus(chip.path, { followLinks: false })?.kind;
  if (kind !== "character device") {
    await chip[Symbol.asyncDispose]();
    throw new Error(
      `Refusing to test on ${chip.path}: it is a ${kind ?? "missing file"}`,
    );
  }
  return chip;
}

/**
 * Lets simulated hardware settle: changes of a pull have reached their readers
 * afterwards, also child processes on a busy machine. One that was woken and has
 * not got the CPU yet is no sleeping one.
 */
export async function settle(): Promise<void> {
  if (activeKernel() !== undefined) return;
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  await until("the child processes rest", () => {
    return ChildProcess.runningPids().every((pid) => {
      const stat = readSmallFile(`/proc/${pid}/stat`) ?? ") Z ";
      return !/\) [RD] /.test(stat);
    });
  });
}

/** Waits until `condition` holds; says what it waited for when it never does. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const limit = performance.now() + EVENT_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > limit) {
      throw new Error(`Waited ${EVENT_LIMIT_MS} ms in vain until ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
