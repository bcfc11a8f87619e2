/**
 * The ioctls of the GPIO uAPI, as the double answers them: what gpiolib-cdev.c
 * and gpio-sim do, as far as `tests/uml_host/kernel_contract_test.ts` asks.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import {
  EBUSY,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  EPERM,
} from "../../../ffi/errno.ts";
import { GPIO_IOCTLS } from "../../../ffi/gpio_ioctl.ts";
import {
  AttributeId,
  GPIO_V2_LINE_NUM_ATTRS_MAX,
  GPIO_V2_LINES_MAX,
  GPIOCHIP_INFO,
  InfoEventId,
  LINE_ATTRIBUTE,
  LINE_CONFIG,
  LINE_CONFIG_ATTRIBUTE,
  LINE_EVENT,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LINE_REQUEST,
  LINE_VALUES,
  LineFlag,
  nameBytes,
  setNameBytes,
} from "../../../ffi/gpio_v2.ts";
import type { ChipState, FileState, KernelState, LineState } from "./state.ts";

const {
  ActiveLow,
  BiasDisabled,
  BiasPullDown,
  BiasPullUp,
  EdgeFalling,
  EdgeRising,
  EventClockHte,
  EventClockRealtime,
  Input,
  OpenDrain,
  OpenSource,
  Output,
  Used,
} = LineFlag;
const EDGES = EdgeRising | EdgeFalling;
const BIAS = BiasPullUp | BiasPullDown | BiasDisabled;
const DRIVE = OpenDrain | OpenSource;
const ALL_FLAGS = ActiveLow | Input | Output | EDGES | DRIVE | BIAS |
  EventClockRealtime | EventClockHte;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Surroundings that the ioctls need. */
export interface Host {
  /** Makes the file of a line request. */
  openRequest(
    state: KernelState,
    file: Omit<FileState, "peer" | "queue" | "watched">,
  ): { fd: number; key: string };
  /** Makes a file readable that has records now. */
  wake(file: FileState): void;
}

/** Returns true if a line holds its level itself, whatever pulls it. */
function isDriven({ flags, driven }: LineState): boolean {
  return (flags & Output) !== 0 &&
    !((flags & OpenDrain) !== 0 && driven === 1) &&
    !((flags & OpenSource) !== 0 && driven === 0);
}

/** Drives a line that is an output. */
function drive(line: LineState, value: number): void {
  line.driven = value ^ ((line.flags & ActiveLow) !== 0 ? 1 : 0);
  if (isDriven(line)) line.level = line.driven;
}

/** Pulls a line, which follows if nothing drives it: true if it changed. */
export function pullLine(line: LineState, level: number): boolean {
  line.pull = level;
  if (isDriven(line) || line.level === level) return false;
  line.level = level;
  return true;
}

function readValue(line: LineState): number {
  return line.level ^ ((line.flags & ActiveLow) !== 0 ? 1 : 0);
}

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Queues a record; the oldest goes if there is no room. */
function push(host: Host, file: FileState, record: Uint8Array): void {
  file.queue.push(hex(record));
  if (file.queue.length > file.queueLength) file.queue.shift();
  host.wake(file);
}

/** Reports that a line has another level now. */
export function reportEdge(
  state: KernelState,
  host: Host,
  line: LineState,
  offset: number,
): void {
  const file = state.files[line.holder];
  if (file?.request === undefined) return;
  const isRising = readValue(line) === 1;
  if ((line.flags & (isRising ? EdgeRising : EdgeFalling)) === 0) return;
  const record = new Uint8Array(LINE_EVENT.size);
  const view = new DataView(record.buffer);
  const { at } = LINE_EVENT;
  const clock = (line.flags & EventClockRealtime) !== 0
    ? "realtime"
    : "monotonic";
  view.setBigUint64(at.timestamp_ns, clockNs(clock), true);
  view.setUint32(at.id, isRising ? 1 : 2, true);
  view.setUint32(at.offset, offset, true);
  view.setUint32(at.seqno, ++file.request.seqno, true);
  view.setUint32(at.line_seqno, ++line.lineSeqno, true);
  push(host, file, record);
}

function putInfo(
  state: KernelState,
  chip: ChipState,
  offset: number,
  bytes: Uint8Array,
  start = 0,
): void {
  const line = chip.lines[offset]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { at } = LINE_INFO;
  const holder = state.files[line.holder]?.request?.consumer ?? line.hog;
  const isUsed = line.hog !== "" || line.holder !== "";
  setNameBytes(bytes, start + at.name, encoder.encode(line.name));
  setNameBytes(bytes, start + at.consumer, encoder.encode(holder));
  view.setUint32(start + at.offset, offset, true);
  const direction = (line.flags & Output) !== 0 ? 0 : Input;
  view.setUint32(
    start + at.flags,
    line.flags | direction | (isUsed ? Used : 0),
    true,
  );
  if (line.debounceUs === 0) return;
  view.setUint32(start + at.num_attrs, 1, true);
  const attribute = start + at.attrs;
  view.setUint32(attribute + LINE_ATTRIBUTE.at.id, AttributeId.Debounce, true);
  view.setUint32(attribute + LINE_ATTRIBUTE.at.value, line.debounceUs, true);
}

/** Reports to the files that watch a line what happened to it. */
export function reportInfo(
  state: KernelState,
  host: Host,
  chipIndex: number,
  offset: number,
  kind: number,
): void {
  for (const file of Object.values(state.files)) {
    if (file.chip !== chipIndex || !file.watched.includes(offset)) continue;
    const record = new Uint8Array(LINE_INFO_CHANGED.size);
    const view = new DataView(record.buffer);
    const { at } = LINE_INFO_CHANGED;
    putInfo(state, state.chips[chipIndex]!, offset, record, at.info);
    view.setBigUint64(at.timestamp_ns, clockNs("monotonic"), true);
    view.setUint32(at.event_type, kind, true);
    push(host, file, record);
  }
}

/** Frees the lines of a request whose file was closed. */
export function release(state: KernelState, host: Host, key: string): void {
  const file = state.files[key]!;
  delete state.files[key];
  const chip = state.chips[file.chip];
  if (chip === undefined) return;
  for (const offset of file.request?.offsets ?? []) {
    const line = chip.lines[offset]!;
    line.holder = "";
    // gpio-sim: the pull is what is left of a line that nothing drives.
    line.level = line.pull;
    line.flags &= Input | Output;
    line.debounceUs = 0;
    line.lineSeqno = 0;
    reportInfo(state, host, file.chip, offset, InfoEventId.Released);
  }
}

/** Settings of one line of a request. */
interface LineConfig {
  flags: number;
  debounceUs: number;
  value: number;
}

/** Reads a `gpio_v2_line_config` for `count` lines: or -errno. */
function readConfig(
  bytes: Uint8Array,
  start: number,
  count: number,
): LineConfig[] | number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { at } = LINE_CONFIG;
  const attributes = view.getUint32(start + at.num_attrs, true);
  if (attributes > GPIO_V2_LINE_NUM_ATTRS_MAX) return -EINVAL;
  if (isDirty(bytes, start + at.padding, 20)) return -EINVAL;
  const flags = view.getUint32(start + at.flags, true);
  const lines = Array.from(
    { length: count },
    () => ({ flags, debounceUs: 0, value: 0 }),
  );
  const isSet = new Set<string>();
  for (let i = 0; i < attributes; i++) {
    const entry = start + at.attrs + i * LINE_CONFIG_ATTRIBUTE.size;
    const attribute = entry + LINE_CONFIG_ATTRIBUTE.at.attr;
    if (isDirty(bytes, attribute + LINE_ATTRIBUTE.at.padding, 4)) {
      return -EINVAL;
    }
    const id = view.getUint32(attribute + LINE_ATTRIBUTE.at.id, true);
    const value = view.getBigUint64(attribute + LINE_ATTRIBUTE.at.value, true);
    const mask = view.getBigUint64(
      entry + LINE_CONFIG_ATTRIBUTE.at.mask,
      true,
    );
    for (const [bit, line] of lines.entries()) {
      // The first attribute of a kind that names a line is the one that counts.
      if ((mask >> BigInt(bit) & 1n) === 0n || isSet.has(`${id}/${bit}`)) {
        continue;
      }
      isSet.add(`${id}/${bit}`);
      if (id === AttributeId.Flags) line.flags = Number(value);
      else if (id === AttributeId.Debounce) line.debounceUs = Number(value);
      else line.value = Number(value >> BigInt(bit) & 1n);
    }
  }
  for (const line of lines) {
    const result = checkFlags(line);
    if (result < 0) return result;
  }
  return lines;
}

function isDirty(bytes: Uint8Array, start: number, length: number): boolean {
  return bytes.subarray(start, start + length).some((byte) => byte !== 0);
}

function checkFlags({ flags, debounceUs }: LineConfig): number {
  const bits = (mask: number) => (flags & mask).toString(2).split("1").length;
  if ((flags & ~ALL_FLAGS) !== 0) return -EINVAL;
  if ((flags & EventClockHte) !== 0) return -EOPNOTSUPP;
  if (bits(Input | Output) > 2) return -EINVAL;
  if ((flags & EDGES) !== 0 && (flags & Input) === 0) return -EINVAL;
  if ((flags & DRIVE) !== 0 && (flags & Output) === 0) return -EINVAL;
  if (bits(DRIVE) > 2 || bits(BIAS) > 2) return -EINVAL;
  if ((flags & BIAS) !== 0 && (flags & (Input | Output)) === 0) return -EINVAL;
  if (debounceUs !== 0 && (flags & Input) === 0) return -EINVAL;
  return 0;
}

function configure(line: LineState, config: LineConfig): void {
  const { flags, debounceUs, value } = config;
  if ((flags & (Input | Output)) === 0) {
    line.flags = flags | line.flags & (Input | Output);
    return;
  }
  line.flags = flags;
  line.debounceUs = debounceUs;
  if ((flags & BiasPullUp) !== 0) pullLine(line, 1);
  if ((flags & BiasPullDown) !== 0) pullLine(line, 0);
  if ((flags & Output) !== 0) drive(line, value);
}

type Answer = (
  state: KernelState,
  host: Host,
  file: FileState,
  key: string,
  bytes: Uint8Array,
) => number;

const chipInfo: Answer = (state, _host, file, _key, bytes) => {
  const chip = state.chips[file.chip]!;
  const { at } = GPIOCHIP_INFO;
  setNameBytes(bytes, at.name, encoder.encode(`gpiochip${chip.number}`));
  setNameBytes(bytes, at.label, encoder.encode(chip.label));
  new DataView(bytes.buffer, bytes.byteOffset)
    .setUint32(at.lines, chip.lines.length, true);
  return 0;
};

const lineInfo: Answer = (state, _host, file, _key, bytes) => {
  const chip = state.chips[file.chip]!;
  const offset = new DataView(bytes.buffer, bytes.byteOffset)
    .getUint32(LINE_INFO.at.offset, true);
  if (offset >= chip.lines.length) return -EINVAL;
  putInfo(state, chip, offset, bytes);
  return 0;
};

const watchInfo: Answer = (state, host, file, key, bytes) => {
  const offset = new DataView(bytes.buffer, bytes.byteOffset)
    .getUint32(LINE_INFO.at.offset, true);
  if (file.watched.includes(offset)) return -EBUSY;
  const result = lineInfo(state, host, file, key, bytes);
  if (result === 0) file.watched.push(offset);
  return result;
};

const unwatchInfo: Answer = (_state, _host, file, _key, bytes) => {
  const offset = new DataView(bytes.buffer, bytes.byteOffset)
    .getUint32(0, true);
  if (!file.watched.includes(offset)) return -EBUSY;
  file.watched = file.watched.filter((other) => other !== offset);
  return 0;
};

const getLine: Answer = (state, host, file, _key, bytes) => {
  const chip = state.chips[file.chip]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { at } = LINE_REQUEST;
  const count = view.getUint32(at.num_lines, true);
  if (count < 1 || count > GPIO_V2_LINES_MAX) return -EINVAL;
  if (isDirty(bytes, at.padding, 20)) return -EINVAL;
  const config = readConfig(bytes, at.config, count);
  if (typeof config === "number") return config;
  const offsets = config.map((_, bit) =>
    view.getUint32(at.offsets + 4 * bit, true)
  );
  if (offsets.some((offset) => offset >= chip.lines.length)) return -EINVAL;
  const isTaken = (offset: number, bit: number) =>
    chip.lines[offset]!.hog !== "" || chip.lines[offset]!.holder !== "" ||
    offsets.indexOf(offset) !== bit;
  if (offsets.some(isTaken)) return -EBUSY;
  const wanted = view.getUint32(at.event_buffer_size, true);
  const most = 16 * GPIO_V2_LINES_MAX;
  const { fd, key } = host.openRequest(state, {
    chip: file.chip,
    queueLength: Math.min(wanted || 16 * count, most),
    request: {
      offsets,
      consumer: decoder.decode(nameBytes(bytes, at.consumer)),
      seqno: 0,
    },
  });
  for (const [bit, offset] of offsets.entries()) {
    const line = chip.lines[offset]!;
    line.holder = key;
    configure(line, config[bit]!);
    reportInfo(state, host, file.chip, offset, InfoEventId.Requested);
  }
  view.setInt32(at.fd, fd, true);
  return 0;
};

/** The lines of a request, by bit. */
function heldLines(state: KernelState, file: FileState): LineState[] {
  const { lines } = state.chips[file.chip]!;
  return file.request!.offsets.map((offset) => lines[offset]!);
}

const setConfig: Answer = (state, host, file, _key, bytes) => {
  const { offsets } = file.request!;
  const config = readConfig(bytes, 0, offsets.length);
  if (typeof config === "number") return config;
  for (const [bit, line] of heldLines(state, file).entries()) {
    // Without a direction a line is left as it is.
    if ((config[bit]!.flags & (Input | Output)) === 0) continue;
    configure(line, config[bit]!);
    reportInfo(
      state,
      host,
      file.chip,
      offsets[bit]!,
      InfoEventId.Reconfigured,
    );
  }
  return 0;
};

const getValues: Answer = (state, _host, file, _key, bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { at } = LINE_VALUES;
  const mask = view.getBigUint64(at.mask, true);
  let bits = 0n;
  let isEmpty = true;
  for (const [bit, line] of heldLines(state, file).entries()) {
    if ((mask >> BigInt(bit) & 1n) === 0n) continue;
    isEmpty = false;
    bits |= BigInt(readValue(line)) << BigInt(bit);
  }
  if (isEmpty) return -EINVAL;
  view.setBigUint64(at.bits, bits, true);
  return 0;
};

const setValues: Answer = (state, _host, file, _key, bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const { at } = LINE_VALUES;
  const mask = view.getBigUint64(at.mask, true);
  const bits = view.getBigUint64(at.bits, true);
  const named = [...heldLines(state, file).entries()]
    .filter(([bit]) => (mask >> BigInt(bit) & 1n) === 1n);
  if (named.length === 0) return -EINVAL;
  if (named.some(([, { flags }]) => (flags & Output) === 0)) return -EPERM;
  for (const [bit, line] of named) {
    drive(line, Number(bits >> BigInt(bit) & 1n));
  }
  return 0;
};

const ON_CHIPS: Readonly<Record<string, Answer>> = {
  GPIO_GET_CHIPINFO_IOCTL: chipInfo,
  GPIO_V2_GET_LINEINFO_IOCTL: lineInfo,
  GPIO_V2_GET_LINEINFO_WATCH_IOCTL: watchInfo,
  GPIO_GET_LINEINFO_UNWATCH_IOCTL: unwatchInfo,
  GPIO_V2_GET_LINE_IOCTL: getLine,
};
const ON_REQUESTS: Readonly<Record<string, Answer>> = {
  GPIO_V2_LINE_SET_CONFIG_IOCTL: setConfig,
  GPIO_V2_LINE_GET_VALUES_IOCTL: getValues,
  GPIO_V2_LINE_SET_VALUES_IOCTL: setValues,
};
const NAMES = new Map(
  Object.entries(GPIO_IOCTLS).map(([name, number]) => [number, name]),
);

/** Answers an ioctl on one of the double's files: 0 or -errno. */
export function answerIoctl(
  state: KernelState,
  host: Host,
  key: string,
  number: number,
  bytes: Uint8Array,
): number {
  const file = state.files[key]!;
  const table = file.request === undefined ? ON_CHIPS : ON_REQUESTS;
  const answer = table[NAMES.get(number) ?? ""];
  if (file.chip < 0) return -ENODEV;
  if (answer === undefined) return -EINVAL;
  for (const failure of state.failures) {
    if (failure.ioctl !== number || failure.left === 0) continue;
    if (failure.after > 0) failure.after--;
    else {
      failure.left--;
      return -failure.errno;
    }
  }
  return answer(state, host, file, key, bytes);
}
