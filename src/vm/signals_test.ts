import { assertEquals } from "@std/assert";
import {
  playSignals,
  type RaisedSignals,
} from "../../tests/doubles/raised_signals.ts";
import { redirectFiles } from "../../tests/doubles/redirected_files.ts";
import { VmSignals } from "./signals.ts";

/** Deadlines that elapse when they are told to. */
class Deadlines implements Disposable {
  readonly #real = { setTimeout, clearTimeout };
  readonly #left = new Map<number, { ms: number; elapse: () => void }>();

  constructor() {
    let last = 0;
    Object.assign(globalThis, {
      setTimeout: (elapse: () => void, ms: number) => {
        this.#left.set(++last, { ms, elapse });
        return last;
      },
      clearTimeout: (id: number) => void this.#left.delete(id),
    });
  }

  /** Times of those that are set. */
  get left(): number[] {
    return [...this.#left.values()].map(({ ms }) => ms);
  }

  /** Lets the ones of a time elapse. */
  elapse(ms: number): void {
    for (const [id, one] of [...this.#left]) {
      if (one.ms === ms && this.#left.delete(id)) one.elapse();
    }
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }
}

/** A VM that ends when it is told to. */
class Vm {
  readonly told: string[] = [];
  readonly #ended = Promise.withResolvers<Deno.CommandStatus>();
  #isOver = false;

  get status(): Promise<Deno.CommandStatus> {
    return this.#ended.promise;
  }

  end(code: number): void {
    this.#isOver = true;
    this.#ended.resolve({ success: code === 0, code, signal: null });
  }

  kill(signal: Deno.Signal = "SIGTERM"): void {
    if (this.#isOver) throw new TypeError("Child process has already ended");
    this.told.push(signal);
  }
}

interface Rig extends Disposable {
  readonly process: RaisedSignals;
  readonly deadlines: Deadlines;
  readonly signals: VmSignals;
  readonly vm: Vm;
  readonly reports: string[];
  /** Begins to forward to the VM. */
  run(): Promise<Deno.CommandStatus>;
}

function rig({ isInForeground = false } = {}): Rig {
  const stack = new DisposableStack();
  const stat = Deno.makeTempFileSync();
  stack.defer(() => Deno.removeSync(stat));
  // State, parent, group, session, terminal, group in the foreground.
  const group = isInForeground ? 42 : 43;
  Deno.writeTextFileSync(stat, `42 (a (b) c) R 1 42 42 34816 ${group} 0\n`);
  stack.use(redirectFiles({ files: { "/proc/self/stat": stat } }));
  const deadlines = stack.use(new Deadlines());
  const process = stack.use(playSignals());
  const reports: string[] = [];
  const signals = stack.use(new VmSignals((text) => reports.push(text)));
  const vm = new Vm();
  return {
    process,
    deadlines,
    signals,
    vm,
    reports,
    run: () => signals.during(vm as unknown as Deno.ChildProcess),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("a VM gets the signals of its process, and the process its status", async () => {
  using it = rig();
  const status = it.run();
  it.process.raise("SIGUSR1");
  it.process.raise("SIGUSR2");
  assertEquals(it.signals.endStatus, undefined);
  it.process.raise("SIGTERM");
  assertEquals(it.vm.told, ["SIGUSR1", "SIGUSR2", "SIGTERM"]);
  it.vm.end(7);
  assertEquals((await status).code, 7);
  // There is none now.
  it.process.raise("SIGHUP");
  assertEquals(it.vm.told.length, 3);
});

Deno.test("the first signal that ends is the one of the exit status", () => {
  for (
    const [signal, status] of [
      ["SIGHUP", 129],
      ["SIGINT", 130],
      ["SIGQUIT", 131],
      ["SIGTERM", 143],
    ] as const
  ) {
    using it = rig();
    it.process.raise(signal);
    it.process.raise("SIGTERM");
    it.process.raise("SIGHUP");
    assertEquals(it.signals.endStatus, status);
  }
});

Deno.test("a VM that starts just after the signal is told to end", async () => {
  using it = rig();
  it.process.raise("SIGINT");
  const status = it.run();
  assertEquals(it.vm.told, ["SIGTERM"]);
  it.vm.end(0);
  await status;
});

Deno.test("a terminal's signal is not repeated, but SIGTERM and SIGKILL follow", async () => {
  using it = rig({ isInForeground: true });
  const status = it.run();
  it.process.raise("SIGINT");
  assertEquals([it.vm.told, it.deadlines.left], [[], [5000, 15_000]]);
  it.deadlines.elapse(5000);
  assertEquals([it.vm.told, it.reports], [["SIGTERM"], []]);
  it.deadlines.elapse(15_000);
  assertEquals([it.vm.told, it.reports], [["SIGTERM", "SIGKILL"], [
    "the VM did not end within 15 s, and is killed",
  ]]);
  it.vm.end(137);
  await status;
});

Deno.test("a signal that others send than the terminal is passed on", () => {
  using it = rig();
  void it.run();
  it.process.raise("SIGINT");
  it.process.raise("SIGQUIT");
  assertEquals(it.vm.told, ["SIGINT", "SIGQUIT"]);
  using foreground = rig({ isInForeground: true });
  void foreground.run();
  foreground.process.raise("SIGHUP");
  assertEquals(foreground.vm.told, ["SIGHUP"]);
});

Deno.test("a VM that has ended is neither told nor killed", async () => {
  using it = rig();
  const status = it.run();
  it.process.raise("SIGTERM");
  // SIGTERM has been sent: only force is left.
  assertEquals(it.deadlines.left, [15_000]);
  it.vm.end(0);
  // Before its status is known.
  it.process.raise("SIGUSR1");
  await status;
  it.deadlines.elapse(15_000);
  assertEquals([it.vm.told, it.reports], [["SIGTERM"], []]);
});

Deno.test("a wait ends with its time, or with the process", async () => {
  using it = rig();
  const whole = it.signals.wait(100);
  it.deadlines.elapse(100);
  await whole;
  assertEquals(it.signals.endStatus, undefined);
  const cut = it.signals.wait(30_000);
  it.process.raise("SIGTERM");
  await cut;
  await it.signals.ending;
  assertEquals(it.deadlines.left, [15_000]);
});

Deno.test("disposing leaves neither listeners nor deadlines", () => {
  using it = rig();
  const all = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT"];
  const raise = () => all.map((name) => it.process.raise(name as Deno.Signal));
  assertEquals(raise(), all.map(() => 1));
  assertEquals(it.deadlines.left, [15_000]);
  it.signals[Symbol.dispose]();
  assertEquals([raise(), it.deadlines.left], [all.map(() => 0), []]);
});
