/** Requests of shared, combined and followed lines are on the hot path too. */
import { assertAllocatesNothing } from "../../../tests/doubles/allocation.ts";
import { LoopDouble } from "../../../tests/doubles/line_doubles.ts";
import { Direction, Edges, PENDING, UNSPECIFIED } from "../../line/port.ts";
import { CombinedOutput } from "./combined_output.ts";
import { FollowedSource } from "./followed_source.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import { SharedInput } from "./shared_input.ts";

/** A source that itself allocates nothing, and answers at once or later. */
class BareSource implements LineSource {
  readonly description = "";
  readonly name = "";
  readonly direction: Direction;
  isSlow = false;
  listener: SourceListener | undefined;
  #value = 0;

  constructor(direction: Direction) {
    this.direction = direction;
  }

  attach(listener: SourceListener): void {
    this.listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    if (operation === SourceOperation.SetValue) this.#value = argument;
    if (this.isSlow) return PENDING;
    return operation === SourceOperation.GetValue ? this.#value : 0;
  }

  peek(): number {
    return this.#value;
  }

  [Symbol.dispose](): void {}
}

const LISTENER: SourceListener = {
  completed() {},
  edge() {},
  presence() {},
  restored() {},
};

function attached<T extends LineSource>(source: T): T {
  source.attach(LISTENER);
  return source;
}

const user = {
  user: "a",
  isInverted: false,
  keepsFound: false,
  onClose: () => {},
};

function sharedInput(source: LineSource): LineSource[] {
  const shared = new SharedInput(source, () => {}, () => {});
  return [shared.open(user), shared.open({ ...user, isInverted: true })];
}

function combinedOutput(source: LineSource): LineSource[] {
  const combined = new CombinedOutput(source, "or", () => {}, new LoopDouble());
  return [combined.open(user), combined.open(user)];
}

Deno.test("Reading a shared or combined line allocates nothing, quick or slow", () => {
  for (
    const [make, direction] of [
      [sharedInput, Direction.Input],
      [combinedOutput, Direction.Output],
    ] as const
  ) {
    for (const isSlow of [false, true]) {
      const source = new BareSource(direction);
      const taps = make(source).map(attached);
      source.isSlow = isSlow;
      assertAllocatesNothing((count) => {
        for (let i = 0; i < count; i += 2) {
          for (const tap of taps) {
            tap.submit(SourceOperation.GetValue, 0);
            if (isSlow) source.listener!.completed(1);
          }
        }
      });
    }
  }
});

Deno.test("Driving a combined line allocates nothing", () => {
  const source = new BareSource(Direction.Output);
  const [a, b] = combinedOutput(source).map(attached);
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      a!.submit(SourceOperation.SetValue, i & 1);
      b!.submit(SourceOperation.SetValue, i >> 1 & 1);
    }
  });
});

Deno.test("Interrupts of a shared line allocate nothing", () => {
  const source = new BareSource(Direction.Input);
  for (const tap of sharedInput(source).map(attached)) {
    tap.submit(SourceOperation.SetEdges, Edges.Both);
  }
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) source.listener!.edge(i & 1);
  });
});

Deno.test("Using a followed line allocates nothing", () => {
  const source = new BareSource(Direction.Output);
  const followed = attached(
    new FollowedSource(source, false, Edges.None, new LoopDouble()),
  );
  let seen: number = UNSPECIFIED;
  using _following = followed.follow({
    followedChanged: () => {
      seen = followed.value;
    },
  });
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      followed.submit(SourceOperation.SetValue, i & 1);
      followed.submit(SourceOperation.GetValue, 0);
      if (seen !== (i & 1)) throw new Error("a follower was not told");
    }
  });
});
