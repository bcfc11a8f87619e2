import {
  aggregatorConfig,
  type Malformed,
  testMalformed,
} from "../../../tests/doubles/malformed_config.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";

const TEXTS: readonly Malformed[] = [
  ["»", ": a mapping with aggregators, found nothing"],
  ["»# only a comment\n", ": found nothing"],
  ["»just text", `: found "just text"`],
  [
    `»${"secret ".repeat(20)}`,
    `: found "${"secret ".repeat(9).slice(0, 60)}…"`,
  ],
  ["»[a, b]", ": found a list"],
  ["»{}", `: the key "aggregators" is missing`],
  ["aggregators: {}\n»---\naggregators: {}\n", ": a second document"],
  ["---\na: 1\n...\n»---\nb: 1\n", ": a second document"],
  ["aggregators: »[a\n", ": this is not valid YAML: a bracket ([) is opened"],
  ["aggregators:\n  a: { b: »[\n", ": a bracket ([) is opened here and not"],
  ["aggregators: »{ a: [1]\nb: c\n", ": a bracket ({) is opened here and not"],
  [
    `aggregators: »"unfinished\n`,
    `: a quote (") is opened here and not closed`,
  ],
  [
    `aggregators: »'unfinished\n`,
    `: a quote (') is opened here and not closed`,
  ],
  [
    "aggregators:\n  a:\n    b: 1\n   »c: 2\n",
    ": this is not at the column of",
  ],
  ["aggregators:\n»\ta: 1\n", ": a tab in the indentation"],
  ["aggregators:\n  a:\n  »\tlines: 1\n", ": a tab in the indentation"],
  ["aggregators: *absent»\n", ": an alias (*NAME) without an anchor"],
  [
    "aggregators: !!float 1»\n",
    ": a tag (!NAME) that a configuration does not",
  ],
  ["aggregators: »%x\n", ": this is not valid YAML"],
  ["aggregators: »@x\n", ": this is not valid YAML"],
  ['aggregators: "\\»q"\n', ": an unknown escape in double quotes | Write a"],
  ["a: b»: c\n", ": this is not valid YAML"],
  ["- a\n»b: c\n", ": this is not valid YAML"],
  ["a: [x y\n»z: [b] c]\n", ": this is not valid YAML"],
  ["a: b\nc: »\x01\n", ": there is a control character | Remove it"],
  ["a: »\x1b[31m\n", ": there is a control character"],
];

const TOP: readonly Malformed[] = [
  [
    "»agregators: {}\n",
    `agregators: unknown key "agregators" | Did you mean aggregators?`,
  ],
  ["»aggregators:\n", "aggregators: expected aggregators by name"],
  ["aggregators: »{}\n", "aggregators: found none"],
  ["aggregators: »[]\n", "aggregators: found a list"],
  ["aggregators: »none\n", `aggregators: found "none"`],
  ["aggregators:\n  »a:\n", "aggregators.a: expected an aggregator"],
  [
    "aggregators:\n  »null: {}\n",
    `aggregators.null: expected an aggregator's name, found null | If it is ` +
    'the name, write it in quotes: "null"',
  ],
  ["aggregators:\n  »Null: {}\n", "aggregators.Null: found null"],
  ["aggregators: { »~: {} }\n", `aggregators["~"]: found null`],
  ["aggregators:\n  a: »[]\n", "aggregators.a: found a list"],
  ["aggregators:\n  a: »sim/1\n", `aggregators.a: found "sim/1"`],
  [
    `aggregators:
  »a b: { vhost-user: /run/a.sock, lines: [sim/1] }
`,
    `aggregators["a b"]: is not a valid name for an aggregator`,
  ],
  [
    `aggregators:
  a: { vhost-user: /run/a.sock, qemu-pins: { qtest: /q, qmp: /m },
    lines: [ "sim/1,direction=input" ] }
  »a.pins: { vhost-user: /run/b.sock, lines: [sim/1] }
`,
    `aggregators["a.pins"]: is the name of the second exposure of "a"`,
  ],
  [
    `aggregators:
  »-a: { vhost-user: /run/a.sock, lines: [sim/1] }
`,
    `aggregators.-a: is not a valid name for an aggregator`,
  ],
  [
    `aggregators:
  a: { vhost-user: /run/a.sock, lines: [sim/1] }
  »a: { vhost-user: /run/b.sock, lines: [sim/1] }
`,
    `aggregators.a: the key "a" is given twice | The first one is in line 2`,
  ],
  [
    `»interlock: []
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `interlock: Did you mean interlocks?`,
  ],
  [
    `»"colour": red
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `colour: unknown key "colour" | The keys are aggregators, defaults`,
  ],
  [
    `»standby: true
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `standby: unknown key "standby" | It is an option: gpioagg serve --standby`,
  ],
  [
    `defaults: »[]
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `defaults: found a list`,
  ],
  [
    `defaults: { »as: X, bias: »up }
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `defaults.as: unknown key "as"`,
    `defaults.bias: "up" is not known`,
  ],
  [
    `defaults: { »shared: true }
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `defaults.shared: unknown key "shared"`,
  ],
  [
    `record: { size: »1MB }
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `record.size: there is no file`,
  ],
  [
    `record: { file: »edges, size: »1TB, keep: »10 }
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `record.file: "edges" is not an absolute path`,
    `record.size: "1TB" is not a valid size`,
    `record.keep: "10" is not a valid number of edges`,
  ],
  [
    `<<: »3
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `["<<"]: expected a mapping to merge`,
  ],
  [
    `»?! : 1
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `["?!"]: unknown key "?!"`,
  ],
  [
    `»__proto__: 1
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `__proto__: unknown key "__proto__"`,
  ],
  [
    `»constructor: 1
aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }
`,
    `constructor: unknown key "constructor"`,
  ],
];

const EXPOSURES: readonly Malformed[] = [
  ["»lines: [sim/1]", "aggregators.a: a has no exposure"],
  ["»vhost-user: /run/a.sock", `aggregators.a: the key "lines" is missing`],
  [
    "»vhost_user: /run/a.sock\nlines: [sim/1]",
    "aggregators.a.vhost_user: Did you mean vhost-user?",
  ],
  [
    "vhost-user: »a.sock\nlines: [sim/1]",
    "aggregators.a.vhost-user: absolute socket path",
  ],
  [
    "vhost-user: »/run/\nlines: [sim/1]",
    "aggregators.a.vhost-user: A path does not end in a slash",
  ],
  [
    `vhost-user: »/run/${"x".repeat(100)}\nlines: [sim/1]`,
    "aggregators.a.vhost-user: is longer than 99 bytes",
  ],
  [
    "vhost-user: »[a]\nlines: [sim/1]",
    "aggregators.a.vhost-user: found a list",
  ],
  ["»vhost-user:\nlines: [sim/1]", "aggregators.a.vhost-user: found nothing"],
  [
    "vhost-user: »{}\nlines: [sim/1]",
    "aggregators.a.vhost-user: has neither socket nor fd",
  ],
  [
    `vhost-user: »{ mode: "0660" }\nlines: [sim/1]`,
    "aggregators.a.vhost-user: has neither socket nor fd",
  ],
  [
    `vhost-user: { »path: /run/a.sock, socket: /run/a.sock }\nlines: [sim/1]`,
    `aggregators.a.vhost-user.path: unknown key "path"`,
  ],
  [
    `vhost-user: { socket: /run/a.sock, mode: »"0999" }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.mode: is not a valid file mode",
  ],
  [
    `vhost-user: { socket: /run/a.sock, mode: »rw }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.mode: is not a valid file mode",
  ],
  [
    `vhost-user: { socket: /run/a.sock, mode: »"4660" }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.mode: is not a valid file mode",
  ],
  [
    `vhost-user: { socket: /run/a.sock, owner: »"" }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.owner: is not a user",
  ],
  [
    `vhost-user: { socket: /run/a.sock, group: »[kvm] }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.group: found a list",
  ],
  [
    `vhost-user: { fd: »one }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.fd: is not a file descriptor number",
  ],
  [
    `vhost-user: { fd: »2 }\nlines: [sim/1]`,
    "aggregators.a.vhost-user.fd: from 3 to 65535",
  ],
  [
    `vhost-user: { fd: 3, »socket: /run/a.sock, »mode: "0600" }
lines: [sim/1]`,
    `aggregators.a.vhost-user.socket: cannot be combined with fd`,
    `aggregators.a.vhost-user.mode: cannot be combined with fd`,
  ],
  [
    "vhost-user: /run/a.sock\nlines: »[]",
    "aggregators.a.lines: at least one line, found an empty list",
  ],
  [
    "vhost-user: /run/a.sock\nlines: »sim/1",
    `aggregators.a.lines: found "sim/1"`,
  ],
  ["vhost-user: /run/a.sock\n»lines:", "aggregators.a.lines: found nothing"],
  [
    "vhost-user: /run/a.sock\n»line: [sim/1]",
    `aggregators.a.line: Did you mean lines?`,
  ],
];

const PINS = "qtest: /run/qt.sock, qmp: /run/qmp.sock";

const OTHERS: readonly Malformed[] = [
  [
    "qemu-pins: »»{}\nlines: [sim/1]",
    `aggregators.a.qemu-pins: the key "qtest" is missing`,
    `aggregators.a.qemu-pins: the key "qmp" is missing`,
  ],
  ["qemu-pins: »/run/qt\nlines: [sim/1]", "aggregators.a.qemu-pins: found"],
  [
    `qemu-pins: »{ qtest: /run/qt.sock }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins: the key "qmp" is missing`,
  ],
  [
    `qemu-pins: { qtest: »qt.sock, qmp: »[] }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.qtest: absolute`,
    `aggregators.a.qemu-pins.qmp: found a list`,
  ],
  [
    `qemu-pins: { ${PINS}, index: »-1 }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.index: is not a device's index`,
  ],
  [
    `qemu-pins: { ${PINS}, device: »"" }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.device: is not a QOM type`,
  ],
  [
    `qemu-pins: { ${PINS}, pins: { »x: sim0, 1: »NONE } }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.pins.x: is not a valid pin | A pin is a number`,
    `aggregators.a.qemu-pins.pins.1: no line here has the name "NONE"`,
  ],
  [
    `qemu-pins: { ${PINS}, pins: { 0: sim0, »1: sim0 } }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.pins.1: is at pin 0 already`,
  ],
  [
    `qemu-pins: { ${PINS}, pins: { 0: sim0, »0: sim1 } }\nlines: [sim/2]`,
    `aggregators.a.qemu-pins.pins.0: is given twice`,
  ],
  [
    `qemu-pins: { ${PINS}, pins: »[sim0] }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins.pins: found a list`,
  ],
  [
    `»qemu-pins: { ${PINS}, pins: { 8: sim0 } }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins: a PL061 has pins 0 to 7`,
  ],
  ["usbredir: »[]\nlines: [sim/1]", "aggregators.a.usbredir: found a list"],
  [
    "usbredir: »{ device: ljca }\nlines: [sim/1]",
    "aggregators.a.usbredir: has neither socket nor connect",
  ],
  [
    "usbredir: { connect: /run/q, »mode: '0660' }\nlines: [sim/1]",
    `aggregators.a.usbredir.mode: "mode" cannot be combined with connect`,
  ],
  [
    "usbredir: { socket: /run/c.sock, device: »ftdi }\nlines: [sim/1]",
    "aggregators.a.usbredir.device: is not known",
  ],
  [
    "»usbredir: /run/c.sock\nlines: [sim/65]",
    "aggregators.a.usbredir: has 65 lines, but USB adapters have at most 64",
  ],
  [
    "vhost-user: /run/a.sock\n»usbredir: /run/c.sock\nlines: [sim/1]",
    "aggregators.a.usbredir: a is presented by vhost-user already",
  ],
  [
    "usbredir: /run/c.sock\n»vfio-user: /run/a.sock\nlines: [sim/1]",
    "aggregators.a.vfio-user: a is presented by usbredir already",
  ],
  [
    "usbredir: /run/c.sock\n»paused-for: 1s\nlines: [sim/1]",
    "aggregators.a.paused-for: paused-for is for vhost-user only",
  ],
  ["vfio-user: »[]\nlines: [sim/1]", "aggregators.a.vfio-user: found a list"],
  [
    'vfio-user: »{ mode: "0660" }\nlines: [sim/1]',
    `aggregators.a.vfio-user: the key "socket" is missing`,
  ],
  [
    "»vfio-user: /run/c.sock\nlines: [sim/110]",
    "aggregators.a.vfio-user: has 110 lines, but a PCI card has 109",
  ],
  [
    "vhost-user: /run/a.sock\n»vfio-user: /run/c.sock\nlines: [sim/1]",
    "aggregators.a.vfio-user: a is presented by vhost-user already",
  ],
  [
    "vfio-user: /run/c.sock\n»paused-for: 1s\nlines: [sim/1]",
    "aggregators.a.paused-for: paused-for is for vhost-user only",
  ],
  [
    `»qemu-pins: { ${PINS} }\nlines: [sim/9]`,
    `aggregators.a.qemu-pins: a PL061 has pins 0 to 7`,
  ],
  [
    "kernel-chip: »[]\nlines: [chip0/1]",
    "aggregators.a.kernel-chip: found a list",
  ],
  [
    "kernel-chip: { interface: »ioctl, mode: »7777 }\nlines: [chip0/1]",
    `aggregators.a.kernel-chip.interface: "ioctl" is not known`,
    "aggregators.a.kernel-chip.mode: is not a valid file mode",
  ],
  [
    "kernel-chip: { interface: sysfs }\nlines:\n  - »sim/1\n  - { »const: 1 }\n  - chip0/1",
    "aggregators.a.lines[0]: lines of this host's chips",
    "aggregators.a.lines[1].const: lines of this host's chips",
  ],
  [
    "kernel-chip: { interface: configfs }\nlines:\n  - »chip0/1,active-low\n" +
    "  - { chip: chip0, offset: 2, »safe: 1, on-disconnect: safe }\n" +
    "  - { chip: chip0, offset: 3, »on-disconnect: input, »lane: false }\n" +
    "  - »chip0/4-7,direction=any",
    `aggregators.a.lines[0]: a kernel chip cannot invert a line`,
    `aggregators.a.lines[1].safe: into a safe state (safe=1)`,
    `aggregators.a.lines[2].on-disconnect: (on-disconnect=input)`,
    `aggregators.a.lines[2].lane: lane=false has no effect`,
    `aggregators.a.lines[3]: direction=any has no effect`,
  ],
  [
    'kernel-chip: {}\nlines: [{ chip: chip0, offset: 2, »as: " A" }]',
    "aggregators.a.lines[0].as: blanks at the ends of a name",
  ],
  [
    "kernel-chip: {}\n»defaults: { bias: pull-up }\nlines: [chip0/1]",
    "aggregators.a.defaults: has no rules",
  ],
  [
    "»kernel-chip: { interface: usb }\nlines: [sim/65]",
    "aggregators.a.kernel-chip: has 65 lines",
  ],
  [
    '»kernel-chip: {}\nlines: ["sim/65,safe=0"]',
    "aggregators.a.kernel-chip: has 65 lines",
  ],
  [
    "»kernel-chip: { interface: sysfs, device: ljca }\nlines: [chip0/1]",
    "aggregators.a.kernel-chip: makes no sense with interface sysfs",
  ],
  [
    "kernel-chip: { interface: usb, device: »ft232h }\nlines: [chip0/1]",
    `aggregators.a.kernel-chip.device: "ft232h" is not known`,
  ],
  [
    "»kernel-chip: {}\nlines: [chip0/0-512]",
    "aggregators.a.kernel-chip: has 513 lines",
  ],
  [
    "vhost-user: /run/a.sock\nlines: [sim/1]\ndefaults: { »active-lo: 1 }",
    "aggregators.a.defaults.active-lo: Did you mean active-low?",
  ],
];

const TOO_LARGE: readonly Malformed[] = [
  [
    // Its lines are not compared with each other.
    "vhost-user: /run/a.sock\nlines: »[sim/65535, 'sim/1,as=sim0']",
    "aggregators.a.lines: has 65536 lines",
  ],
];

const DEVICE = `${PINS}, device: aspeed.gpio-ast2600`;

const PIN_NAMES: readonly Malformed[] = [
  [
    `qemu-pins: { ${DEVICE}, pins: { »gpioB8: sim0, »gpiob0: sim0 } }
lines: [sim/1]`,
    `aggregators.a.qemu-pins.pins.gpioB8: "gpioB8" is not a valid pin`,
    `aggregators.a.qemu-pins.pins.gpiob0: "gpiob0" is not a valid pin`,
  ],
  [
    `qemu-pins: { ${DEVICE}, pins: { »gpioB0: sim0, 8: sim1 } }
lines: [sim/2]`,
    `aggregators.a.qemu-pins.pins.gpioB0: this is pin 8, which has a line`,
  ],
  [
    `qemu-pins: { ${DEVICE}, pins: { 8: sim0, »"08": sim1 } }
lines: [sim/2]`,
    `aggregators.a.qemu-pins.pins.08: this is pin 8, which has a line`,
  ],
  [
    `»qemu-pins: { ${PINS}, pins: { gpioB0: sim0 } }\nlines: [sim/1]`,
    `aggregators.a.qemu-pins: "gpioB0" is not a pin of a PL061`,
  ],
];

const VHOST_USER = "vhost-user: /run/a.sock";
const INPUT = "sim/1,direction=input";

/** Two exposures of one aggregator, and control sockets. */
const TOGETHER: readonly Malformed[] = [
  [
    `»${VHOST_USER}\nkernel-chip: {}\nlines: [chip0/1]`,
    "aggregators.a.vhost-user: whose lines the kernel has for itself",
  ],
  [
    `»qemu-pins: { ${PINS} }\n»${VHOST_USER}\nkernel-chip: {}
lines: [chip0/1]`,
    "aggregators.a.qemu-pins: whose lines the kernel has for itself",
    "aggregators.a.vhost-user: whose lines the kernel has for itself",
  ],
  [
    `qemu-pins: { ${PINS} }\n${VHOST_USER}
lines: [»"sim/2,as=X", "${INPUT}", { const: 1 }, { copy: X0 },
 { sim: 1, as: LAMP, direction: »output }, { sim: 1, direction: »any }]`,
    `aggregators.a.lines[0]: "X0" may be driven, by the guest behind vhost-user`,
    `aggregators.a.lines[4].direction: copy: a.LAMP`,
    `aggregators.a.lines[5].direction: an output has one master`,
  ],
  [
    `qemu-pins: { ${PINS} }\n${VHOST_USER}\nlines:
  - { sim: 1, as: X, direction: input, on-disconnect: »release }`,
    `aggregators.a.lines[0].on-disconnect: "X" would be taken from the other`,
  ],
  [
    `»qemu-pins: { ${PINS} }\n${VHOST_USER}
lines: ["sim/9,direction=input"]`,
    "aggregators.a.qemu-pins: a PL061 has pins 0 to 7",
  ],
  [
    `${VHOST_USER}\ncontrol: »a.sock\nlines: [sim/1]`,
    "aggregators.a.control: absolute socket path",
  ],
  [
    `${VHOST_USER}\ncontrol: { »socket: /run/c, mode: »9 }\nlines: [sim/1]`,
    `aggregators.a.control.socket: unknown key "socket"`,
    "aggregators.a.control.mode: is not a valid file mode",
  ],
  [
    `${VHOST_USER}\n»control: /run/a.sock\nlines: [sim/1]`,
    "aggregators.a.control: /run/a.sock is a's vhost-user socket already",
  ],
  [
    `kernel-chip: {}\n»control: /run/c.sock\nlines: [chip0/1]`,
    "aggregators.a.control: a kernel chip has no control socket",
  ],
];

const SIM = "aggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }\n";

const API: readonly Malformed[] = [
  [`${SIM}api: »/run/api.sock\n`, `api: found "/run/api.sock"`],
  [`${SIM}api: »{}\n`, "api: has neither socket nor look"],
  [
    `${SIM}api: »{ sockets: /run/vms }\n`,
    "api: has neither socket nor look",
  ],
  [`${SIM}api: { socket: »api.sock }\n`, "api.socket: absolute socket path"],
  [`${SIM}api: { socket: »[] }\n`, "api.socket: found a list"],
  [
    `${SIM}api: { socket: »{ mode: "0600" } }\n`,
    `api.socket: the key "path" is missing`,
  ],
  [
    `${SIM}api: { look: { path: /run/l, mode: »"888", »user: x } }\n`,
    "api.look.mode: is not a valid file mode",
    `api.look.user: unknown key "user"`,
  ],
  [
    `${SIM}api: { socket: /run/api.sock, »lok: /run/look.sock }\n`,
    "api.lok: Did you mean look?",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, sockets: { path: »vms } }\n`,
    "api.sockets.path: absolute path of a directory",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, qemu-sockets: »qemu }\n`,
    "api.qemu-sockets: absolute path of a directory",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, qemu-sockets: [/run, »qemu] }\n`,
    "api.qemu-sockets[1]: absolute path of a directory",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, qemu-sockets: »[] }\n`,
    "api.qemu-sockets: expected",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, audit-log: »/var/log/ }\n`,
    "api.audit-log: absolute path of a file",
  ],
  [
    `${SIM}api: { socket: /run/api.sock, »look: /run/api.sock }\n`,
    "api.look: /run/api.sock is the control API's socket already",
  ],
  [
    `${SIM}api: { socket: »{ mode: "660" }, look: »{ mode: "660" } }\n`,
    `api.socket: the key "path" is missing`,
    `api.look: the key "path" is missing`,
  ],
  [
    `${SIM}api: { »socket: /run/a.sock, »look: /run//a.sock.control }\n`,
    "api.socket: /run/a.sock is a's vhost-user socket already",
    "api.look: /run//a.sock.control is a's control socket already",
  ],
];

const PAUSES: readonly Malformed[] = [
  [
    "vhost-user: /a.sock\npaused-for: »forever\nlines: [sim/1]",
    "aggregators.a.paused-for: is neither a period nor keep",
  ],
  [
    "vhost-user: /a.sock\npaused-for: »2h\nlines: [sim/1]",
    "aggregators.a.paused-for: below 71 minutes",
  ],
  [
    "qemu-pins: { qtest: /q, qmp: /m }\n»paused-for: 3s\nlines: [sim/1]",
    "aggregators.a.paused-for: QEMU itself reports pauses and resets",
  ],
  [
    "kernel-chip: {}\n»paused-for: keep\nlines: [gpiochip0/1]",
    "aggregators.a.paused-for: is for vhost-user only",
  ],
];

testMalformed("a text", TEXTS);
testMalformed("a file", TOP);
testMalformed("an exposure", EXPOSURES, aggregatorConfig);
testMalformed("an exposure", OTHERS, aggregatorConfig);
testMalformed("an exposure", TOO_LARGE, aggregatorConfig, testLarge);
testMalformed("a pin's name", PIN_NAMES, aggregatorConfig);
testMalformed("exposures together", TOGETHER, aggregatorConfig);
testMalformed("a control API", API);
testMalformed("a pause", PAUSES, aggregatorConfig);
