import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/document/config_error.ts";
import { readSocketArgument } from "./socket_argument.ts";

Deno.test("readSocketArgument() reads a path, and who may use it", () => {
  assertEquals(readSocketArgument("/run/a.sock", "--api"), {
    path: "/run/a.sock",
    access: {},
  });
  assertEquals(
    readSocketArgument("/run/a.sock,mode=0620,group=kvm,owner=7", "--api"),
    {
      path: "/run/a.sock",
      access: { mode: 0o620, group: "kvm", owner: "7" },
    },
  );
  assertEquals(
    readSocketArgument("/run/a,b.sock", "--api").path,
    "/run/a,b.sock",
  );
  for (const path of ["/run/a,connect.sock", "/a,mode/b", "/a,owners", "/a,"]) {
    assertEquals(readSocketArgument(path, "--api"), { path, access: {} });
  }
  const directory = readSocketArgument("/run/", "--api-sockets", {
    isDirectory: true,
  });
  assertEquals(directory.path, "/run/");
});

for (
  const text of [
    "",
    ",mode=660",
    "/a,mode=9",
    "/a,mode=660,mode=600",
    "/a,group=",
    "/a,colour=red",
    "/a,mode=660,x",
    "/a,connect",
    "/a,b,connect",
    "/a,connect,mode=660",
    "/a,device=ljca",
    "/a,Device=ljca",
    "/a,mode",
    "/a,owner",
    "/a,GROUP",
    "/run/",
    "/run/,mode=660",
  ]
) {
  Deno.test(`readSocketArgument() refuses "${text}"`, () => {
    assertThrows(
      () => readSocketArgument(text, "--api"),
      ConfigError,
      `--api ${text}`,
    );
  });
}
