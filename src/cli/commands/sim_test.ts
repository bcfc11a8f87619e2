/** `gpioagg sim NAME --api`: the service tells where its aggregator listens. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  aggregatorState,
  CannedService,
} from "../../../tests/doubles/canned_service.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";

Deno.test("sim --api asks the service for the aggregator's control socket", async () => {
  const directory = Deno.makeTempDirSync();
  const api = `${directory}/api.sock`;
  const controlPath = `${directory}/elsewhere.control`;
  try {
    using _service = new CannedService(api, [
      aggregatorState("press", { controlPath }),
      aggregatorState("chip"),
    ]);
    for (
      const [name, path, text] of [
        ["press", api, `Cannot reach ${controlPath}: ENOENT; the service`],
        ["chip", api, "chip has no socket for gpioagg sim"],
        ["pres", api, "Did you mean press?"],
        ["press.START", api, "write the line apart: press START"],
        [
          "press",
          `${directory}/apy.sock`,
          `Cannot reach ${directory}/apy.sock`,
        ],
      ] as const
    ) {
      const { code, stderr } = await gpioagg(["sim", name, "--api", path]);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, text);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
