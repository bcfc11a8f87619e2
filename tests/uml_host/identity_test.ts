/** Chips that are found for good, on simulated chips. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AbsentError,
  AmbiguousError,
  chipIdentities,
  findChipByProperties,
  identityTexts,
  locateLine,
} from "../../src/gpio/mod.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";

async function threeChips() {
  const stack = new AsyncDisposableStack();
  const make = async (
    label: string,
    lines: number,
    names: Record<number, string> = {},
  ) => stack.use(await SimChip.create(localFiles, { label, lines, names }));
  return {
    small: await make("twin", 4, { 0: "SAME", 1: "ONE" }),
    large: await make("twin", 8, { 0: "SAME" }),
    other: await make("other", 8),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

Deno.test("findChipByProperties() finds a chip by label, device, path and number of lines", async () => {
  await using chips = await threeChips();
  const { other, large } = chips;
  assertEquals(findChipByProperties({ label: "other" }), other.path);
  assertEquals(findChipByProperties({ path: other.path }), other.path);
  const { device } = chipIdentities(other.path);
  assert(/^\/devices\/platform\/gpio-sim\.\d+$/.test(device!), device);
  assertEquals(findChipByProperties({ device }), other.path);
  assertEquals(findChipByProperties({ device: `/sys${device}` }), other.path);
  assertEquals(
    findChipByProperties({ device: `${device}/${other.name}` }),
    other.path,
  );
  assertEquals(findChipByProperties({ label: "twin", lines: 8 }), large.path);
  assertEquals(findChipByProperties({ label: "twin", lines: 9 }), undefined);
  assertEquals(findChipByProperties({ usbSerial: "F1" }), undefined);
  assertEquals(
    findChipByProperties({ label: "other", i2c: "1-0020" }),
    undefined,
  );
});

Deno.test("findChipByProperties() lists the candidates of what is ambiguous", async () => {
  await using chips = await threeChips();
  const { small, large } = chips;
  const error = assertThrows(
    () => findChipByProperties({ label: "twin" }),
    AmbiguousError,
    'Cannot find the chip with label "twin": there are 2: ',
  );
  for (const { name, path } of [small, large]) {
    const { device, lines } = chipIdentities(path);
    assert(
      error.message.includes(`${name} (device:${device}, lines:${lines})`),
      error.message,
    );
  }
});

Deno.test("identityTexts() are ready to be used in a SPEC", async () => {
  await using chips = await threeChips();
  const identities = chipIdentities(chips.other.path);
  assertEquals(identityTexts(identities), [
    `device:${identities.device}`,
    "label:other",
    "lines:8",
  ]);
});

Deno.test("locateLine() finds lines by name, on any chip or on one", async () => {
  await using chips = await threeChips();
  const { small, large } = chips;
  assertEquals(locateLine({ lineName: "ONE" }), {
    chipPath: small.path,
    offset: 1,
  });
  assertEquals(
    locateLine({ lineName: "SAME", identity: { label: "twin", lines: 8 } }),
    { chipPath: large.path, offset: 0 },
  );
  assertThrows(
    () => locateLine({ lineName: "SAME" }),
    AmbiguousError,
    `several lines have the name, ${small.name}/0 and ${large.name}/0`,
  );
  assertThrows(() => locateLine({ lineName: "NONE" }), AbsentError);
  assertThrows(
    () => locateLine({ lineName: "ONE", chip: "other" }),
    AbsentError,
    "chip other has no line of that name",
  );
  assertThrows(
    () => locateLine({ identity: { label: "gone" }, offset: 0 }),
    AbsentError,
    'the chip with label "gone": there is none',
  );
});

Deno.test("serve takes every way to name a chip, and info --ids shows them", async () => {
  await using chips = await threeChips();
  const { small, large, other } = chips;
  const { device } = chipIdentities(other.path);
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    defaults: { direction: output, initial: 1 }
    lines:
      - { chip: { label: twin, lines: 4 }, offset: 0 }
      - { chip: { label: twin, lines: 8 }, line: SAME }
      - label:twin+lines:8/1
      - { chip: { device: /sys${device} }, offset: 2 }
      - device:${device}/3
      - { chip: { path: ${other.path} }, offset: 4 }
      - { chip: other, offset: 5 }
      - { line: ONE }
`);
  assertEquals(await small.level(0), 1);
  assertEquals(await small.level(1), 1);
  for (const offset of [0, 1]) assertEquals(await large.level(offset), 1);
  for (const offset of [2, 3, 4, 5]) assertEquals(await other.level(offset), 1);
  const { code, stdout } = await service.run("info", "--ids");
  assertEquals(code, 0);
  const deviceOf = ({ path }: SimChip) => chipIdentities(path).device;
  assertEquals(
    stdout,
    `${small.name} [twin] (4 lines)
\tdevice:${deviceOf(small)}
\tlabel:twin  (${large.name} too)
\tlines:4
${large.name} [twin] (8 lines)
\tdevice:${deviceOf(large)}
\tlabel:twin  (${small.name} too)
\tlines:8  (${other.name} too)
${other.name} [other] (8 lines)
\tdevice:${deviceOf(other)}
\tlabel:other
\tlines:8  (${large.name} too)
`,
  );
  const one = await service.run("info", "--ids", "--json", "-c", other.name);
  const { ids } = JSON.parse(one.stdout);
  assertEquals(ids[1], { id: "label:other", sharedWith: [] });
});
