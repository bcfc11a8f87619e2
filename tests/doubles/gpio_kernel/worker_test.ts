import { assertEquals } from "@std/assert";
import { GpioKernel } from "./kernel.ts";
import { shareKernel } from "./workers.ts";

/** Says what it hears, but takes a while before it listens. */
const SLOW = `
  await new Promise((resolve) => setTimeout(resolve, 20));
  self.onmessage = ({ data }) => self.postMessage("heard " + data);
`;

Deno.test("a Worker that shares the kernel double hears what it is told while it is loaded", async () => {
  using _kernel = GpioKernel.install();
  using _shared = shareKernel();
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(SLOW)}`,
    { type: "module" },
  );
  const heard = new Promise((resolve) =>
    worker.onmessage = ({ data }) => resolve(data)
  );
  worker.postMessage("start");
  assertEquals(await heard, "heard start");
  worker.terminate();
});
