/**
 * GPIO for Deno: chips, lines and events of a Linux machine, without a native
 * addon.
 *
 * Needs `--allow-ffi` and nothing else of Deno; the user needs access to
 * `/dev/gpiochipN`. Linux 5.10 or newer, x86_64 or aarch64, glibc.
 *
 * @example Show what there is, then wait for a button
 * ```ts
 * import { findLines, listChips, openChip } from "@gpioagg/gpioagg";
 *
 * for (const path of listChips()) {
 *   using chip = openChip(path);
 *   console.log(`${chip.name} [${chip.label}] (${chip.lineCount} lines)`);
 * }
 *
 * const [button] = findLines("BUTTON");
 * if (button !== undefined) {
 *   using chip = openChip(button.chipPath);
 *   using request = chip.requestLines({
 *     consumer: "doorbell",
 *     lines: [{
 *       offset: button.offset,
 *       settings: {
 *         direction: "input",
 *         bias: "pull-up",
 *         activeLow: true,
 *         edge: "both",
 *         debouncePeriodUs: 5000,
 *       },
 *     }],
 *   });
 *   for await (const event of request.edgeEvents()) {
 *     console.log(event.kind === "rising" ? "pressed" : "released");
 *     if (event.kind === "falling") break;
 *   }
 * }
 * ```
 *
 * @module
 */
export * from "./src/gpio/mod.ts";
export {
  HeldForce,
  LeasedAggregator,
  ServiceClient,
  ServiceError,
} from "./src/client/client.ts";
export {
  findServices,
  type FoundService,
  serviceDirectories,
  type SocketState,
} from "./src/client/services.ts";
export { API_SOCKET_NAME, LOOK_SOCKET_NAME } from "./src/client/protocol.ts";
export { ServiceEvents } from "./src/client/service_events.ts";
export type { ConfigProblem } from "./src/client/protocol.ts";
export type {
  CallOptions,
  EventOptions,
  HistoryOptions,
  LeaseOptions,
} from "./src/client/request_checks.ts";
export type * from "./src/client/protocol.ts";
export type * from "./src/client/edges.ts";
export type * from "./src/client/force.ts";
export type * from "./src/client/play.ts";
export { isOsError, OsError } from "./ffi/os_error.ts";
