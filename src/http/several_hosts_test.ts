import { assertEquals } from "@std/assert";
import { hasSeveralHosts } from "./several_hosts.ts";

Deno.test("hasSeveralHosts() counts names, however they are written, and no values", () => {
  for (
    const [rawHeaders, isSeveral] of [
      [[], false],
      [["Host", "x"], false],
      [["Host", "host", "x", "host"], false],
      [["Host", "x", "accept", "*/*", "hOST", "x"], true],
    ] as const
  ) {
    assertEquals(hasSeveralHosts({ rawHeaders: [...rawHeaders] }), isSeveral);
  }
});
