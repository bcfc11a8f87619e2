import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  aggregatorState,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import type { PlayRequest, PlayState } from "../../client/play.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { type Recording, RecordingBuilder } from "../../recording/recording.ts";
import { makePlan, parseMap, type Plan, type PlanOptions } from "./plan.ts";
import { playPlan, type PlayTarget } from "./play_plan.ts";

const SIM = { source: "simulated line X" };
const AGGREGATORS = [
  aggregatorState("press", {
    lines: [
      { ...lineState(0, "START"), ...SIM },
      { ...lineState(1, "STOP"), ...SIM },
      { ...lineState(2, "VALVE"), ...SIM, direction: "output" },
      { ...lineState(3, "DOOR"), source: "line 3 of gpiochip0" },
    ],
  }),
  aggregatorState("crane", { lines: [{ ...lineState(0), ...SIM }] }),
];

/** A recording of `ms signal=value` words, in order. */
function recording(text: string): Recording {
  const builder = new RecordingBuilder();
  for (const word of text.trim().split(/\s+/)) {
    const [ms, signal, value] = word.split(/[:=]/) as [string, string, string];
    builder.advance(Number(ms) * 1e6);
    if (signal === undefined) continue;
    const dot = signal.lastIndexOf(".");
    const index = builder.signal({
      scope: signal.slice(0, Math.max(0, dot)),
      name: signal.slice(dot + 1),
    });
    builder.change(index, value === "x" ? undefined : Number(value) as 0 | 1);
  }
  return builder.recording();
}

function plan(text: string, options: Partial<PlanOptions> = {}): Plan {
  return makePlan(recording(text), AGGREGATORS, {
    map: new Map(),
    speed: 1,
    fromNs: 0,
    toNs: undefined,
    ...options,
  });
}

/** Steps as `ms line=value`. */
function shown({ parts }: Plan): string[] {
  return parts.flatMap(({ aggregator, lines, steps }) =>
    steps.map(({ afterNs, line, value }) =>
      `${afterNs / 1e6} ${aggregator}.${lines[line]}=${value}`
    )
  );
}

const FILE = `0:press.START=0 0:press.STOP=1 0:press.VALVE=0 0:press.DOOR=1
  0:crane.0=x 0:other.A=1 10:press.START=1 20:press.VALVE=1 20:press.STOP=x
  25:press.STOP=0 30:crane.0=1 30:press.START=0 40`;

Deno.test("a file is played into simulated inputs of the same names", () => {
  const all = plan(FILE);
  assertEquals(shown(all), [
    "0 press.START=0",
    "0 press.STOP=1",
    "10 press.START=1",
    "25 press.STOP=0",
    "30 press.START=0",
    "30 crane.0=1",
  ]);
  assertEquals(all.durationNs, 40e6);
  assertEquals(all.leftOut, [
    "press.VALVE: its guest drives it",
    "press.DOOR: it is not simulated",
    "other.A: no line has this name",
  ]);
});

Deno.test("a part of a file begins with the values that were there", () => {
  const part = plan(FILE, { fromNs: 15e6, toNs: 27e6, speed: 2 });
  assertEquals(shown(part), [
    "0 press.START=1",
    "0 press.STOP=1",
    "5 press.STOP=0",
  ]);
  assertEquals(part.durationNs, 6e6);
  assertThrows(() => plan(FILE, { fromNs: 2, toNs: 1 }), ConfigError, "later");
});

Deno.test("signals are mapped to lines by their names, with scopes or alone", () => {
  const map = parseMap(["top.A=press.START", "B=press.VALVE"]);
  assertEquals(
    shown(plan("0:top.A=1 0:sub.A=1 5:top.B=1", { map })),
    ["0 press.START=1", "5 press.VALVE=1"],
  );
});

for (
  const [texts, file, message, hint = ""] of [
    [["A"], "0:A=1", '"A" is not a mapping', "Write SIGNAL=NAME.LINE"],
    [["A="], "0:A=1", "is not a mapping"],
    [["A=x.Y", "A=x.Z"], "0:A=1", "maps A twice"],
    [["s.A=press.START", "A=press.STOP"], "0:s.A=1", "maps A twice"],
    [
      ["s.A=press.START", "B=press.0"],
      "0:s.A=1 1:B=0",
      "plays s.A and B into press.0",
    ],
    [["START1=press.START"], "0:START=1", "no signal", "Did you mean START?"],
    [["A=press.START"], "0:a.A=1 0:b.A=1", "2 signals", "a.A or b.A"],
    [["A=pres.START"], "0:A=1", 'no aggregator "pres"', "mean press.START?"],
    [["A=press.STRT"], "0:A=1", 'no line "STRT"', "press.START"],
    [["A=press.DOOR"], "0:A=1", "is not a simulated line", "gpioagg show"],
    [
      [],
      "0:other.A=1",
      "nothing to play",
      "other.A: no line has this name. Map signals",
    ],
  ] as const
) {
  Deno.test(`a plan of ${file} with ${texts.join(" ")} is refused`, () => {
    const error = assertThrows(
      () => plan(file, { map: parseMap(texts) }),
      Error,
      message,
    ) as Error & { hint: string };
    assertEquals(error.hint.includes(hint), true, error.hint);
  });
}

/** A service that plays in the time of a clock that `sleep` moves. */
function service() {
  const START_NS = 1_764_000_000_000_000_000n;
  let nowNs = START_NS;
  const waiting: { atNs: bigint; text: string }[] = [];
  const played: string[] = [];
  const log: string[] = [];
  let zeroNs: bigint | undefined;
  const abort = new AbortController();
  const run = () => {
    while (waiting.length > 0 && waiting[0]!.atNs <= nowNs) {
      played.push(waiting.shift()!.text);
    }
  };
  const state = (): PlayState => {
    run();
    return {
      waiting: waiting.length,
      played: played.length,
      medianLateUs: 20,
      worstLateUs: 300,
    };
  };
  const target: PlayTarget = {
    play: (aggregator, { from, steps }: PlayRequest) => {
      zeroNs ??= BigInt(from);
      for (const { afterNs, line, value } of steps) {
        const atNs = BigInt(from) + BigInt(afterNs);
        if (atNs < nowNs) log.push("late");
        const text = `${Number(atNs - zeroNs) / 1e6} ` +
          `${aggregator}.${line}=${value}`;
        waiting.push({ atNs, text });
      }
      waiting.sort((a, b) => Number(a.atNs - b.atNs));
      log.push(`play ${steps.length}`);
      return Promise.resolve(state());
    },
    playState: () => Promise.resolve(state()),
    cancelPlay: () => {
      log.push("cancel");
      waiting.length = 0;
      return Promise.resolve(state());
    },
  };
  const options = {
    loop: false,
    signal: abort.signal,
    now: () => nowNs,
    sleep: (ms: number) => {
      nowNs += BigInt(ms) * 1_000_000n;
      return Promise.resolve();
    },
  };
  return { target, options, played, log, abort, startNs: START_NS };
}

Deno.test("a play is sent ahead of time, in parts, and waits for its end", async () => {
  const { target, options, played, log } = service();
  const one = plan("0:press.START=0 10:press.START=1 9000:press.START=0 9500");
  const result = await playPlan(target, one, options);
  assertEquals(played, [
    "0 press.START=0",
    "10 press.START=1",
    "9000 press.START=0",
  ]);
  assertEquals(log, ["play 2", "play 1"]);
  const { played: count, medianLateUs, worstLateUs } = result;
  assertEquals([count, medianLateUs, worstLateUs], [3, 20, 300]);
});

Deno.test("many steps are sent in requests of limited size, and not all at once", async () => {
  const { target, options, played, log } = service();
  const words = Array.from(
    { length: 6000 },
    (_, i) => `${i / 20}:press.START=${i % 2}`,
  );
  await playPlan(target, plan(words.join(" ")), options);
  assertEquals(played.length, 6000);
  assertEquals(log[0], "play 1024");
  assertEquals(new Set(log).has("late"), false);
});

Deno.test("a loop begins again until it is ended, which cancels the rest", async () => {
  const { target, options, played, log, abort } = service();
  const one = plan("0:press.START=0 100:press.START=1 200");
  const { played: count } = await playPlan(target, one, {
    ...options,
    loop: true,
    sleep: (ms) => {
      if (played.length >= 6) abort.abort();
      return options.sleep(ms);
    },
  });
  assertEquals(played.slice(0, 6), [
    "0 press.START=0",
    "100 press.START=1",
    "200 press.START=0",
    "300 press.START=1",
    "400 press.START=0",
    "500 press.START=1",
  ]);
  assertEquals([log.at(-1), count], ["cancel", played.length]);
});

Deno.test("a service that refuses ends a play", async () => {
  const { target, options, log } = service();
  await assertRejects(
    () =>
      playPlan(
        { ...target, play: () => Promise.reject(new Error("not simulated")) },
        plan("0:press.START=0 10"),
        options,
      ),
    Error,
    "not simulated",
  );
  assertEquals(log, ["cancel"]);
});
