import { assertEquals } from "@std/assert";
import { Observation } from "./observation.ts";

function rig(lingerMs: number) {
  const asked: boolean[] = [];
  const answers: (() => void)[] = [];
  const observation = new Observation((on) => {
    asked.push(on);
    return new Promise((resolve) => answers.push(resolve));
  }, lingerMs);
  return { observation, asked, answer: () => answers.shift()!() };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

Deno.test("Observation has one change under way, however many listeners come and go", async () => {
  const { observation, asked, answer } = rig(0);
  using _end = observation;
  for (let i = 0; i < 1000; i++) {
    observation.setListeners(true);
    observation.setListeners(false);
  }
  await turn();
  await turn();
  assertEquals(asked, [true]);
  answer();
  await turn();
  assertEquals(asked, [true, false]);
  answer();
  await turn();
  assertEquals(asked, [true, false]);
});

Deno.test("Observation stays on for a while without listeners", async () => {
  const { observation, asked, answer } = rig(60_000);
  using _end = observation;
  for (let i = 0; i < 100; i++) {
    observation.setListeners(true);
    observation.setListeners(false);
    if (i === 0) answer();
    await turn();
  }
  assertEquals(asked, [true]);
});

Deno.test("Observation.begin() resolves once reports are on, also after a change back", async () => {
  const { observation, asked, answer } = rig(0);
  using _end = observation;
  observation.setListeners(true);
  answer();
  await turn();
  observation.setListeners(false);
  await turn();
  await turn();
  assertEquals(asked, [true, false]);
  let isOn = false;
  const begun = observation.begin().then(() => isOn = true);
  await turn();
  assertEquals(isOn, false);
  observation.setListeners(true);
  answer();
  await turn();
  assertEquals([isOn, asked], [false, [true, false, true]]);
  answer();
  await begun;
});

Deno.test("Observation goes on after a change that failed", async () => {
  const asked: boolean[] = [];
  using observation = new Observation((on) => {
    asked.push(on);
    return Promise.reject(new Error("the reactor ended"));
  }, 0);
  await observation.begin();
  await turn();
  await turn();
  assertEquals(asked, [true, false]);
});
