/**
 * Entry of a Worker that shares the GPIO kernel double of its starter: joins
 * it, then goes on with the module that was to be run.
 *
 * @module
 */
import { GpioKernel } from "./kernel.ts";

const scope = globalThis as unknown as {
  onmessage: unknown;
  addEventListener(type: "message", listener: (event: Event) => void): void;
  removeEventListener(type: "message", listener: (event: Event) => void): void;
  dispatchEvent(event: Event): boolean;
};

// Messages that come while the module is loaded have no other receiver, and
// would be lost: its starter does not wait.
const early: MessageEvent[] = [];
const keep = (event: Event) => {
  if (typeof scope.onmessage !== "function") early.push(event as MessageEvent);
};
scope.addEventListener("message", keep);

const given = new URL(import.meta.url).searchParams;
GpioKernel.join(JSON.parse(given.get("kernel")!));
await import(given.get("entry")!);

scope.removeEventListener("message", keep);
for (const { data } of early) {
  scope.dispatchEvent(new MessageEvent("message", { data }));
}
