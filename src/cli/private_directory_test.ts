import { assertEquals } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { makePrivateDirectory } from "./private_directory.ts";

testAlone(
  import.meta,
  "makePrivateDirectory() passes over places in which others replace what is there",
  () => {
    const place = Deno.realPathSync(Deno.makeTempDirSync());
    Deno.mkdirSync(`${place}/safe`, { mode: 0o700 });
    const variables = ["TMPDIR", "XDG_RUNTIME_DIR"];
    const before = variables.map((name) => Deno.env.get(name));
    try {
      Deno.env.set("TMPDIR", place);
      Deno.env.set("XDG_RUNTIME_DIR", `${place}/safe`);
      const first = makePrivateDirectory("private-");
      assertEquals(first.startsWith(`${place}/private-`), true);
      assertEquals(fileStatus(first)?.mode, 0o700);
      Deno.removeSync(first);
      Deno.mkdirSync(`${place}/shared`);
      Deno.chmodSync(`${place}/shared`, 0o777);
      Deno.env.set("TMPDIR", `${place}/shared`);
      const other = makePrivateDirectory("private-");
      assertEquals(other.startsWith(`${place}/safe/private-`), true);
      assertEquals(listDirectory(`${place}/shared`), []);
    } finally {
      for (const [i, name] of variables.entries()) {
        if (before[i] === undefined) Deno.env.delete(name);
        else Deno.env.set(name, before[i]);
      }
      Deno.removeSync(place, { recursive: true });
    }
  },
);
