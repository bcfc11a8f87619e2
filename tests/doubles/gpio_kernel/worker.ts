/**
 * Entry of a Worker that shares the GPIO kernel double of its starter: joins
 * it, then goes on with the module that was to be run.
 *
 * @module
 */
import { GpioKernel } from "./kernel.ts";

const given = new URL(import.meta.url).searchParams;
GpioKernel.join(JSON.parse(given.get("kernel")!));
await import(given.get("entry")!);
