/**
 * ACPI tables for guests: lines of a GPIO adapter on USB whose level interrupts
 * the guest's kernel handles by itself, since its character device requests edges
 * only.
 *
 * @module
 */

/** A line and the level that interrupts. */
export interface LevelInterrupt {
  readonly line: number;
  readonly active: "high" | "low";
}

/**
 * Returns a table (SSDT) that has the kernel request interrupts of lines of an
 * LJCA (`_AEI`), and sleep for some milliseconds at each, so that a line that
 * stays active leaves time for others. Its argument of QEMU is `-acpitable`.
 *
 * The adapter is at the first port of `qemu-xhci`, which is in the first slot.
 */
export function levelInterruptTable(
  interrupts: readonly LevelInterrupt[],
): Uint8Array<ArrayBuffer> {
  const names = ["_SB_", "PCI0", "S08_", "RHUB", "PORT", "GPIO"];
  const path = "\\" + names.map((each) => each.replace(/_$/, "")).join(".");
  const gpio = device("GPIO", [
    ...name("_HID", [STRING, ...text("INTC1074"), 0]),
    ...name(
      "_AEI",
      buffer([
        ...interrupts.flatMap((each) => gpioInt(each, path)),
        ...END_TAG,
      ]),
    ),
    ...interrupts.flatMap(({ line }) =>
      withLength([METHOD], [
        ...text(`_L${line.toString(16).toUpperCase().padStart(2, "0")}`),
        0,
        ...[...SLEEP, BYTE, HANDLER_MS],
      ])
    ),
  ]);
  const port = device("PORT", [
    ...name("_ADR", [BYTE, FIRST_USB2_PORT]),
    ...gpio,
  ]);
  const hub = device("RHUB", [...name("_ADR", [ZERO]), ...port]);
  return table(
    withLength([SCOPE], [
      ...[ROOT, MULTI_NAME, 3],
      ...names.slice(0, 3).flatMap(text),
      ...hub,
    ]),
  );
}

const ZERO = 0x00;
const BYTE = 0x0a;
const STRING = 0x0d;
const SCOPE = 0x10;
const BUFFER = 0x11;
const METHOD = 0x14;
const NAME = 0x08;
const DEVICE = [0x5b, 0x82];
const SLEEP = [0x5b, 0x22];
const ROOT = 0x5c;
const MULTI_NAME = 0x2f;
const END_TAG = [0x79, 0];

const HANDLER_MS = 20;
/** Ports of USB 3 come first. */
const FIRST_USB2_PORT = 5;
const HEADER_BYTES = 36;

function text(word: string): number[] {
  return [...new TextEncoder().encode(word)];
}

function name(word: string, value: readonly number[]): number[] {
  return [NAME, ...text(word), ...value];
}

function device(word: string, body: readonly number[]): number[] {
  return withLength(DEVICE, [...text(word), ...body]);
}

function buffer(bytes: readonly number[]): number[] {
  if (bytes.length > 255) throw new Error("too many lines for the table");
  return withLength([BUFFER], [BYTE, bytes.length, ...bytes]);
}

/** An operation, the length of what follows with itself, and what follows. */
function withLength(
  operation: readonly number[],
  body: readonly number[],
): number[] {
  // Two bytes: the low four bits in the first one.
  const length = body.length + 2;
  if (length >= 1 << 12) throw new Error("the table is too long");
  return [...operation, 0x40 | length & 15, length >> 4, ...body];
}

/** GPIO interrupt connection descriptor. */
function gpioInt({ line, active }: LevelInterrupt, path: string): number[] {
  const pins = 23;
  const source = pins + 2;
  const end = source + path.length + 1;
  return [
    ...[0x8c, ...u16(end - 3)],
    ...[1, 0],
    // It consumes the interrupt, by level.
    ...u16(1),
    ...u16(active === "high" ? 0 : 2),
    // Bias, drive strength, debounce, offset of the pins.
    ...[0, ...u16(0), ...u16(0), ...u16(pins)],
    // Index and name of the controller; no vendor data.
    ...[0, ...u16(source), ...u16(end), ...u16(0)],
    ...u16(line),
    ...[...text(path), 0],
  ];
}

function u16(value: number): number[] {
  return [value & 0xff, value >> 8];
}

function table(body: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(text("SSDT"));
  view.setUint32(4, bytes.length, true);
  bytes[8] = 2;
  bytes.set(text("GPIOAG"), 10);
  bytes.set(text("LEVELS"), 16);
  view.setUint32(24, 1, true);
  bytes.set(text("GPIO"), 28);
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER_BYTES);
  bytes[9] = -bytes.reduce((sum, each) => sum + each, 0) & 0xff;
  return bytes;
}
