/**
 * A GPIO library over the kernel's character device uAPI, version 2 (Linux 5.10
 * or newer).
 *
 * Needs `--allow-ffi` and nothing else of Deno; the user needs access to
 * `/dev/gpiochipN`.
 *
 * @module
 */
export { Chip } from "./chip.ts";
export { type RequestOptions } from "./request_options.ts";
export { type EdgeEvent, EdgeEventBatch } from "./edge_event.ts";
export {
  AbsentError,
  type AbsentName,
  AmbiguousError,
  LineError,
  type LineErrorOptions,
} from "./errors.ts";
export {
  type EventSource,
  EventStream,
  type StreamOptions,
} from "./event_stream.ts";
export {
  type ChipIdentities,
  chipIdentities,
  findChipByProperties,
  identityTexts,
} from "./identity.ts";
export type { ChipProperties } from "./chip_properties.ts";
export type { LineInfo, LineInfoEvent } from "./line_info.ts";
export {
  type LocatedLine,
  locateLine,
  type WantedLine,
} from "./locate_line.ts";
export { LineRequest, type RequestedLine } from "./line_request.ts";
export type {
  BiasSetting,
  DirectionSetting,
  DriveSetting,
  EdgeSetting,
  EventClock,
  LineSelection,
  LineSettings,
} from "./line_settings.ts";
export type { Value } from "../line/value.ts";
export {
  findChip,
  findLines,
  type FindOptions,
  type FoundLine,
  listChips,
  openChip,
} from "./lookup.ts";
export {
  type HasEvents,
  waitForEvents,
  whenEvents,
  type WhenOptions,
} from "./wait.ts";
