import { assertEquals } from "@std/assert";
import { findAllowedDirectory } from "./allowed_directory.ts";

Deno.test("findAllowedDirectory() takes a path below a directory apart", () => {
  const found = (path: string, ...directories: string[]) =>
    findAllowedDirectory(path, directories);
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

Deno.test("findAllowedDirectory() finds no directory for a path that may lead out of it", () => {
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
  ) assertEquals(findAllowedDirectory(path, ["/run/qemu"]), undefined, path);
  assertEquals(findAllowedDirectory("/run/qemu/qmp", []), undefined);
});
