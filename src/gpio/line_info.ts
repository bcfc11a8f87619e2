/**
 * Line info of the kernel.
 *
 * @module
 */
import {
  AttributeId,
  GPIO_V2_LINE_NUM_ATTRS_MAX,
  InfoEventId,
  LINE_ATTRIBUTE,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LineFlag,
  nameBytes,
} from "../../ffi/gpio_v2.ts";
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import { nameOfBytes } from "../text/names.ts";
import type {
  BiasSetting,
  DriveSetting,
  EdgeSetting,
  EventClock,
} from "./line_settings.ts";

/** A line as it stood when the kernel was asked. */
export interface LineInfo {
  /** The line's number on its chip. */
  readonly offset: number;
  /**
   * The line's name; empty for none. Names need not be unique. Bytes that are no
   * UTF-8 are U+DC80 to U+DCFF; {@linkcode nameText} shows them as `\xNN`.
   */
  readonly name: string;
  /** Consumer of the line; empty if there is none, or none is known. */
  readonly consumer: string;
  /** True if the line is in use, by a program or by the kernel. */
  readonly used: boolean;
  /** Which way the line goes. */
  readonly direction: "input" | "output";
  /** True if its user takes the low level as active. */
  readonly activeLow: boolean;
  /** Bias that was requested; `"as-is"` if none was. */
  readonly bias: BiasSetting;
  /** Drive of the line as an output. */
  readonly drive: DriveSetting;
  /** Edges that are reported to its user. */
  readonly edge: EdgeSetting;
  /** The clock of its user's event timestamps. */
  readonly eventClock: EventClock;
  /** Its user's debounce period in microseconds; 0 for none. */
  readonly debouncePeriodUs: number;
}

/** A change of a line's user or settings. */
export interface LineInfoEvent {
  /** Kind of the change. */
  readonly kind: "requested" | "released" | "reconfigured";
  /** When, in nanoseconds of CLOCK_MONOTONIC. */
  readonly timestampNs: bigint;
  /**
   * Counts the events that this chip object has read, from 1 on. The kernel
   * itself numbers no info events: one that it had no room for leaves no gap.
   */
  readonly seqno: number;
  /** The line, as it is since. */
  readonly info: LineInfo;
}

function decodeBias(flags: number): BiasSetting {
  if ((flags & LineFlag.BiasPullUp) !== 0) return "pull-up";
  if ((flags & LineFlag.BiasPullDown) !== 0) return "pull-down";
  if ((flags & LineFlag.BiasDisabled) !== 0) return "disabled";
  return "as-is";
}

function decodeDrive(flags: number): DriveSetting {
  if ((flags & LineFlag.OpenDrain) !== 0) return "open-drain";
  if ((flags & LineFlag.OpenSource) !== 0) return "open-source";
  return "push-pull";
}

function decodeEdge(flags: number): EdgeSetting {
  const rising = (flags & LineFlag.EdgeRising) !== 0;
  const falling = (flags & LineFlag.EdgeFalling) !== 0;
  if (rising) return falling ? "both" : "rising";
  return falling ? "falling" : "none";
}

function decodeClock(flags: number): EventClock {
  if ((flags & LineFlag.EventClockRealtime) !== 0) return "realtime";
  if ((flags & LineFlag.EventClockHte) !== 0) return "hte";
  return "monotonic";
}

function decodeDebounce(view: DataView, start: number): number {
  // More attributes than there is room for would be a kernel of another uAPI.
  const count = Math.min(
    view.getUint32(start + LINE_INFO.at.num_attrs, LITTLE_ENDIAN),
    GPIO_V2_LINE_NUM_ATTRS_MAX,
  );
  for (let i = 0; i < count; i++) {
    const attribute = start + LINE_INFO.at.attrs + i * LINE_ATTRIBUTE.size;
    const id = view.getUint32(attribute + LINE_ATTRIBUTE.at.id, LITTLE_ENDIAN);
    if (id === AttributeId.Debounce) {
      return view.getUint32(
        attribute + LINE_ATTRIBUTE.at.value,
        LITTLE_ENDIAN,
      );
    }
  }
  return 0;
}

/** Reads a `gpio_v2_line_info` that begins at `start`. */
export function decodeLineInfo(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
): LineInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  // All flags that there are fit the lower word; others mean nothing to us.
  const flags = view.getUint32(start + LINE_INFO.at.flags, LITTLE_ENDIAN);
  return {
    offset: view.getUint32(start + LINE_INFO.at.offset, LITTLE_ENDIAN),
    name: nameOfBytes(nameBytes(bytes, start + LINE_INFO.at.name)),
    consumer: nameOfBytes(nameBytes(bytes, start + LINE_INFO.at.consumer)),
    used: (flags & LineFlag.Used) !== 0,
    direction: (flags & LineFlag.Output) !== 0 ? "output" : "input",
    activeLow: (flags & LineFlag.ActiveLow) !== 0,
    bias: decodeBias(flags),
    drive: decodeDrive(flags),
    edge: decodeEdge(flags),
    eventClock: decodeClock(flags),
    debouncePeriodUs: decodeDebounce(view, start),
  };
}

const INFO_EVENT_KINDS: ReadonlyMap<number, LineInfoEvent["kind"]> = new Map([
  [InfoEventId.Requested, "requested"],
  [InfoEventId.Released, "released"],
  [InfoEventId.Reconfigured, "reconfigured"],
]);

/**
 * Reads a `gpio_v2_line_info_changed` that begins at `start`; a number stands
 * for an unknown kind of event.
 */
export function decodeInfoEvent(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  seqno: number,
): LineInfoEvent | number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const type = view.getUint32(
    start + LINE_INFO_CHANGED.at.event_type,
    LITTLE_ENDIAN,
  );
  const kind = INFO_EVENT_KINDS.get(type);
  if (kind === undefined) return type;
  return {
    kind,
    timestampNs: view.getBigUint64(
      start + LINE_INFO_CHANGED.at.timestamp_ns,
      LITTLE_ENDIAN,
    ),
    seqno,
    info: decodeLineInfo(bytes, start + LINE_INFO_CHANGED.at.info),
  };
}
