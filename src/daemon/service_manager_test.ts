import { assertEquals } from "@std/assert";
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
