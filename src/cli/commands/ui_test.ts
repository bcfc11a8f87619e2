import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { listenLoopback, loopbackPort } from "../../../ffi/tcp_socket.ts";
import {
  aggregatorState,
  CannedService,
} from "../../../tests/doubles/canned_service.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { main } from "./ui.ts";

Deno.test("ui refuses ports that are none before it looks for a service", async () => {
  for (const port of ["x", "-1", "65536", "1e3", "0x10"]) {
    const error = await assertRejects(
      () => main([`--port=${port}`]),
      ConfigError,
    );
    assertEquals(error.message.includes("not a valid port"), true, port);
  }
  await assertRejects(() => main(["press"]), ConfigError);
});

Deno.test("ui tells that there is no socket yet, with one of a similar name", async () => {
  const directory = await Deno.makeTempDir();
  const listener = listenLoopback(0);
  try {
    using _service = new CannedService(`${directory}/api.sock`, []);
    const [api, port] = [`${directory}/apu.sock`, loopbackPort(listener.fd)];
    const { code, stderr } = await gpioagg([
      "ui",
      "--api",
      api,
      `--port=${port}`,
    ]);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `there is no socket at ${api} yet; did you mean ${directory}/api.sock?`,
    );
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("ui says what is wrong with a token file, and which port is in use", async () => {
  const directory = await Deno.makeTempDir();
  const listener = listenLoopback(0);
  try {
    const api = `${directory}/api.sock`;
    using _service = new CannedService(api, [aggregatorState("press")]);
    const file = `${directory}/token`;
    const port = `--port=${loopbackPort(listener.fd)}`;
    for (
      const text of [
        "",
        "short",
        "with spaces and more of them",
        "ä".repeat(20),
      ]
    ) {
      await Deno.writeTextFile(file, text, { mode: 0o600 });
      const error = await assertRejects(
        () => main([`--api=${api}`, `--token-file=${file}`]),
        ConfigError,
      );
      assertEquals(error.message.includes("holds no token"), true, text);
    }
    await Deno.remove(file);
    for (let i = 0; i < 2; i++) {
      // The file is made by the first one, and read by the next.
      const error = await assertRejects(
        () => main([`--api=${api}`, `--token-file=${file}`, port]),
        Error,
      );
      assertEquals(error.message.includes("is in use"), true);
    }
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
});
