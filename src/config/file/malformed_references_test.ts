import {
  type Malformed,
  testMalformed,
  twoAggregators,
} from "../../../tests/doubles/malformed_config.ts";

const A = "aggregators.a.lines";
const B = "aggregators.b.lines";

/** Names and references. */
const NAMES: readonly Malformed[] = [
  [
    twoAggregators(["sim/1,as=X", "{ sim: 1, as: »X }"], ["sim/1,as=X"]),
    `${A}[1].as: the name "X" is taken already, in line 5`,
  ],
  [
    twoAggregators(["sim/1", "»sim/1,as=sim0"], ["sim/1"]),
    `${A}[1]: the name "sim0" is taken`,
  ],
  [
    twoAggregators(["sim/2,as=X", "»sim/1,as=X1"], ["sim/1"]),
    `${A}[1]: the name "X1" is taken`,
  ],
  [
    twoAggregators(["{ wire: »c.X }"], ["sim/1,as=X"]),
    `${A}[0].wire: there is no aggregator "c"`,
  ],
  [
    twoAggregators(["{ wire: »bb.X }"], ["sim/1,as=X"]),
    `${A}[0].wire: Did you mean b.X?`,
  ],
  [
    twoAggregators(["{ wire: »b.READYY }"], ["sim/1,as=READY"]),
    `${A}[0].wire: Did you mean b.READY?`,
  ],
  [
    twoAggregators(["{ wire: »b.NONE }"], ["sim/1,as=READY"]),
    `${A}[0].wire: b has no line "NONE"`,
  ],
  [
    twoAggregators(["»wire/b.NONE"], ["sim/1,as=READY"]),
    `${A}[0]: b has no line "NONE"`,
  ],
  [
    twoAggregators(["{ copy: »X }"], ["sim/1,as=X"]),
    `${A}[0].copy: a has no line "X"`,
  ],
  [
    twoAggregators(["{ invert: »b. }"], ["sim/1,as=X"]),
    `${A}[0].invert: b has no line ""`,
  ],
  [
    twoAggregators(["{ copy: »ESTOP }", "chip0/1"], ["sim/1"]),
    `${A}[0].copy: by the name that as: gives it`,
  ],
  [
    twoAggregators(["{ wire: »b.IN }"], ["sim/1,as=IN,direction=input"]),
    `${A}[0].wire: b.IN is an input, so nothing drives this wire`,
  ],
  [
    twoAggregators(["{ wire: »b.ONE }"], ["{ const: 1, as: ONE }"]),
    `${A}[0].wire: Use copy: to see the value of an input`,
  ],
];

/** References that several lines match, or that are a slip of one with dots. */
const DOTTED: readonly Malformed[] = [
  [
    `aggregators:
  plc: { vhost-user: /a.sock, lines: ["sim/1,as=0.X", { copy: »plc.0.X }] }
  plc.0: { vhost-user: /b.sock, lines: ["sim/1,as=X"] }
`,
    `aggregators.plc.lines[1].copy: is line "0.X" of plc and line "X" of plc.0`,
  ],
  [
    twoAggregators(["sim/1,as=b.X", "{ copy: »b.X }"], ["sim/1,as=X"]),
    `${A}[1].copy: Give one of them another name`,
  ],
  [
    `aggregators:
  plc: { vhost-user: /a.sock, lines: ["sim/1,as=Y", { copy: »plc.0.READX }] }
  plc.0: { vhost-user: /b.sock, lines: ["sim/1,as=READY"] }
`,
    `aggregators.plc.lines[1].copy: plc.0 has no line "READX" | Did you mean ` +
    `plc.0.READY?`,
  ],
  [
    twoAggregators(["sim/1,as=USB2.0_SEL", "{ copy: »USB2.0_SLE }"], ["sim/1"]),
    `${A}[1].copy: a has no line "USB2.0_SLE" | Did you mean USB2.0_SEL?`,
  ],
];

/** Lines that lead back to themselves. */
const CYCLES: readonly Malformed[] = [
  [
    twoAggregators(["{ copy: »X, as: X }"], ["sim/1"]),
    `${A}[0].copy: refers to itself`,
  ],
  [
    twoAggregators(["»copy/X,as=X"], ["sim/1"]),
    `${A}[0]: refers to itself`,
  ],
  [
    twoAggregators(["{ wire: »b.Y, as: X }"], ["{ wire: a.X, as: Y }"]),
    `${A}[0].wire: is part of a cycle: X -> Y -> X`,
  ],
  [
    twoAggregators(["{ copy: »b.Y, as: X }"], ["{ invert: a.X, as: Y }"]),
    `${A}[0].copy: is part of a cycle: X -> Y -> X`,
  ],
  [
    twoAggregators(
      ["{ copy: Y, as: X }", "{ copy: »Z, as: Y }", "{ copy: Y, as: Z }"],
      ["sim/1"],
    ),
    `${A}[1].copy: is part of a cycle: Y -> Z -> Y`,
  ],
  [
    twoAggregators(
      ["{ copy: »b.B, as: A }", "{ invert: »D, as: D }"],
      ["{ copy: C, as: B }", "{ wire: a.A, as: C }"],
    ),
    `${A}[0].copy: A -> B -> C -> A`,
    `${A}[1].invert: refers to itself`,
  ],
];

/** Host lines that are used twice. */
const MASTERS: readonly Malformed[] = [
  [
    twoAggregators(["chip0/1"], ["»chip0/1"]),
    `${B}[0]: taken by a already, in line 5`,
  ],
  [
    twoAggregators(["chip0/0-3"], ["»{ chip: chip0, offset: 2 }"]),
    `${B}[0]: An output has one master`,
  ],
  [
    twoAggregators(["0/1"], ["gpiochip0/2", "»/dev/gpiochip0/1"]),
    `${B}[1]: taken by a already`,
  ],
  [
    twoAggregators(["chip0/1", "»chip0/1"], ["sim/1"]),
    `${A}[1]: An aggregator has each line once`,
  ],
  [
    twoAggregators(
      ["{ line: X, shared: true }", "»{ line: X, shared: true }"],
      ["sim/1"],
    ),
    `${A}[1]: An aggregator has each line once`,
  ],
  [
    twoAggregators(["X"], ["»{ line: X, as: Y }"]),
    `${B}[0]: taken by a already`,
  ],
  [
    twoAggregators(["{ line: X, shared: true }"], ["»X"]),
    `${B}[0]: shared: true at both`,
  ],
  [
    twoAggregators(["X,direction=input"], ["»X,shared"]),
    `${B}[0]: shared: true at both`,
  ],
  [
    twoAggregators(["X,combine=or"], ["»X"]),
    `${B}[0]: outputs combined`,
  ],
  [
    twoAggregators(["X,combine=or"], ["{ line: X, »combine: and }"]),
    `${B}[0].combine: combine it in the same way`,
  ],
  [
    twoAggregators(["X,combine=or"], ["»X,shared"]),
    `${B}[0]: one master`,
  ],
  [
    twoAggregators(
      ["X,shared,bias=pull-up"],
      ["{ line: X, shared: true, »bias: disabled }"],
    ),
    `${B}[0].bias: another "bias"`,
  ],
  [
    twoAggregators(["X,shared,debounce=1ms"], ["»X,shared,debounce=2ms"]),
    `${B}[0]: another "debounce"`,
  ],
  [
    twoAggregators(
      ["X,combine=or,drive=push-pull"],
      ["{ line: X, combine: or, »drive: open-drain }"],
    ),
    `${B}[0].drive: another "drive"`,
  ],
  [
    twoAggregators(
      ["X,combine=or"],
      ["{ line: X, combine: or, »active-low: true }"],
    ),
    `${B}[0].active-low: another "active-low"`,
  ],
  [
    twoAggregators(
      ["usb-serial:F1+lines:8/0"],
      ["»{ chip: { lines: 8, usb-serial: F1 }, offset: 0 }"],
    ),
    `${B}[0]: taken by a already`,
  ],
  [
    twoAggregators(
      ["label:soc/X"],
      ["»{ chip: { label: soc }, line: X }"],
    ),
    `${B}[0]: taken by a already`,
  ],
];

const OUTPUTS = ["sim/1,as=UP", "sim/1,as=DOWN", "sim/1,as=IN,direction=input"];

function interlocks(text: string): string {
  return twoAggregators(
    [...OUTPUTS, "{ const: 1, as: ONE }", "LAMP,combine=or,as=LAMP"],
    ["sim/1,as=UP,initial=1", "sim/1,as=UP2,initial=1,safe=1"],
    `interlocks: ${text}\n`,
  );
}

const INTERLOCKS: readonly Malformed[] = [
  ["»{}", "interlocks: expected a list of interlocks"],
  ["[»a.UP]", `interlocks[0]: found "a.UP"`],
  ["[»{}]", `interlocks[0]: the key "exclusive" is missing`],
  ["[{ »exclusiv: [a.UP, a.DOWN] }]", `interlocks[0].exclusiv: mean exclusive`],
  ["[{ exclusive: »a.UP }]", `interlocks[0].exclusive: found "a.UP"`],
  ["[{ exclusive: »[] }]", `interlocks[0].exclusive: at least two lines`],
  ["[{ exclusive: »[a.UP] }]", `interlocks[0].exclusive: found only 1`],
  [
    "[{ exclusive: [a.UP, »[a.DOWN]] }]",
    `interlocks[0].exclusive[1]: found a list`,
  ],
  [
    "[{ exclusive: [a.UP, »DOWN] }]",
    `interlocks[0].exclusive[1]: names no aggregator`,
  ],
  [
    "[{ exclusive: [a.UP, »c.DOWN] }]",
    `interlocks[0].exclusive[1]: there is no aggregator "c"`,
  ],
  [
    "[{ exclusive: [a.UP, »a.DWN] }]",
    `interlocks[0].exclusive[1]: Did you mean a.DOWN?`,
  ],
  [
    "[{ exclusive: [a.UP, b.UP, »a.UP] }]",
    `interlocks[0].exclusive[2]: is listed twice`,
  ],
  [
    "[{ exclusive: [a.UP, »a.IN] }]",
    `interlocks[0].exclusive[1]: only outputs can exclude each other`,
  ],
  [
    "[{ exclusive: [a.UP, »a.ONE] }]",
    `interlocks[0].exclusive[1]: is an input`,
  ],
  [
    "[{ exclusive: [a.UP, »a.LAMP] }]",
    `interlocks[0].exclusive[1]: is combined`,
  ],
];

const VALUES: readonly Malformed[] = [
  [
    twoAggregators(
      ["sim/1,as=UP,initial=1,safe=1"],
      ["{ sim: 1, as: DOWN, »initial: 1, »safe: 1 }"],
      "interlocks: [{ exclusive: [a.UP, b.DOWN] }]\n",
    ),
    `${B}[0].initial: together with UP, but the two exclude each other`,
    `${B}[0].safe: together with UP, but the two exclude each other`,
  ],
  [
    `aggregators:
  a:
    vhost-user: /run/a.sock
    lines: [ "sim/1,as=UP,initial=1", »"sim/1,as=DOWN,initial=1" ]
    interlocks:
      - exclusive: [UP, DOWN]
      - exclusive: [UP, »b.DOWN, »SIDE]
`,
    `${A}[1]: initial=1 makes this line active`,
    `aggregators.a.interlocks[1].exclusive[1]: no aggregator "b"`,
    `aggregators.a.interlocks[1].exclusive[2]: a has no line "SIDE"`,
  ],
];

/** Requirements between exposures. */
const SHARED_PLACES: readonly Malformed[] = [
  [
    `aggregators:
  a: { vhost-user: /run/x.sock, lines: [sim/1] }
  b: { »vhost-user: /run/x.sock, lines: [sim/1] }
`,
    "aggregators.b.vhost-user: /run/x.sock is a's vhost-user socket already",
  ],
  [
    `aggregators:
  a: { vhost-user: /run/x.sock, lines: [sim/1] }
  b: { »vhost-user: /run/x.sock.control, lines: [sim/1] }
`,
    "aggregators.b.vhost-user: is a's control socket already",
  ],
  [
    `aggregators:
  a: { vhost-user: /run/x.sock, control: /run/c.sock, lines: [sim/1] }
  b: { vhost-user: /run/x.sock.control, lines: [sim/1] }
  c: { vhost-user: /run/c, »control: { path: /run/./c.sock }, lines: [sim/1] }
`,
    "aggregators.c.control: is a's control socket already",
  ],
  [
    `aggregators:
  a: { vhost-user: { fd: 3 }, lines: [sim/1] }
  b: { »vhost-user: { fd: 3 }, lines: [sim/1] }
`,
    "aggregators.b.vhost-user: fd 3 is a's vhost-user socket already",
  ],
  [
    `aggregators:
  a: { qemu-pins: { qtest: /q, qmp: /m }, lines: [sim/1] }
  b: { »qemu-pins: { qtest: /q, qmp: /m, device: pl061 }, lines: [sim/1] }
`,
    "aggregators.b.qemu-pins: /q is a's qtest socket already",
  ],
  [
    `aggregators:
  a: { qemu-pins: { qtest: /q, qmp: /m }, lines: [sim/1] }
  b: { »qemu-pins: { qtest: /r, qmp: /m, index: 1 }, lines: [sim/1] }
  c: { »qemu-pins: { qtest: /s, qmp: /s }, lines: [sim/1] }
  d: { »vhost-user: /q.control, lines: [sim/1] }
  e: { »qemu-pins: { qtest: /t, qmp: /q.control }, lines: [sim/1] }
`,
    "aggregators.b.qemu-pins: /m is a's QMP socket already",
    "aggregators.c.qemu-pins: /s is c's qtest socket already",
    "aggregators.d.vhost-user: /q.control is a's control socket already",
    "aggregators.e.qemu-pins: /q.control is d's vhost-user socket already",
  ],
  [
    `aggregators:
  a: { kernel-chip: {}, lines: [{ line: X, as: X }, Y] }
  b: { vhost-user: /b.sock, lines: [{ copy: »a.X }, sim/1, { wire: »a.Y }] }
`,
    `${B}[0].copy: is a line of a kernel chip`,
    `${B}[2].wire: is a line of a kernel chip`,
  ],
  [
    `aggregators:
  »plc.0: { kernel-chip: {}, lines: [X] }
  »_a: { kernel-chip: {}, lines: [Y] }
  »/b: { kernel-chip: {}, lines: [Z] }
`,
    `aggregators["plc.0"]: "plc.0" is not a valid name for a chip`,
    `aggregators._a: "_a" is not a valid name for a chip`,
    `aggregators["/b"]: "/b" is not a valid name for an aggregator`,
  ],
  [
    `aggregators:
  a: { kernel-chip: {}, lines: [{ line: X, as: X }] }
  b: { vhost-user: /b.sock, lines: [{ sim: 1, as: Y }] }
interlocks: [{ exclusive: [»a.X, b.Y] }]
`,
    `interlocks[0].exclusive[0]: is a line of a kernel chip`,
  ],
];

/** Errors that one error must not hide, and must not drag along. */
const INDEPENDENT: readonly Malformed[] = [
  [
    twoAggregators(
      ["{ sim: 1, as: READY, bias: »up }", "{ copy: READY }"],
      ["{ wire: a.READY }", "{ copy: »a.READDY }"],
    ),
    `${A}[0].bias: "up" is not known`,
    `${B}[1].copy: Did you mean a.READY?`,
  ],
  [
    twoAggregators(["{ sim: »x, as: READY }"], ["{ wire: a.READY }"]),
    `${A}[0].sim: is not a number`,
  ],
  [
    `aggregators:
  a: »broken
  b: { vhost-user: /b.sock, lines: [{ wire: a.X }, { copy: »c.X }] }
`,
    `aggregators.a: found "broken"`,
    `${B}[1].copy: there is no aggregator "c"`,
  ],
  [
    twoAggregators(
      ["{ line: X, shared: »maybe }"],
      [
        "{ line: X, shared: true }",
        "{ line: X, safe: »3 }",
      ],
    ),
    `${A}[0].shared: neither true nor false`,
    `${B}[1].safe: is not a valid value`,
  ],
  [
    `»defalts: {}
aggregators:
  a:
    »vhostuser: /run/a.sock
    lines:
      - »sim/0
      - { sim: 1, as: A, direction: output, »const: 1 }
`,
    `defalts: Did you mean defaults?`,
    `aggregators.a.vhostuser: Did you mean vhost-user?`,
    `${A}[0]: is not a valid number of simulated lines`,
    `${A}[1].const: "sim" already gives the source`,
  ],
];

testMalformed("a name", NAMES);
testMalformed("a name with dots", DOTTED);
testMalformed("a cycle", CYCLES);
testMalformed("two masters", MASTERS);
testMalformed("an interlock", INTERLOCKS, interlocks);
testMalformed("an interlock", VALUES);
testMalformed("an exposure", SHARED_PLACES);
testMalformed("errors apart", INDEPENDENT);
