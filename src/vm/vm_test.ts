import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import {
  playSignals,
  type RaisedSignals,
} from "../../tests/doubles/raised_signals.ts";
import { waitUntil } from "../async/wait.ts";
import { VmGuardian } from "./guardian.ts";
import type { RespawnRule } from "./respawn_policy.ts";
import { VmSignals } from "./signals.ts";
import { checkProgram, runVm } from "./vm.ts";

/** Limit of what is only waited for. **Units**: ms. */
const LIMIT_MS = 60_000;

interface Rig extends AsyncDisposable {
  readonly process: RaisedSignals;
  readonly directory: string;
  readonly reports: string[];
  /** Called with each report. */
  onReport: () => void;
  /** Advice after a failure. */
  advice: string | undefined;
  /** Runs a script as the VM; its first argument is the directory. */
  run(respawn: RespawnRule, script: string): Promise<number>;
  /** Number of lines of a file in the directory. */
  lines(name: string): number;
}

async function rig(): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const process = stack.use(playSignals());
  const guardian = stack.use(
    await VmGuardian.start({
      safeCommand: [],
      workingDirectory: directory,
      linesLeft: "",
      directory: `${directory}/sockets`,
      report: () => {},
    }),
  );
  const signals = stack.use(new VmSignals(() => {}));
  const reports: string[] = [];
  const owned = stack.move();
  const it: Rig = {
    process,
    directory,
    reports,
    onReport: () => {},
    advice: undefined,
    run: (respawn, script) =>
      runVm({
        command: ["/bin/sh", "-c", script, "vm", directory],
        respawn,
        guardian,
        signals,
        report: (text) => {
          reports.push(text);
          it.onReport();
        },
        adviceAfterFailure: () => it.advice,
      }),
    lines: (name) => {
      try {
        return Deno.readTextFileSync(`${directory}/${name}`).split("\n")
          .length - 1;
      } catch {
        return 0;
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return it;
}

/** Notes each start. */
const START = 'echo started >>"$1/starts"; ';

testSerially(
  "a VM that is not started again ends the run with its status",
  async () => {
    await using it = await rig();
    assertEquals(await it.run("never", `${START} exit 3`), 3);
    assertEquals(it.reports, ["the VM ended with status 3"]);
    assertEquals(await it.run("never", `${START} exit 0`), 0);
    assertEquals([it.lines("starts"), it.reports.length], [2, 1]);
  },
);

testSerially(
  "advice follows the report of a VM that failed, and of no other",
  async () => {
    await using it = await rig();
    it.advice = "needs more";
    assertEquals(await it.run("never", "exit 0"), 0);
    assertEquals(it.reports, []);
    assertEquals(await it.run("never", "exit 3"), 3);
    assertEquals(it.reports, ["the VM ended with status 3", "needs more"]);
  },
);

testSerially("a VM that was killed is reported by its signal", async () => {
  await using it = await rig();
  assertEquals(await it.run("never", "kill -KILL $$"), 137);
  assertEquals(it.reports, ["the VM ended by SIGKILL"]);
});

testSerially(
  "a VM that fails is started again until it ends well",
  async () => {
    await using it = await rig();
    const status = await it.run(
      "on-failure",
      `${START} [ $(wc -l <"$1/starts") = 3 ] && exit 0; exit 4`,
    );
    assertEquals([status, it.lines("starts")], [0, 3]);
    assertEquals(
      it.reports.map((text) => text.replace(/after \d+\.\d s/, "after a time")),
      [
        "the VM ended with status 4 after a time; it is started again in 0.1 s",
        "the VM ended with status 4 after a time; it is started again in 0.2 s",
      ],
    );
  },
);

testSerially("a VM of a run that is to end is not started", async () => {
  await using it = await rig();
  it.process.raise("SIGINT");
  assertEquals(await it.run("always", START), 130);
  assertEquals([it.lines("starts"), it.reports], [0, []]);
});

testSerially("a VM that ends after a signal is not started again", async () => {
  await using it = await rig();
  const status = it.run(
    "always",
    `trap 'echo told >>"$1/told"; exit 5' TERM; ${START}
     while :; do sleep 0.05; done`,
  );
  await waitUntil(() => it.lines("starts") === 1, LIMIT_MS);
  it.process.raise("SIGTERM");
  assertEquals(await status, 5);
  assertEquals(
    [it.lines("told"), it.lines("starts"), it.reports],
    [1, 1, []],
  );
});

testSerially(
  "a signal between two VMs ends the run with the status of the first",
  async () => {
    await using it = await rig();
    it.onReport = () => {
      if (it.reports.length === 1) it.process.raise("SIGTERM");
    };
    assertEquals(await it.run("always", `${START} exit 6`), 6);
    assertEquals([it.lines("starts"), it.reports.length], [1, 1]);
  },
);

testSerially(
  "a program is looked for before it is needed, as a shell does",
  async () => {
    const directory = await Deno.makeTempDir();
    try {
      const script = `${directory}/vmm`;
      await Deno.writeTextFile(script, "#!/bin/sh\n", { mode: 0o600 });
      for (
        const [program, why] of [
          [`${directory}/none`, "no such program"],
          ["no-program-of-this-name", "no such program"],
          [script, "it is not executable"],
          [directory, "it is not executable"],
        ] as const
      ) {
        const { message } = await assertRejects(
          () => checkProgram(program),
          Error,
        );
        assertMatch(message, RegExp(`^Cannot start ${program}: ${why}$`));
      }
      await Deno.chmod(script, 0o700);
      await checkProgram(script);
      await checkProgram("sh");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);
