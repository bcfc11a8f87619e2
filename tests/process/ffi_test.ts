/** Tests of what `ffi` does to a process as a whole: how it ends, and what it reports. */
import { assertEquals } from "@std/assert";

/** Runs a program with modules of `ffi`; returns the signal that ended it. */
function runForSignal(body: string): string | null {
  const program = `
    import { Mapping } from "${import.meta.resolve("../../ffi/mapping.ts")}";
    import { createMemFd } from "${import.meta.resolve("../../ffi/mem_fd.ts")}";
    import { libc } from "${import.meta.resolve("../../ffi/libc.ts")}";
    const file = createMemFd("m", 4096);
    const guarded = Mapping.map(file.fd, { length: 4096, guardUnit: 4096, subject: "m" });
    libc().ftruncate(file.fd, 0n);
    new Uint8Array(guarded.buffer)[0] = 1;
    ${body}
    Deno.exit(0);
  `;
  const { signal, code, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--cached-only", "--no-lock", program],
    env: { NO_COLOR: "1" },
  }).outputSync();
  if (signal === null && code !== 0) {
    throw new Error(new TextDecoder().decode(stderr));
  }
  return signal;
}

Deno.test("a fault outside of guarded mappings ends the process as ever", () => {
  assertEquals(runForSignal(""), null);
  assertEquals(
    runForSignal(`
      const other = createMemFd("o", 4096);
      const mapping = Mapping.map(other.fd, { length: 4096, subject: "o" });
      libc().ftruncate(other.fd, 0n);
      new Uint8Array(mapping.buffer)[0] = 1;
    `),
    "SIGBUS",
  );
});

Deno.test("a fault on another thread is survived, also with many guards in the process", () => {
  assertEquals(
    runForSignal(`
      const source = ${"`"}
        import { Mapping } from "${
      import.meta.resolve("../../ffi/mapping.ts")
    }";
        import { createMemFd } from "${
      import.meta.resolve("../../ffi/mem_fd.ts")
    }";
        import { libc } from "${import.meta.resolve("../../ffi/libc.ts")}";
        const file = createMemFd("m", 4096);
        const mapping = Mapping.map(
          file.fd,
          { length: 4096, guardUnit: 4096, subject: "m" },
        );
        libc().ftruncate(file.fd, 0n);
        new Uint8Array(mapping.buffer)[3] = 1;
        self.postMessage(mapping.fault);
      ${"`"};
      const url = "data:text/javascript," + encodeURIComponent(source);
      const faults = await Promise.all([1, 2].map(() =>
        new Promise((resolve) => {
          const worker = new Worker(url, { type: "module" });
          worker.onmessage = (event) => resolve(event.data);
        })
      ));
      // The workers' handlers stand before ours, and pass our faults on.
      const last = createMemFd("m", 4096);
      const mapping = Mapping.map(
        last.fd,
        { length: 4096, guardUnit: 4096, subject: "m" },
      );
      libc().ftruncate(last.fd, 0n);
      new Uint8Array(mapping.buffer)[3] = 1;
      if ([...faults, mapping.fault].join() !== "3,3,3") Deno.exit(1);
    `),
    null,
  );
});

Deno.test("the process ends while a close hangs", async () => {
  const program = `
    import { closeElsewhere, helpersAreDone } from "${
    import.meta.resolve("../../ffi/helper_thread.ts")
  }";
    import { LingeringSocket } from "${
    import.meta.resolve("../doubles/lingering_socket.ts")
  }";
    const lingering = new LingeringSocket(60);
    closeElsewhere([lingering.socket]);
    if (helpersAreDone(50)) Deno.exit(1);
    Deno.exit(7);
  `;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--cached-only", program],
  }).output();
  assertEquals(code, 7);
});

Deno.test("OwnedFd reports an fd that was dropped, and only such a one", async () => {
  const source = import.meta.resolve("../../ffi/");
  const code = `
    import { onLeakedFd } from "${source}owned_fd.ts";
    import { O_RDONLY, openFile } from "${source}files.ts";
    const heard = [];
    onLeakedFd((fd, what) => heard.push(what));
    (() => {
      openFile("/dev/null", O_RDONLY);
      openFile("/dev/zero", O_RDONLY).close();
      openFile("/dev/full", O_RDONLY).release();
    })();
    for (let i = 0; i < 6000 && heard.length === 0; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(JSON.stringify(heard));
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-ffi",
      "--v8-flags=--expose-gc",
      `data:text/javascript,${encodeURIComponent(code)}`,
    ],
  }).output();
  assertEquals(
    [
      new TextDecoder().decode(stdout).trim(),
      new TextDecoder().decode(stderr),
    ],
    ['["/dev/null"]', ""],
  );
});

Deno.test("a wait that a signal interrupts goes on for the rest of its time", async () => {
  const source = import.meta.resolve("../../ffi/");
  const code = `
    import { pollReadable } from "${source}poll.ts";
    Deno.addSignalListener("SIGUSR1", () => {});
    new Deno.Command("sh", {
      args: ["-c", "for i in 1 2 3; do sleep 0.05; kill -USR1 " + Deno.pid + "; done"],
    }).spawn();
    const before = performance.now();
    const ready = pollReadable([], 300);
    console.log(ready.length, performance.now() - before >= 299);
    Deno.exit();
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-ffi",
      "--allow-run=sh",
      `data:text/javascript,${encodeURIComponent(code)}`,
    ],
  }).output();
  assertEquals(
    [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)],
    ["0 true\n", ""],
  );
});

Deno.test("a cancelled wait does not hold the process", async () => {
  const source = import.meta.resolve("../../ffi/");
  const code = `
    import { createEventFd } from "${source}event_fd.ts";
    import { whenReadable } from "${source}readiness.ts";
    using fd = createEventFd();
    const wait = whenReadable(fd.fd);
    setTimeout(() => wait.cancel(), 10);
    console.log(await wait.ready);
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-ffi",
      `data:text/javascript,${encodeURIComponent(code)}`,
    ],
    signal: AbortSignal.timeout(120_000),
  });
  const { code: status, stdout } = await child.output();
  assertEquals([status, new TextDecoder().decode(stdout)], [0, "false\n"]);
});
