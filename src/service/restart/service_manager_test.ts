import { assertEquals } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { bindDatagram } from "../../../ffi/datagram.ts";
import { receive } from "../../../ffi/socket_message.ts";
import { readManagerEnvironment } from "./service_manager.ts";

const NONE = {
  notifySocket: undefined,
  watchdogUs: undefined,
  fdNames: [],
  storeLimit: undefined,
};

function read(variables: Record<string, string>) {
  const text = Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\0`).join("");
  return readManagerEnvironment(text, 42);
}

Deno.test("readManagerEnvironment() finds nothing in an empty environment", () => {
  assertEquals(readManagerEnvironment("", 42), NONE);
  assertEquals(read({ PATH: "/bin", NOTIFY_SOCKET: "" }), NONE);
});

Deno.test("readManagerEnvironment() reads fds by name, and the watchdog", () => {
  assertEquals(
    read({
      NOTIFY_SOCKET: "@manager",
      LISTEN_PID: "42",
      LISTEN_FDS: "3",
      LISTEN_FDNAMES: "api:line.gpiochip0.4",
      WATCHDOG_USEC: "500000",
      WATCHDOG_PID: "42",
      FDSTORE: "2048",
    }),
    {
      notifySocket: "@manager",
      watchdogUs: 500_000,
      fdNames: ["api", "line.gpiochip0.4", "unknown"],
      storeLimit: 2048,
    },
  );
  assertEquals(read({ WATCHDOG_USEC: "100" }).watchdogUs, 100);
});

Deno.test("readManagerEnvironment() leaves alone what is another process's", () => {
  assertEquals(
    read({
      LISTEN_PID: "41",
      LISTEN_FDS: "2",
      WATCHDOG_USEC: "100",
      WATCHDOG_PID: "41",
    }),
    NONE,
  );
  assertEquals(read({ LISTEN_FDS: "2" }).fdNames, []);
});

Deno.test("readManagerEnvironment() takes whole numbers only, and not too many", () => {
  const numbers = [
    ...["", "-1", "1e999", "Infinity", "NaN", "0x3", " 3", "3.5"],
    ..."99999999999,1e9".split(","),
  ];
  for (const number of numbers) {
    assertEquals(
      read({ LISTEN_PID: "42", LISTEN_FDS: number }).fdNames,
      [],
      number,
    );
  }
  for (const number of ["", "-1", "1e999", "Infinity", "NaN", "0x3"]) {
    assertEquals(read({ WATCHDOG_USEC: number }).watchdogUs, undefined, number);
  }
});

testSerially("a long watchdog time is no short one", async () => {
  // 100 days: an interval that timers take for 1 ms.
  const program = `
    import { ServiceManager } from "${
    import.meta.resolve("./service_manager.ts")
  }";
    const manager = new ServiceManager(() => {});
    let asked = 0;
    manager.ready("a\\nMAINPID=1", async () => { asked++; });
    setTimeout(() => { console.log(asked); manager[Symbol.dispose](); }, 300);
  `;
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-notify-" });
  const file = `${directory}/service.ts`;
  await Deno.writeTextFile(file, program);
  using notify = bindDatagram(`${directory}/notify`);
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-all", "--no-prompt", file],
      env: {
        NOTIFY_SOCKET: `${directory}/notify`,
        WATCHDOG_USEC: String(100 * 86_400_000_000),
      },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals([decode(stdout), decode(stderr)], ["0\n", ""]);
    const messages: string[] = [];
    const buffer = new Uint8Array(4096);
    for (let n; (n = receive(notify.fd, buffer, [])) > 0;) {
      messages.push(decode(buffer.subarray(0, n)));
    }
    // What others said is text, and no message of its own.
    assertEquals(messages, ["READY=1", "STATUS=a\\nMAINPID=1"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

for (
  const [what, env] of [
    ["a socket's path that is too long", { NOTIFY_SOCKET: "/".repeat(300) }],
    ["descriptors that are not there", { LISTEN_FDS: "5", own: "1" }],
  ] as const
) {
  testSerially(`ServiceManager reports ${what}, and goes on`, async () => {
    const { own, ...variables } = { own: "", ...env };
    const program = `
      import { ServiceManager } from "${
      import.meta.resolve("./service_manager.ts")
    }";
      const problems = [];
      const manager = new ServiceManager((text) => problems.push(text));
      manager[Symbol.dispose]();
      await new Promise((resolve) => setTimeout(resolve, 1));
      console.log(problems.length);
    `;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, program);
    try {
      const command = [Deno.execPath(), "run", "-q", "--allow-all", file];
      const { stdout, stderr } = await new Deno.Command("/bin/sh", {
        // The number of a process that is about to be.
        args: own === "1"
          ? ["-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...command]
          : ["-c", 'exec "$@"', "sh", ...command],
        env: variables,
      }).output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertEquals([decode(stdout), decode(stderr)], ["1\n", ""]);
    } finally {
      await Deno.remove(file);
    }
  });
}

/**
 * A service whose reactor answers once and then behaves as $1 says, until it
 * would have been asked often. ($1 is an expression; it speaks through the
 * environment it was started with, so it is a process of its own.)
 */
const SERVICE = `
import { ServiceManager } from "${import.meta.resolve("./service_manager.ts")}";
const [behaviour] = Deno.args;
const manager = new ServiceManager(() => {});
const later = { hangs: () => new Promise(() => {}), fails: () => Promise.reject() };
let asked = 0;
manager.ready("x", () => asked++ === 0 ? Promise.resolve() : later[behaviour]());
// As often as a ping is due, and after it: however slow this machine is.
let due = 0;
const timer = setInterval(() => {
  if (asked < 1 || ++due < 20) return;
  clearInterval(timer);
  manager.stopping();
}, 1);
`;

for (const behaviour of ["hangs", "fails"]) {
  testSerially(
    `ServiceManager.ready() pings no more once the reactor ${behaviour}`,
    async () => {
      const directory = await Deno.makeTempDir({ prefix: "gpioagg-notify-" });
      const program = `${directory}/service.ts`;
      await Deno.writeTextFile(program, SERVICE);
      using notify = bindDatagram(`${directory}/notify`);
      try {
        const { success, stderr } = await new Deno.Command(Deno.execPath(), {
          args: [
            ..."run -q --no-check --no-prompt --cached-only".split(" "),
            ...["--allow-ffi", "--allow-read", program, behaviour],
          ],
          // A ping is due every millisecond.
          env: { NOTIFY_SOCKET: `${directory}/notify`, WATCHDOG_USEC: "2000" },
          stdin: "null",
          stdout: "null",
          stderr: "piped",
          signal: AbortSignal.timeout(60_000),
        }).output();
        assertEquals(new TextDecoder().decode(stderr), "");
        assertEquals(success, true);
        assertEquals(heardAt(notify.fd), [
          "READY=1",
          "STATUS=x",
          "WATCHDOG=1",
          "STOPPING=1",
        ]);
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  );
}

/** Everything that waits in a datagram socket. */
function heardAt(fd: number): string[] {
  const piece = new Uint8Array(4096);
  const heard: string[] = [];
  for (;;) {
    const count = receive(fd, piece, []);
    if (count < 0) return heard;
    heard.push(new TextDecoder().decode(piece.subarray(0, count)));
  }
}
