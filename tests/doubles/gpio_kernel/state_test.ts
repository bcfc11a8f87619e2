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

/** Changes the state, and takes its time. */
const SLOW = `
  import { SharedState } from "${import.meta.resolve("./state.ts")}";
  self.onmessage = ({ data }) => {
    SharedState.join(data).update(({ failures }) => {
      self.postMessage("held");
      const end = performance.now() + 300;
      while (performance.now() < end);
      failures.push({ ioctl: 1, errno: 2, after: 3, left: 4 });
    });
    self.postMessage("done");
  };
`;

Deno.test("SharedState is not taken from a Worker that is slow", async () => {
  using state = SharedState.create();
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(SLOW)}`,
    { type: "module" },
  );
  const next = () => new Promise((resolve) => worker.onmessage = resolve);
  const held = next();
  worker.postMessage(state.fd);
  await held;
  const done = next();
  state.update(({ failures }) => {
    failures.push({ ioctl: 5, errno: 6, after: 7, left: 8 });
  });
  await done;
  worker.terminate();
  assertEquals(state.look().failures.map(({ ioctl }) => ioctl), [1, 5]);
});
