/** Refusals of the library at its border, with the line left as it is. */
import { assertEquals, assertThrows } from "@std/assert";
import { EINVAL } from "../../ffi/errno.ts";
import {
  Chip,
  findChipByProperties,
  findLines,
  identityTexts,
  LineError,
  locateLine,
  waitForEvents,
} from "../../src/gpio/mod.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";

const WRONG_VALUES: [unknown, string][] = [
  [true, "the boolean true"],
  [false, "the boolean false"],
  ["1", 'the string "1"'],
  ["0", 'the string "0"'],
  [2, "2"],
  [-1, "-1"],
  [null, "null"],
  [undefined, "undefined"],
  [NaN, "NaN"],
];

async function simChip() {
  return await SimChip.create(localFiles, {
    lines: 4,
    label: "border",
    names: { 0: "foo" },
  });
}

Deno.test("setting a line to what is neither 0 nor 1 is refused and drives nothing", async () => {
  await using sim = await simChip();
  using chip = Chip.open(sim.path);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: { direction: "output" } }],
  });
  for (const [value, name] of WRONG_VALUES) {
    const wrong = value as never;
    const message =
      `the value of line 0 must be 0 (inactive) or 1 (active), not ${name}`;
    assertThrows(() => request.setValue(0, wrong), TypeError, message);
    assertThrows(() => request.setValues({ 0: wrong }), TypeError, message);
    assertThrows(
      () => request.setValues(new Map([[0, wrong]])),
      TypeError,
      message,
    );
    assertEquals(request.writeBit(0, wrong), -22);
    if (value !== undefined) {
      assertThrows(
        () =>
          request.reconfigure([{
            offset: 0,
            settings: { direction: "output", outputValue: wrong },
          }]),
        TypeError,
        `outputValue must be 0 (inactive) or 1 (active), not ${name}`,
      );
    }
    assertEquals(await sim.level(0), 0);
  }
  assertThrows(() => request.setValues([1] as never), TypeError, "an array");
  assertThrows(() => request.getValue("0" as never), TypeError, 'string "0"');
  assertThrows(() => request.getValue(NaN), TypeError);
  assertEquals(request.readBit(NaN), -22);
  request.setValue(0, 1);
  assertEquals(await sim.level(0), 1);
});

Deno.test("a request with unknown settings or values of another type is refused", async () => {
  await using sim = await simChip();
  using chip = Chip.open(sim.path);
  const cases: [unknown, string][] = [
    [
      { offset: 1, settings: { direction: "output", value: 1 } },
      'Unknown key "value" in lines[0].settings: did you mean outputValue?',
    ],
    [
      { offset: 1, settings: { direction: "input", activelow: true } },
      'Unknown key "activelow" in lines[0].settings: did you mean activeLow?',
    ],
    [
      { offset: 1, direction: "output" },
      'Unknown key "direction" in lines[0]: did you mean settings.direction?',
    ],
    [{ offset: "1" }, 'lines[0].offset must be a number, not the string "1"'],
    [{ offsets: "1" }, 'lines[0].offsets must be an array, not the string "1"'],
    [
      { offset: 1, settings: { activeLow: "false" } },
      'activeLow must be true or false, not the string "false"',
    ],
    [
      { offset: 1, settings: { direction: "input", debouncePeriodUs: "5000" } },
      'debouncePeriodUs must be a number, not the string "5000"',
    ],
    [{ offset: 1, settings: null }, "settings must be an object, not null"],
    [{ name: "foo" }, 'Unknown key "name" in lines[0]'],
    [{}, "lines[0].offset must be a number, not undefined"],
    [{ offset: 1, offsets: [2] }, "has both offset and offsets"],
  ];
  for (const [selection, message] of cases) {
    assertThrows(
      () => chip.requestLines({ lines: [selection as never] }),
      TypeError,
      message,
    );
  }
  const lines = [{ offset: 1 }];
  for (
    const [options, message] of [
      [{ lines, consumer: 5 }, "consumer must be a string, not 5"],
      [{ lines, consumer: null }, "consumer must be a string, not null"],
      [{ lines, consumers: "x" }, "did you mean consumer?"],
      [{ lines, eventBufferSize: "16" }, "eventBufferSize must be a number"],
      [{ offsets: [1] }, "did you mean lines[].offsets?"],
      [{}, "lines must be an array, not undefined"],
      [undefined, "the request must be an object, not undefined"],
    ] as [never, string][]
  ) {
    assertThrows(() => chip.requestLines(options), TypeError, message);
  }
  assertThrows(
    () =>
      chip.requestLines({
        lines: [{ offset: 1, settings: { direction: "out" as never } }],
      }),
    LineError,
    'direction "out" is not one of',
  );
  assertEquals(chip.lineInfo(1).used, false);
});

Deno.test("chips and lines are looked for by what they can be known by", async () => {
  await using sim = await simChip();
  using chip = Chip.open(sim.path);
  const cases: [() => unknown, string][] = [
    [() => Chip.open(undefined as never), "not by undefined"],
    [() => Chip.open(-1), "not by -1"],
    [() => Chip.open(""), 'not by the string ""'],
    [() => chip.lineInfo("0" as never), "offset must be a number, not the st"],
    [() => chip.waitInfoEvents(NaN), "timeoutMs must be"],
    [() => chip.readInfoEvents("1" as never), "max must be a number"],
    [() => chip.infoEvents({ sig: 1 } as never), 'Unknown key "sig"'],
    [() => findLines([5] as never), "must be a string, not 5"],
    [() => findLines("foo", { strct: true } as never), "mean strict?"],
    [() => findChipByProperties({ usbserial: "F" } as never), "usbSerial?"],
    [() => findChipByProperties({ lines: "8" } as never), "lines must be a n"],
    [() => findLines("foo", { strict: "no" } as never), "strict must be true"],
    [() => findChipByProperties({}), "must have at least one of label"],
    [
      () => locateLine({ identity: { label: undefined }, offset: 0 }),
      "identity must have at least one of label",
    ],
    [() => identityTexts(null as never), "the chip must be an object"],
    [() => waitForEvents([null as never], 0), "sources[0] must be an object"],
    [() => waitForEvents(["a" as never], 0), "sources[0] must be an object"],
    [() => waitForEvents([{} as never], 0), "sources[0].fd must be a number"],
    [() => locateLine({ name: "foo" } as never), "did you mean lineName?"],
    [() => locateLine({ chip: "a", offset: "0" } as never), "offset must be"],
    [() => locateLine({ offset: 0 }), "chip must be a string, not undefined"],
  ];
  for (const [act, message] of cases) assertThrows(act, TypeError, message);
});

Deno.test("functions that never throw refuse what they cannot take", async () => {
  await using sim = await simChip();
  using chip = Chip.open(sim.path);
  using request = chip.requestLines({
    lines: [{ offset: 1, settings: { direction: "output", outputValue: 1 } }],
  });
  for (const bit of [null, "0", "", false, [], NaN, 0.5, -1, 1, undefined]) {
    assertEquals(request.readBit(bit as never), -EINVAL, `${bit}`);
    assertEquals(request.writeBit(bit as never, 0), -EINVAL, `${bit}`);
  }
  for (
    const settings of [
      null,
      undefined,
      "output",
      5,
      { activelow: true },
      { direction: "output", value: 0 },
      { direction: "output", activeLow: "false" },
    ]
  ) {
    assertEquals(
      request.configure(settings as never),
      -EINVAL,
      JSON.stringify(settings),
    );
  }
  for (const batch of [null, undefined, 5, {}, new Uint8Array(48)]) {
    assertEquals(request.readEvents(batch as never), -EINVAL);
  }
  assertEquals(request.getValue(1), 1);
  assertEquals(chip.lineInfo(1).direction, "output");
});

Deno.test("timers run while edges come, and a signal ends the loop", async () => {
  await using sim = await simChip();
  using chip = Chip.open(sim.path);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: { direction: "input", edge: "both" } }],
  });
  const controller = new AbortController();
  const reason = new Error("enough");
  let seen = 0;
  try {
    await sim.pull(0, "up");
    for await (const _ of request.edgeEvents({ signal: controller.signal })) {
      seen++;
      // Each edge makes the next one: the kernel's buffer is never empty.
      await sim.pull(0, seen % 2 === 0 ? "up" : "down");
      if (seen === 1) setTimeout(() => controller.abort(reason), 20);
      if (seen > 5000) throw new Error("no timer ran");
    }
  } catch (error) {
    assertEquals(error, reason);
  }
});
