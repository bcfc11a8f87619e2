import {
  aggregatorConfig,
  lineConfig,
  testMalformed,
} from "../../../tests/doubles/malformed_config.ts";

const LINES = "lines: [sim/1]";
const A = "aggregators.a";
const L = "aggregators.a.lines[0]";
const NO_BLANKS = "A SPEC has no blanks around its commas and =";
const ONE_LINE = "is written in more than one line | YAML joins lines";

testMalformed("a value in place of a list or mapping, with its form", [
  ["vhost-user: /run/a\nlines: »sim/1", `${A}.lines: Write a list: lines:`],
  ["vhost-user: /run/a\nlines:\n  »sim: 1", `${A}.lines: each line behind a`],
  [
    `${LINES}\nvhost-user: /run/a\ninterlocks:\n  »exclusive: [a, b]`,
    `${A}.interlocks: Write - exclusive: [UP, DOWN]`,
  ],
  [
    `${LINES}\nvhost-user: /run/a\ninterlocks: [{ exclusive: »X }]`,
    `${A}.interlocks[0].exclusive: Write [UP, DOWN]`,
  ],
  [
    `${LINES}\nvhost-user: /run/a\ndefaults: »debounce=5ms`,
    `${A}.defaults: Write { debounce: 5ms }`,
  ],
  [
    `${LINES}\nqemu-pins: { qtest: /q, qmp: /m, pins: »[A] }`,
    `${A}.qemu-pins.pins: Write { 0: START`,
  ],
  [`${LINES}\nqemu-pins: »/q`, `${A}.qemu-pins: Write { qtest: `],
  [
    `${LINES}\nvhost-user: »/run/a,mode=660,group=kvm`,
    `${A}.vhost-user: Write { socket: /run/a, mode: "660", group: kvm }`,
  ],
  [
    `${LINES}\nvfio-user: »/run/a,connect`,
    `${A}.vfio-user: ends with "connect", a setting of a command line | Write the path`,
  ],
  [
    `${LINES}\nusbredir: { connect: »"/run/a,device=cp2112" }`,
    `${A}.usbredir.connect: ends with "device=cp2112", a setting`,
  ],
  [
    `${LINES}\nvhost-user: /run/a\ncontrol: »/run/c,connect`,
    `${A}.control: ends with "connect", a setting`,
  ],
  [
    `${LINES}\nvhost-user: /run/a\ncontrol: »/run/c,owner=me`,
    `${A}.control: Write { path: /run/c, owner: me }`,
  ],
], aggregatorConfig);

testMalformed("a file in another form, with this one's", [
  ["aggregators:\n  »- a: {}\n", "aggregators: without a dash: press:"],
  ["aggregators: »a\n", "aggregators: Write each with its name as its key"],
  [
    "aggregators:\n  »a:\n  »vhost-user: /run/a\n  »lines: [sim/1]\n",
    `${A}: Write { vhost-user: `,
    `aggregators.vhost-user: indent it below the aggregator's name`,
    `aggregators.lines: indent it below the aggregator's name`,
  ],
  [
    "»»lines: [sim/1]\n",
    `lines: is a key of an aggregator: indent it`,
    `: the key "aggregators" is missing`,
  ],
  [
    "api: »/run/api.sock\n",
    "api: Write { socket: /run/gpioagg/api.sock }",
  ],
  [
    "api: { socket: »'/run/api.sock,mode=660' }\n",
    'api.socket: Write { path: /run/api.sock, mode: "660" }',
  ],
  [
    `aggregators:\n  a:\n    vhost-user: /run/a\n    ${LINES}\n    »safe: 0\n`,
    `${A}.safe: is a key of a line, or of defaults`,
  ],
]);

testMalformed("a key without a blank behind its colon", [
  [
    "aggregators:\n  a:\n    vhost-user»:/run/a\n    lines: [sim/1]\n",
    ": a blank is missing behind the colon of vhost-user",
  ],
  [
    "aggregators:\n  a:\n    lines: [sim/1]\n    vhost-user»:/run/a\n",
    ": a blank is missing behind the colon of vhost-user",
  ],
  [
    "aggregators:\n  a:\n    »vhost-user:/run/a\n",
    `${A}: A blank is missing behind the colon: vhost-user: /run/a`,
  ],
]);

testMalformed("a line in another form, with this one's", [
  ["»sim/1 ,as=Y", `${L}: ${NO_BLANKS}`],
  ["»sim/1, as=Y", `${L}: " as" has a blank beside it | ${NO_BLANKS}`],
  ["»gpiochip0/0, 1", `${L}: " 1" has a blank beside it`],
  [
    "{ »sim:1, »as:Y }",
    `${L}["sim:1"]: A blank is missing behind the colon: sim: 1`,
    `${L}["as:Y"]: A blank is missing behind the colon: as: Y`,
  ],
  ["{ sim: 2, as: A, »B }", `${L}.B: several values are a list: [A, B]`],
  ["{ sim: »[A, B] }", `${L}.sim: and their names as: [START, STOP]`],
  ["{ »chip: gpiochip0/3 }", `${L}.chip: Write chip: gpiochip0, offsets: "3"`],
  ["{ chip: c, »pin: 3 }", `${L}.pin: Did you mean offset?`],
  ["{ sim: 1, direction: »out }", `${L}.direction: Did you mean output?`],
  ["»gpiochip0/0,pull-up", `${L}: Did you mean bias=pull-up?`],
  ["»gpiochip0/0,output", `${L}: Did you mean direction=output?`],
  ["»sim/1\n        as=Y", `${L}: ${ONE_LINE}`],
  // YAML makes one text of these two, which would be a line of a chip.
  ["»sim/1\n       - sim/2", `${L}: ${ONE_LINE}`],
  ["{ sim: 1, as: »A\n        B }", `${L}.as: ${ONE_LINE}`],
], lineConfig);

testMalformed("characters that are not what they look like", [
  [
    "# l’aile\u00a0: A\naggregators:\n»\u00a0 a: {}\n",
    ": a blank that YAML does not know (U+00A0) | It comes with copied text",
  ],
  [
    "aggregators: { a:»\u3000{} }\n",
    ": a blank that YAML does not know (U+3000)",
  ],
  [
    "aggregators:\n  a:\n    lines:\n      - »“sim/1”\n",
    ": a quote that YAML does not know (U+201C)",
  ],
  [
    "aggregators:\n  'a\u00a0b': { lines: [»‘X’] } # “c”\n",
    ": a quote that YAML does not know (U+2018)",
  ],
]);

testMalformed("a size in other units, with the one that was meant", [
  [
    "record: { file: /x, size: »10M }\napi: { look: /l }\n",
    "record.size: Did you mean 10MB?",
  ],
]);
