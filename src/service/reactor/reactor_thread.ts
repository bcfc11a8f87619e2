/**
 * The reactor's Worker, which can be started and used before there is anything
 * to serve.
 *
 * @module
 */
import type { Report } from "../messages/messages.ts";

/** A Worker that nothing uses yet. */
let ahead: Worker | undefined;
/** Set during a warm-up: its Worker is used again. */
let isWarmUp = false;

function newThread(): Worker {
  return new Worker(new URL("./reactor_worker.ts", import.meta.url), {
    type: "module",
    name: "reactor",
  });
}

/** Starts the Worker that the next reactor uses, and waits until it is loaded. */
export async function startReactorThread(): Promise<void> {
  const worker = newThread();
  const loaded = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.kind === "loaded") loaded.resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    loaded.reject(new Error(`The reactor failed: ${event.message}`));
  };
  await loaded.promise;
  ahead = worker;
}

/**
 * Runs a warm-up: a reactor that is started and shut down meanwhile leaves its
 * Worker, with all that it has compiled, to the next one.
 */
export async function warmUpReactor(run: () => Promise<void>): Promise<void> {
  isWarmUp = true;
  try {
    await run();
  } finally {
    isWarmUp = false;
  }
}

/** Worker of a new reactor, and true if it shall not end with the reactor. */
export interface ReactorThread {
  /** **Ownership**: until it is given back. */
  readonly worker: Worker;
  /** True if the Worker is used again. */
  readonly isWarmUp: boolean;
}

/** Returns the Worker of a new reactor. */
export function takeReactorThread(): ReactorThread {
  const worker = ahead ?? newThread();
  ahead = undefined;
  return { worker, isWarmUp };
}

/** Takes back the Worker of a reactor that has ended. */
export function returnThread({ worker, isWarmUp }: ReactorThread): void {
  if (isWarmUp && ahead === undefined) ahead = worker;
  else worker.terminate();
}
