/**
 * Rehearsal of a service in a spare process: what is compiled and loaded only
 * when it is used is there when the process takes over.
 *
 * @module
 */
import type { AggregatorSpecification } from "../config/specification.ts";
import type { serve } from "../service/service.ts";
import { KeeperSocket } from "../service/standby/keeper_socket.ts";
import { Direction, GpioDriver, IrqType } from "../vhost_frontend/driver.ts";
import { Frontend } from "../vhost_frontend/frontend.ts";
import { readServeArguments } from "./arguments/serve_arguments.ts";
import { REHEARSAL_PREFIX } from "./left_directories.ts";
import { makePrivateDirectory } from "./private_directory.ts";

/** Time limit of an answer. **Units**: ms. */
const LIMIT_MS = 10_000;
/** Requests of the guest. */
const REQUESTS = 4;

/** Serves simulated lines to a guest of its own, for a moment. */
export async function rehearseService(
  serveAll: typeof serve,
  hasApi: boolean,
): Promise<void> {
  const directory = makePrivateDirectory(REHEARSAL_PREFIX);
  try {
    using socket = new KeeperSocket(directory, (_message, fds) => {
      for (const fd of fds) fd.close();
    });
    const vmSocket = `${directory}/vm`;
    const api = { path: `${directory}/api`, access: {} };
    const { aggregators } = readServeArguments([
      ...["--socket-path", vmSocket, "--name", "rehearsal"],
      ...["--line", "sim/1,as=OUT", "--line", "wire/rehearsal.OUT,as=IN"],
    ]);
    const end = Promise.withResolvers<void>();
    await serveAll([...aggregators] as AggregatorSpecification[], {
      ready: () => {
        try {
          playGuest(vmSocket);
        } finally {
          end.resolve();
        }
      },
      event: () => {},
      problem: () => {},
      reloaded: () => {},
    }, {
      manager: {
        notifySocket: socket.path,
        watchdogUs: undefined,
        storeLimit: undefined,
        fds: [],
      },
      end: end.promise,
      ...(hasApi
        ? {
          api: {
            change: api,
            creation: { socketDirectory: directory, socketAccess: {} },
            audit: () => {},
          },
        }
        : {}),
    });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function playGuest(socket: string): void {
  using frontend = Frontend.open(socket, { timeoutMs: LIMIT_MS });
  const driver = GpioDriver.attach(frontend);
  driver.setInterruptType(1, IrqType.EdgeBoth);
  driver.arm(1);
  driver.setDirection(0, Direction.Output);
  for (let i = 0; i < REQUESTS; i++) {
    driver.setValue(0, i % 2);
    driver.getValue(1);
  }
}
