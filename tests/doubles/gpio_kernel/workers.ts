/**
 * Workers that see the GPIO kernel double.
 *
 * @module
 */
import { activeKernel } from "./kernel.ts";

/** Lets Workers of this isolate share its kernel double, until disposed. */
export function shareKernel(): Disposable {
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(entry: URL | string, options?: WorkerOptions) {
      const kernel = activeKernel();
      const url = new URL("./worker.ts", import.meta.url);
      url.searchParams.set("entry", `${entry}`);
      url.searchParams.set("kernel", JSON.stringify(kernel?.address));
      super(kernel === undefined ? entry : url, options);
    }
  };
  return { [Symbol.dispose]: () => globalThis.Worker = RealWorker };
}
