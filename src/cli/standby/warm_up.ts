/**
 * Warm-up of a spare process: what is compiled and loaded only when it is used
 * is there when the process takes over.
 *
 * @module
 */
import { listenUnix } from "../../../ffi/unix_socket.ts";
import {
  type AggregatorSpecification,
  defaultControlPath,
} from "../../config/specification.ts";
import { ControlName } from "../../service/control/control_names.ts";
import type { KeptFd } from "../../service/restart/manager_fd_store.ts";
import type { serve } from "../../service/service.ts";
import { KeeperSocket } from "../../service/standby/keeper_socket.ts";
import { KeptFds } from "../../service/standby/kept_fds.ts";
import { copyOfSession } from "../../service/standby/session_copy.ts";
import { Direction, GpioDriver, IrqType } from "../../vhost_frontend/driver.ts";
import { Frontend } from "../../vhost_frontend/frontend.ts";
import { readServeArguments } from "../arguments/serve_arguments.ts";
import { WARM_UP_PREFIX } from "./left_directories.ts";
import { makePrivateDirectory } from "../private_directory.ts";

/** Time limit of an answer. **Units**: ms. */
const LIMIT_MS = 10_000;
/** Requests of the guest. */
const REQUESTS = 4;
const NAME = "warm-up";
/** Descriptors that are kept, far more than there are. */
const STORE_LIMIT = 100;

/**
 * Serves simulated lines to a guest of its own, for a moment, and then as the
 * process that goes on with that guest's session.
 *
 * @throws {Error} If the session does not go on.
 */
export async function warmUpService(
  serveAll: typeof serve,
  hasApi: boolean,
): Promise<void> {
  const directory = makePrivateDirectory(WARM_UP_PREFIX);
  try {
    using kept = new KeptFds(STORE_LIMIT);
    using socket = new KeeperSocket(directory, ({ store, name }, fds) => {
      for (const fd of fds) {
        if (store === "keep") kept.keep(name, fd);
        else fd.close();
      }
      if (store === "drop") kept.drop(name);
    });
    const vmSocket = `${directory}/vm`;
    const api = { path: `${directory}/api`, access: {} };
    /** Serves until `play` is over. */
    const serveFor = async (fds: readonly KeptFd[], play: () => void) => {
      const { aggregators } = readServeArguments([
        ...["--socket-path", vmSocket, "--name", NAME],
        ...["--line", "sim/1,as=OUT", "--line", `wire/${NAME}.OUT,as=IN`],
      ]);
      const end = Promise.withResolvers<void>();
      await serveAll([...aggregators] as AggregatorSpecification[], {
        ready: () => {
          try {
            play();
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
          fds,
        },
        end: end.promise,
        isWarmUp: true,
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
    };
    using stack = new DisposableStack();
    let driver: GpioDriver | undefined;
    let session: readonly KeptFd[] = [];
    await serveFor([], () => {
      driver = GpioDriver.attach(
        stack.use(Frontend.open(vmSocket, { timeoutMs: LIMIT_MS })),
      );
      playGuest(driver);
      socket.drain();
      session = copyOfSession(kept, NAME);
    });
    driver!.askValue(1);
    leaveDeadFiles(vmSocket, api.path);
    await serveFor(session, () => {});
    if (driver!.requests.reap() === 0) {
      throw new Error("its session did not go on");
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function playGuest(driver: GpioDriver): void {
  driver.setInterruptType(1, IrqType.EdgeBoth);
  driver.arm(1);
  driver.setDirection(0, Direction.Output);
  for (let i = 0; i < REQUESTS; i++) {
    driver.setValue(0, i % 2);
    driver.getValue(1);
  }
}

/** Leaves the files that a service leaves which was killed. */
function leaveDeadFiles(vmSocket: string, apiSocket: string): void {
  const control = defaultControlPath(vmSocket);
  for (const path of [vmSocket, control, apiSocket]) listenUnix(path).close();
  // The second service replaces it, and removes its own.
  ControlName.publish(NAME, control);
}
