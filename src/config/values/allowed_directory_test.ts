import { assertEquals } from "@std/assert";
import { allowedDirectoryOf } from "./allowed_directory.ts";

Deno.test("allowedDirectoryOf() takes a path below a directory apart", () => {
  const found = (path: string, ...directories: string[]) =>
    allowedDirectoryOf(path, directories);
  assertEquals(found("/run/qemu/a/qmp", "/srv", "/run/qemu"), {
    directory: "/run/qemu",
    components: ["a", "qmp"],
  });
  assertEquals(found("/run/qemu/qmp", "/run/qemu/"), {
    directory: "/run/qemu/",
    components: ["qmp"],
  });
  assertEquals(found("/qmp", "/"), { directory: "/", components: ["qmp"] });
});

Deno.test("allowedDirectoryOf() finds no directory for a path that may lead out of it", () => {
  for (
    const path of [
      "/run/qemu",
      "/run/qemu/",
      "/run/qemux/qmp",
      "/run/other/qmp",
      "/run/qemu/../docker.sock",
      "/run/qemu/a/../../docker.sock",
      "/run/qemu/./qmp",
      "/run/qemu//qmp",
      "/run/qemu/a/",
      "run/qemu/qmp",
    ]
  ) assertEquals(allowedDirectoryOf(path, ["/run/qemu"]), undefined, path);
  assertEquals(allowedDirectoryOf("/run/qemu/qmp", []), undefined);
});
