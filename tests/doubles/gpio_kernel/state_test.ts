import { assertEquals } from "@std/assert";
import { SharedState } from "./state.ts";

/** Keeps the state from others for ever. */
const HOLDER = `
  import { SharedState } from "${import.meta.resolve("./state.ts")}";
  const never = new Int32Array(new SharedArrayBuffer(4));
  self.onmessage = ({ data }) => {
    SharedState.join(data).update(() => {
      self.postMessage("held");
      // Asleep: the runtime ends a Worker seconds after it was terminated.
      for (;;) Atomics.wait(never, 0, 0, 100);
    });
  };
`;

Deno.test("SharedState is free again when the Worker that changed it is terminated", async () => {
  using state = SharedState.create();
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(HOLDER)}`,
    { type: "module" },
  );
  const held = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage(state.fd);
  await held;
  worker.terminate();
  state.update(({ failures }) => {
    failures.push({ ioctl: 1, errno: 2, after: 3, left: 4 });
  });
  assertEquals(state.look().failures.length, 1);
});
