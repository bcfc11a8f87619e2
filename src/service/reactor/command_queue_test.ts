import { assertEquals } from "@std/assert";
import type { TimeShare } from "../../reactor/event_loop.ts";
import { encodeFrame, FrameAssembler } from "../messages/command_channel.ts";
import type { Answer, Command, Report } from "../messages/messages.ts";
import { CommandQueue } from "./command_queue.ts";

/** A share whose turns the test gives; each has time for so many pieces. */
class ShareDouble implements TimeShare {
  readonly #perTurn: number;
  #left = 0;
  #tasks: (() => void)[] = [];

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
  }

  get isSpent(): boolean {
    return --this.#left <= 0;
  }

  take(): boolean {
    return true;
  }

  defer(task: () => void): void {
    this.#tasks.push(task);
  }

  /** Gives one turn; false if nothing waits for it. */
  turn(): boolean {
    const tasks = this.#tasks;
    this.#tasks = [];
    this.#left = this.#perTurn;
    for (const task of tasks) task();
    return tasks.length > 0;
  }
}

function rig(perTurn: number) {
  const told: string[] = [];
  const undone: string[] = [];
  const share = new ShareDouble(perTurn);
  function* obey(command: Command): Generator<Answer | void, void> {
    if (command.kind === "count") throw new Error("no counts");
    if (command.kind !== "describe") return;
    let isDone = false;
    try {
      for (let i = 0; i < 3; i++) yield { aggregators: [] };
      isDone = true;
    } finally {
      if (!isDone) undone.push(command.name!);
    }
  }
  const queue = new CommandQueue(share, obey, (report: Report) => {
    if ("id" in report) told.push(`${report.id} ${report.kind}`);
  });
  const add = (id: number, command: Command) => {
    const bytes = encodeFrame({ id, command });
    for (const frame of new FrameAssembler().push(bytes)) queue.add(frame);
  };
  return { add, queue, share, told, undone };
}

Deno.test("CommandQueue executes one command after another, in turns of its share", () => {
  const { add, share, told } = rig(2);
  add(1, { kind: "describe", name: "a" });
  add(2, { kind: "taken-over" });
  assertEquals(told, []);
  share.turn();
  assertEquals(told, ["1 part", "1 part"]);
  while (share.turn());
  assertEquals(told, ["1 part", "1 part", "1 part", "1 done", "2 done"]);
});

Deno.test("CommandQueue: a command that fails says so, and the next one is executed", () => {
  const { add, share, told } = rig(9);
  add(1, { kind: "count" });
  add(2, { kind: "taken-over" });
  while (share.turn());
  assertEquals(told, ["1 failed", "2 done"]);
});

Deno.test("CommandQueue.abandon() undoes the command under way and drops the rest", () => {
  const { add, queue, share, told, undone } = rig(1);
  add(1, { kind: "describe", name: "a" });
  add(2, { kind: "describe", name: "b" });
  share.turn();
  queue.abandon();
  while (share.turn());
  assertEquals([told, undone], [["1 part"], ["a"]]);
});
