import { assertEquals, assertThrows } from "@std/assert";
import type { AnySchema } from "../../../client/message_schema.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import { readMessage } from "./body.ts";

Deno.test("readMessage() stops at the first problem of a body", () => {
  const reported: string[] = [];
  const schema: Pick<AnySchema, "check" | "read"> = {
    check: (_body, path, report) => {
      for (const key of ["first", "second"]) {
        reported.push(key);
        report({ path, key, problem: "is unknown", hint: "Omit it" });
      }
      return false;
    },
    read: () => undefined as never,
  };
  const error = assertThrows(
    () => readMessage(schema as AnySchema, {}),
    ConfigError,
    "first: is unknown",
  );
  assertEquals(error.hint, "Omit it");
  assertEquals(reported, ["first"]);
});
