import { assertEquals, assertThrows } from "@std/assert";
import { listenUnix } from "../../ffi/unix_socket.ts";
import * as library from "../../mod.ts";
import { findServices, serviceDirectories } from "./services.ts";

async function withRuntime(
  action: (runtime: string) => void | Promise<void>,
): Promise<void> {
  const runtime = await Deno.makeTempDir({ prefix: "gpioagg-services-" });
  try {
    await action(runtime);
  } finally {
    await Deno.remove(runtime, { recursive: true });
  }
}

Deno.test("serviceDirectories() knows those of gpioagg.service and gpioagg@NAME.service", () =>
  withRuntime((runtime) => {
    for (const name of ["gpioagg", "gpioagg-b", "gpioagg-a", "gpioaggs", "x"]) {
      Deno.mkdirSync(`${runtime}/${name}`);
    }
    assertEquals(
      serviceDirectories([`${runtime}/none`, runtime, runtime]),
      ["gpioagg", "gpioagg-a", "gpioagg-b"].map((name) => `${runtime}/${name}`),
    );
  }));

Deno.test("findServices() tells sockets that are served from files that are left", () =>
  withRuntime((runtime) => {
    const [both, look, left, empty] = ["gpioagg", "gpioagg-l", "gpioagg-o", "e"]
      .map((name) => {
        Deno.mkdirSync(`${runtime}/${name}`);
        return `${runtime}/${name}`;
      });
    using _api = listenUnix(`${both}/api.sock`);
    using _look = listenUnix(`${both}/look.sock`);
    using _only = listenUnix(`${look}/look.sock`);
    listenUnix(`${left}/api.sock`).close();
    Deno.writeTextFileSync(`${left}/look.sock`, "");
    assertEquals(findServices([both!, look!, left!, empty!]), [
      {
        name: "gpioagg",
        api: `${both}/api.sock`,
        apiState: "served",
        look: `${both}/look.sock`,
        lookState: "served",
      },
      {
        name: "l",
        api: `${look}/api.sock`,
        apiState: "absent",
        look: `${look}/look.sock`,
        lookState: "served",
      },
    ]);
  }));

Deno.test("services are looked for in lists of directories only", () => {
  for (const wrong of ["/run", null, 5, {}]) {
    for (const find of [findServices, serviceDirectories]) {
      assertThrows(() => find(wrong as never), TypeError, "must be an array");
      assertThrows(
        () => find([wrong === "/run" ? undefined : wrong] as never),
        TypeError,
        "[0] must be a string",
      );
    }
  }
});

Deno.test("findServices() takes a service with a full backlog for a running one", () =>
  withRuntime((runtime) => {
    using listener = listenUnix(`${runtime}/api.sock`, { backlog: 0 });
    // The first connection fills the backlog of 0, the second finds it full.
    for (let i = 0; i < 3; i++) {
      const [service] = findServices([runtime]);
      assertEquals(service?.apiState, "served");
    }
    assertEquals(listener.closed, false);
  }));

Deno.test("the library has the names of a service's sockets as values", () =>
  withRuntime((runtime) => {
    const directory = `${runtime}/gpioagg`;
    Deno.mkdirSync(directory);
    using _api = listenUnix(`${directory}/${library.API_SOCKET_NAME}`);
    using _look = listenUnix(`${directory}/${library.LOOK_SOCKET_NAME}`);
    assertEquals(
      library.findServices([directory]).map(({ api, apiState, lookState }) => [
        api,
        apiState,
        lookState,
      ]),
      [[`${directory}/api.sock`, "served", "served"]],
    );
  }));
