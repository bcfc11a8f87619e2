/**
 * ACPI tables for guests: lines of a GPIO adapter on USB, or of a PCI card, whose
 * level interrupts the guest's kernel handles by itself, since its character device
 * requests edges only.
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
    ...name("_HID", string("INTC1074")),
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

/**
 * Returns a table (SSDT) that connects each line, of the first chip of a PCI card
 * in the first slot, with a sensor on the bus of i2c-i801: driver `lm90`, which
 * takes the kind of its interrupt from the table. The sensors are where that bus has
 * memories of 256 bytes in QEMU's machine q35, which are enough for the driver.
 *
 * The kernel finds the card's chips by a table from 7.x on.
 */
export function cardInterruptTable(
  interrupts: readonly LevelInterrupt[],
): Uint8Array<ArrayBuffer> {
  const bus = ["_SB_", "PCI0", "SFB_"];
  const sensors = interrupts.flatMap((each, i) =>
    device(`SEN${i}`, [
      ...name("_HID", string("PRP0001")),
      ...name(
        "_DSD",
        list(
          buffer(DEVICE_PROPERTIES),
          list(list(string("compatible"), string("national,lm90"))),
        ),
      ),
      ...name(
        "_CRS",
        buffer([
          ...i2cDevice(FIRST_SENSOR + i, "\\_SB.PCI0.SFB"),
          ...gpioInt(each, "\\_SB.PCI0.S08"),
          ...END_TAG,
        ]),
      ),
    ])
  );
  return table(
    withLength([SCOPE], [
      ...[ROOT, MULTI_NAME, bus.length],
      ...bus.flatMap(text),
      ...sensors,
    ]),
  );
}

const ZERO = 0x00;
const BYTE = 0x0a;
const STRING = 0x0d;
const SCOPE = 0x10;
const BUFFER = 0x11;
const PACKAGE = 0x12;
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
/** The last two of eight memories. */
const FIRST_SENSOR = 0x56;
/** daffd814-6eba-4d8c-8a91-bc9bbf4aa301 */
const DEVICE_PROPERTIES = [
  ...[0x14, 0xd8, 0xff, 0xda, 0xba, 0x6e, 0x8c, 0x4d],
  ...[0x8a, 0x91, 0xbc, 0x9b, 0xbf, 0x4a, 0xa3, 0x01],
];

function text(word: string): number[] {
  return [...new TextEncoder().encode(word)];
}

function string(word: string): number[] {
  return [STRING, ...text(word), 0];
}

function list(...elements: readonly (readonly number[])[]): number[] {
  return withLength([PACKAGE], [elements.length, ...elements.flat()]);
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

/** I2C connection descriptor. */
function i2cDevice(address: number, path: string): number[] {
  const specific = 6;
  const source = [...text(path), 0];
  return [
    ...[0x8e, ...u16(9 + specific + source.length)],
    // Revision, index of the controller, I2C, a consumer.
    ...[2, 0, 1, 2],
    // No flags, revision, length of what is I2C's own: speed, address.
    ...[...u16(0), 1, ...u16(specific)],
    ...[...u16(100_000 & 0xffff), ...u16(100_000 >> 16), ...u16(address)],
    ...source,
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
