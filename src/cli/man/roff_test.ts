import { assertEquals } from "@std/assert";
import { escaped, filled, paragraphs, verbatim } from "./roff.ts";

Deno.test("text has no meaning for roff", () => {
  assertEquals(escaped("a-b\\c…"), "a\\-b\\ec...");
  assertEquals(filled(".x 'y'"), "\\&.x 'y'");
  assertEquals(verbatim(".x\n'y"), ".RS 4\n.nf\n\\&.x\n\\&'y\n.fi\n.RE");
});

Deno.test("paragraphs() fills prose and keeps indented lines", () => {
  assertEquals(
    paragraphs("One\ntwo:\n  three\n    four\n\nfive"),
    "One two:\n.RS 4\n.nf\nthree\n  four\n.fi\n.RE\n.PP\nfive",
  );
});
