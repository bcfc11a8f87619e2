import { assertEquals } from "@std/assert";
import { bindDatagram } from "../../ffi/datagram.ts";
import { receive } from "../../ffi/unix_socket.ts";
import { readManagerEnvironment } from "./service_manager.ts";

const NONE = { notifySocket: undefined, watchdogUs: undefined, fdNames: [] };

function read(variables: Record<string, string>) {
  const text = Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\0`).join("");
  return readManagerEnvironment(text, 42);
}

Deno.test("readManagerEnvironment() finds nothing where nobody said anything", () => {
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
    }),
    {
      notifySocket: "@manager",
      watchdogUs: 500_000,
      fdNames: ["api", "line.gpiochip0.4", "unknown"],
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
  Deno.test(`ServiceManager.ready() pings no more once the reactor ${behaviour}`, async () => {
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
  });
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
