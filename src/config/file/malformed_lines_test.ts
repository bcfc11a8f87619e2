import {
  lineConfig,
  type Malformed,
  testMalformed,
} from "../../../tests/doubles/malformed_config.ts";

const L = "aggregators.a.lines[0]";

/** SPECs. */
const SPECS: readonly Malformed[] = [
  [`»""`, `${L}: has no line`],
  [`»",as=x"`, `${L}: has no line`],
  ["»sim", `${L}: has no number of simulated lines`],
  ["»sim/x", `${L}: has no number of simulated lines`],
  ["»sim/0", `${L}: is not a valid number of simulated lines`],
  [`»sim/1,3`, `${L}: is not a valid number of simulated lines`],
  ["»chip0/7-0", `${L}: is in descending order`],
  ["»chip0/0-3,2", `${L}: offset 2 is named twice`],
  ["»chip0/70000", `${L}: out of range`],
  ["»chip0/1,as=a,2", `${L}: stands behind a key`],
  ["»chip0/1,colour=red", `${L}: unknown key "colour"`],
  ["»chip0/1,actve-low", `${L}: Did you mean active-low?`],
  ["»chip0/1,as", `${L}: has no value`],
  ["»chip0/1,as=a,as=b", `${L}: is given twice`],
  ["»chip0/1,bias=up", `${L}: bias=up is not known`],
  [
    "»»»chip0/1,bias=up,drive=down,debounce=5x",
    `${L}: bias=up is not known`,
    `${L}: drive=down is not known`,
    `${L}: debounce=5x is not a valid period`,
  ],
  ["»chip0/1,direction=input,initial=1", `${L}: drives the line`],
  ["»const", `${L}: has no value`],
  ["»const/2", `${L}: const/0 or const/1`],
  ["»wire", `${L}: does not name a line`],
  ["»wire/", `${L}: does not name a line`],
  ["»copy", `${L}: Write copy/LINE`],
  ["»invert/", `${L}: Write invert/LINE`],
  ["»label:soc", `${L}: names a chip but no line of it`],
  ["»label:soc/", `${L}: names a chip but no line of it`],
  ["»i2c:here/4", `${L}: is not an I2C bus and address`],
  ["»lines:8/4", `${L}: has no key other than lines`],
  ["»label:a+label:b/4", `${L}: label is given twice`],
  ["»chip0/1,safe-after=2s", `${L}: needs a value: safe=0 or safe=1`],
  ["»chip0/1,safe-after=2s", `${L}: Add safe=0 or safe=1`],
  ["»[PMU0_SSI]", `${L}: is written in quotes`],
];

/** Texts that YAML takes for something else than text. */
const SCALARS: readonly Malformed[] = [
  ["»5", `${L}: 5 is not a line`],
  ["»0x10", `${L}: write it in quotes: "0x10"`],
  ["»4.5", `${L}: 4.5 is not a line`],
  ["»null", `${L}: null is not a line`],
  ["»~", `${L}: ~ is not a line`],
  ["»true", `${L}: true is not a line`],
  ["»chip0/", `${L}: names a chip but no line of it`],
  ['»"\\0"', `${L}: has a NUL byte`],
  ["»'ABC\\x00'", `${L}: has a NUL byte`],
  ["{ line: »null }", `${L}.line: null is not a line's name`],
  ["{ line: »~ }", `${L}.line: write it in quotes: "~"`],
  ["{ chip: »null, offset: 1 }", `${L}.chip: null is not a chip's name`],
  ["{ chip: »true, line: A }", `${L}.chip: true is not a chip's name`],
  ['{ chip: »"a\\0", offset: 1 }', `${L}.chip: is not a valid chip`],
  ["{ sim: 1, as: »null }", `${L}.as: null is not a name`],
  ["{ sim: 2, as: [a, »~] }", `${L}.as[1]: ~ is not a name`],
];

/** Sources of a line. */
const SOURCES: readonly Malformed[] = [
  ["»{}", `${L}: has no source`],
  ["»[chip0/1]", `${L}: found a list`],
  ["»{ as: X }", `${L}: Add one of chip, line, sim`],
  ["»{ offset: 4 }", `${L}: has no source`],
  ["{ »chip: chip0 }", `${L}.chip: does not name a line of the chip`],
  ["{ chip: chip0, offset: »x }", `${L}.offset: is not an offset`],
  ["{ chip: chip0, offset: »-1 }", `${L}.offset: is not an offset`],
  ["{ chip: chip0, offset: »4.5 }", `${L}.offset: from 0 to 65534`],
  ["{ chip: chip0, offset: »0-3 }", `${L}.offset: Write offsets: 0-3`],
  ["{ chip: chip0, offset: »99999999999 }", `${L}.offset: is not an offset`],
  [
    "{ chip: chip0, »offset: }",
    `${L}.offset: expected an offset, found nothing`,
  ],
  ["{ chip: chip0, offset: »[1] }", `${L}.offset: found a list`],
  ["{ chip: chip0, »ofset: 1 }", `${L}.ofset: Did you mean offset?`],
  ["{ chip: chip0, offsets: »a-b }", `${L}.offsets: is not a valid offset`],
  ["{ chip: chip0, offsets: »3-1 }", `${L}.offsets: is in descending order`],
  ["{ chip: chip0, offsets: »[] }", `${L}.offsets: has no offset`],
  ["{ chip: chip0, offsets: »[1, 1] }", `${L}.offsets: named twice`],
  ["{ chip: chip0, offsets: [1, »{}] }", `${L}.offsets[1]: found a mapping`],
  ["{ chip: chip0, offsets: »{} }", `${L}.offsets: found a mapping`],
  [
    "{ chip: chip0, offset: 1, »offsets: 2-3 }",
    `${L}.offsets: "offset" already gives the line of`,
  ],
  [
    "{ chip: chip0, offset: 1, »line: X }",
    `${L}.line: "offset" already gives the line of`,
  ],
  [
    "{ chip: chip0, offset: 1, »sim: 1 }",
    `${L}.sim: "chip" already gives the source of the line`,
  ],
  [
    "{ line: X, »const: 1 }",
    `${L}.const: "line" already gives the source of the line`,
  ],
  [
    "{ sim: 1, »wire: OTHER, »copy: OTHER }",
    `${L}.wire: "sim" already gives the source`,
    `${L}.copy: "sim" already gives the source`,
  ],
  ["{ sim: 1, »offset: 4 }", `${L}.offset: needs a chip`],
  ["{ line: X, »offsets: 4 }", `${L}.offsets: needs a chip`],
  ["{ line: »[] }", `${L}.line: found a list`],
  [`{ line: »"" }`, `${L}.line: is not a line's name`],
  ["{ sim: »0 }", `${L}.sim: is not a number of simulated lines`],
  ["{ sim: »many }", `${L}.sim: from 1 to 65535`],
  ["{ sim: »70000 }", `${L}.sim: from 1 to 65535`],
  ["{ const: »2 }", `${L}.const: is not a valid value`],
  ["{ const: »high }", `${L}.const: 0 (inactive) or 1 (active)`],
  ["{ »const: }", `${L}.const: found nothing`],
  ["{ wire: »[OTHER] }", `${L}.wire: found a list`],
  ["{ »copy: }", `${L}.copy: found nothing`],
  ["{ chip: »{}, offset: 1 }", `${L}.chip: has no key`],
  ["{ chip: »[a], offset: 1 }", `${L}.chip: found a list`],
  [`{ chip: »"", offset: 1 }`, `${L}.chip: is not a valid chip`],
  ["{ chip: »{ lines: 8 }, offset: 1 }", `${L}.chip: no key other than lines`],
  ["{ chip: »lines:8, offset: 1 }", `${L}.chip: no key other than lines`],
  [
    "{ chip: { »serial: FT123 }, offset: 1 }",
    `${L}.chip.serial: unknown key "serial"`,
  ],
  [
    "{ chip: { »usb_serial: FT123 }, offset: 1 }",
    `${L}.chip.usb_serial: Did you mean usb-serial?`,
  ],
  [
    "{ chip: { i2c: »0x20 }, offset: 1 }",
    `${L}.chip.i2c: is not an I2C bus and address`,
  ],
  [
    "{ chip: { device: »platform/x }, offset: 1 }",
    `${L}.chip.device: is not a sysfs path`,
  ],
  [
    "{ chip: { device-tree: »soc }, offset: 1 }",
    `${L}.chip.device-tree: is not a device-tree path`,
  ],
  ["{ chip: { path: »gpio }, offset: 1 }", `${L}.chip.path: is not a path`],
  [
    "{ chip: { label: a, lines: »none }, offset: 1 }",
    `${L}.chip.lines: is not a number of lines`,
  ],
  ["{ chip: { label: »[a] }, offset: 1 }", `${L}.chip.label: found a list`],
  ["{ chip: { label: a, »label: b }, offset: 1 }", `${L}.chip.label: twice`],
];

/** Rules. */
const RULES: readonly Malformed[] = [
  ["{ sim: 1, »colour: red }", `${L}.colour: unknown key "colour"`],
  ["{ sim: 1, »dirction: input }", `${L}.dirction: Did you mean direction?`],
  ["{ sim: 1, direction: »both }", `${L}.direction: "both" is not known`],
  ["{ sim: 1, direction: »[input] }", `${L}.direction: found a list`],
  ["{ sim: 1, »direction: }", `${L}.direction: found nothing`],
  ["{ sim: 1, direction: »Input }", `${L}.direction: one of input, output`],
  ["{ sim: 1, bias: »up }", `${L}.bias: "up" is not known`],
  ["{ sim: 1, drive: »open }", `${L}.drive: "open" is not known`],
  ["{ sim: 1, active-low: »maybe }", `${L}.active-low: neither true nor false`],
  ["{ sim: 1, active-low: »yes }", `${L}.active-low: It is true or false`],
  ["{ sim: 1, »active-low: }", `${L}.active-low: found nothing`],
  [
    "{ sim: 1, debounce: »5 ms }",
    `${L}.debounce: is not a valid period | Did you mean 5ms?`,
  ],
  ["{ sim: 1, »name: X }", `${L}.name: unknown key "name" | Did you mean as?`],
  [
    "{ sim: 1, »pull: up }",
    `${L}.pull: unknown key "pull" | Did you mean bias?`,
  ],
  ["{ sim: 1, debounce: »5x }", `${L}.debounce: us, ms, s, m or h`],
  ["{ sim: 1, debounce: »-1ms }", `${L}.debounce: is not a valid period`],
  ["{ sim: 1, debounce: »5000s }", `${L}.debounce: below 71 minutes`],
  ["{ sim: 1, initial: »2 }", `${L}.initial: is not a valid value`],
  ["{ sim: 1, initial: »as-it-is }", `${L}.initial: or as-is`],
  ["{ sim: 1, safe: »low }", `${L}.safe: is not a valid value`],
  ["{ sim: 1, safe: »as-is }", `${L}.safe: is not a valid value`],
  ["{ sim: 1, on-disconnect: »off }", `${L}.on-disconnect: is not known`],
  [
    "{ sim: 1, safe: 0, safe-after: »0 }",
    `${L}.safe-after: must be longer than 0`,
  ],
  [
    "{ sim: 1, safe: 0, safe-after: »soon }",
    `${L}.safe-after: is not a valid period`,
  ],
  [
    "{ sim: 1, min-interval: »0ms }",
    `${L}.min-interval: must be longer than 0`,
  ],
  ["{ sim: 1, min-interval: »[] }", `${L}.min-interval: found a list`],
  ["{ line: X, combine: »xor }", `${L}.combine: one of or, and`],
  ["{ line: X, shared: »both }", `${L}.shared: neither true nor false`],
  ["{ line: X, optional: »{} }", `${L}.optional: found a mapping`],
  ["{ line: X, lane: »slow }", `${L}.lane: neither true nor false`],
  [`{ sim: 1, as: »"" }`, `${L}.as: is an empty name`],
  ["{ sim: 1, as: »Grün }", `${L}.as: not plain 7-bit text`],
  [`{ sim: 1, as: »${"x".repeat(32)} }`, `${L}.as: longer than 31`],
  ["{ sim: 2, as: »[A] }", `${L}.as: 1 names for 2 lines`],
  ["{ sim: 1, as: »[A, B] }", `${L}.as: 2 names for 1 lines`],
  ["{ sim: 1, as: »[] }", `${L}.as: found an empty list`],
  ["{ sim: 2, as: [A, »{}] }", `${L}.as[1]: found a mapping`],
  ["{ sim: 1, as: »{} }", `${L}.as: a name, or a list of names`],
  ["{ sim: 1, bias: pull-up, »bias: disabled }", `${L}.bias: given twice`],
];

/** Rules that exclude each other. */
const CONTRADICTIONS: readonly Malformed[] = [
  [
    "{ sim: 1, direction: input, »initial: 1 }",
    `${L}.initial: direction=input forbids that`,
  ],
  [
    "{ sim: 1, direction: input, »safe: 1 }",
    `${L}.safe: direction=input forbids that`,
  ],
  [
    "{ sim: 1, direction: input, »drive: open-drain }",
    `${L}.drive: direction=input forbids that`,
  ],
  [
    "{ sim: 1, »min-interval: 1s, direction: input }",
    `${L}.min-interval: direction=input forbids that`,
  ],
  [
    "{ sim: 1, direction: input, »initial: 1, »safe: 0, »safe-after: 1s }",
    `${L}.initial: forbids`,
    `${L}.safe: forbids`,
    `${L}.safe-after: forbids`,
  ],
  [
    "{ sim: 1, direction: output, »debounce: 1ms }",
    `${L}.debounce: needs an input`,
  ],
  [
    "{ sim: 1, direction: output, »on-disconnect: input }",
    `${L}.on-disconnect: needs an input`,
  ],
  ["{ sim: 1, »on-disconnect: safe }", `${L}.on-disconnect: needs a value`],
  ["{ sim: 1, »safe-after: 1s }", `${L}.safe-after: needs a value`],
  [
    "{ sim: 1, »safe: 1, on-disconnect: keep }",
    `${L}.safe: never used with on-disconnect=keep`,
  ],
  [
    "{ line: X, »shared: true, direction: output }",
    `${L}.shared: a shared line is an input`,
  ],
  [
    "{ line: X, shared: true, »safe: 0 }",
    `${L}.safe: a shared line is an input`,
  ],
  [
    "{ line: X, shared: true, »combine: or }",
    `${L}.combine: a shared line is an input`,
  ],
  [
    "{ line: X, »combine: or, direction: any }",
    `${L}.combine: needs direction=output`,
  ],
  [
    "{ line: X, »combine: or, direction: input }",
    `${L}.combine: direction=input forbids that`,
  ],
  ["{ sim: 1, »shared: true }", `${L}.shared: belongs to one aggregator`],
  ["{ sim: 1, »combine: and }", `${L}.combine: others can copy it`],
  ["{ sim: 1, »optional: true }", `${L}.optional: is never absent`],
  ["{ sim: 1, »lane: true }", `${L}.lane: has no chip`],
  [
    "{ const: 1, »direction: output }",
    `${L}.direction: a constant line is an input`,
  ],
  ["{ const: 1, »initial: 1 }", `${L}.initial: a constant line is an input`],
  ["{ const: 1, »active-low: true }", `${L}.active-low: has no hardware`],
  ["{ copy: OTHER, »bias: pull-up }", `${L}.bias: a copy has no hardware`],
  ["{ copy: OTHER, »debounce: 1ms }", `${L}.debounce: has no hardware`],
  ["{ invert: OTHER, »safe: 0 }", `${L}.safe: an inverted copy is an input`],
  ["{ wire: OTHER, »debounce: 1ms }", `${L}.debounce: a wire has no hardware`],
  ["{ wire: OTHER, »direction: any }", `${L}.direction: a wire is an input`],
];

/** Several errors in one line, in block style too. */
const SEVERAL: readonly Malformed[] = [
  [
    `{ chip: chip0, offset: »x, »colour: red, bias: »up, safe: »2, ` +
    `debounce: »long }`,
    `${L}.offset: is not an offset`,
    `${L}.colour: unknown key`,
    `${L}.bias: is not known`,
    `${L}.safe: is not a valid value`,
    `${L}.debounce: is not a valid period`,
  ],
  [
    `
          chip:
            label: soc
            »serial: 1
          offset: »many
          # a comment: with a colon
          "bias": »"up"
          ? drive
          : »'down'`,
    `${L}.chip.serial: unknown key`,
    `${L}.offset: is not an offset`,
    `${L}.bias: "up" is not known`,
    `${L}.drive: "down" is not known`,
  ],
  [
    `chip0/1
      - &shape
        chip: chip0
        offset: 2
        safe: »»high
      - { <<: *shape, as: »Ü }`,
    `aggregators.a.lines[1].safe: is not a valid value`,
    `aggregators.a.lines[2]["<<"].safe: is not a valid value`,
    `aggregators.a.lines[2].as: not plain 7-bit text`,
  ],
];

testMalformed("a SPEC", SPECS, lineConfig);
testMalformed("a scalar", SCALARS, lineConfig);
testMalformed("a source", SOURCES, lineConfig);
testMalformed("a rule", RULES, lineConfig);
testMalformed("a contradiction", CONTRADICTIONS, lineConfig);
testMalformed("several errors", SEVERAL, lineConfig);
