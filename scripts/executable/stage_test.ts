/** The copy of the sources that an executable is compiled from. */
import { assertEquals } from "@std/assert";
import { stage } from "./stage.ts";

Deno.test("the copies say nothing of when they were made", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-stage-" });
  try {
    const root = `${directory}/checkout/`;
    Deno.mkdirSync(`${root}src`, { recursive: true });
    Deno.writeTextFileSync(`${root}deno.json`, '{"imports":{}}');
    Deno.writeTextFileSync(`${root}src/main.ts`, "export {};\n");
    const made = `${directory}/copy`;
    const count = await stage(
      root,
      made,
      ["src/main.ts"],
      (entry) =>
        Promise.resolve(JSON.stringify(
          entry === undefined ? { npmCache: directory } : {
            modules: [{
              specifier: `file://${root}src/main.ts`,
              local: `${root}src/main.ts`,
            }],
          },
        )),
    );
    assertEquals(count, 1);
    for (const file of ["deno.json", "src/main.ts"]) {
      assertEquals(Deno.statSync(`${made}/${file}`).mtime?.getTime(), 0, file);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
