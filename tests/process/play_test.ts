/** Recordings that are played into the lines of a service. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ServiceError } from "../../src/client/client.ts";
import type { ApiEvent } from "../../src/client/protocol.ts";
import { clockNs } from "../../ffi/clock.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const AGGREGATORS = {
  press: ["sim/1,as=START", "sim/1,as=STOP,active-low", "const/1,as=ON"],
  crane: ["sim/1"],
};

const DUMP = `$timescale 1 ms $end
$scope module press $end
$var wire 1 a START $end
$var wire 1 b STOP $end
$var wire 1 c ON $end
$upscope $end
$enddefinitions $end
#0 0a 1b 1c
#20 1a
#40 0a 0b
#60 1a
#80 1b
#100
`;

async function play(
  service: ApiService,
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const api = service.client.socketPath;
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "play", "--api", api, ...args],
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Values of an aggregator's lines, by name. */
async function readValues(service: ApiService, name = "press") {
  const { lines } = await service.client.show(name);
  return Object.fromEntries(lines.map(({ name, value }) => [name, value]));
}

Deno.test("play changes simulated lines in the order of the file", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const file = `${service.directory}/a.vcd`;
  Deno.writeTextFileSync(file, DUMP);
  const { code, stdout, stderr } = await play(service, file);
  assertEquals(code, 0, stderr);
  assert(
    /^played 7 changes, late by \d+ [um]s \(median\), \d+ [um]s \(worst\)\n$/
      .test(stdout),
    stdout,
  );
  assertEquals(stderr, "gpioagg: not played: press.ON: it is not simulated\n");
  assertEquals(await readValues(service), { START: 1, STOP: 1, ON: 1 });
  const audit = service.audit().filter(({ action }) => action === "play");
  assertEquals(
    audit.map(({ aggregator, outcome, lines }) => [aggregator, outcome, lines]),
    [["press", "done", ["START", "STOP"]]],
  );
});

Deno.test("a part of a file is played into other lines, as fast as it is wanted", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const file = `${service.directory}/a.vcd`;
  Deno.writeTextFileSync(file, DUMP);
  const { code, stdout, stderr } = await play(
    service,
    file,
    "--map=STOP=crane.0",
    "--map=press.START=press.STOP",
    "--from=30ms",
    "--to=50ms",
    "--speed=10",
    "--json",
  );
  assertEquals([code, stderr], [0, ""]);
  const { played, medianLateUs, worstLateUs } = JSON.parse(stdout);
  assertEquals(played, 4);
  assert(0 <= medianLateUs && medianLateUs <= worstLateUs, stdout);
  assertEquals(await readValues(service), { START: 0, STOP: 0, ON: 1 });
  assertEquals(await readValues(service, "crane"), { sim0: 0 });
});

Deno.test("files and lines that cannot be played are refused", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const file = `${service.directory}/a.vcd`;
  Deno.writeTextFileSync(file, DUMP);
  for (
    const [args, status, says] of [
      [[], 2, "missing FILE argument"],
      [[`${file}.gz`], 1, "no such file or directory (ENOENT)"],
      [["/dev/null"], 2, "cannot read /dev/null: it is empty"],
      [[file, "--map", "START=press.ON"], 2, "is not a simulated line"],
      [[file, "--speed", "0"], 2, '"0" is not a valid speed'],
      [[file, "--from", "x"], 2, '--from: "x" is not a valid time'],
      [[file, "--from", "1s"], 2, "--from is later than --to"],
    ] as const
  ) {
    const { code, stderr } = await play(service, ...args);
    assertStringIncludes(stderr, says);
    assertEquals(code, status, stderr);
  }
});

Deno.test("steps wait in the service, can be cancelled, and do not mix", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const { client } = service;
  const start = async (afterMs: number, line = "START") =>
    await client.play("press", {
      from: String(clockNs("realtime") + BigInt(afterMs) * 1_000_000n),
      steps: [{ afterNs: 0, line, value: 1 }],
    });
  const first = await start(3_600_000);
  assertEquals([first.waiting, first.played], [1, 0]);
  const refused = async (
    call: () => Promise<unknown>,
    status: number,
    text: string,
  ) => {
    const error = await assertRejects(call, ServiceError, text);
    assertEquals(error.status, status);
  };
  await refused(() => start(0), 409, "another play is under way");
  await refused(() => start(0, "ON"), 409, "only simulated lines");
  await refused(() => start(0, "STRAT"), 409, "did you mean START?");
  await refused(() => client.playState("pres"), 404, "There is no aggregator");
  assertEquals((await client.cancelPlay("press")).waiting, 0);
  assertEquals((await readValues(service))["START"], 0);
  const events = client.events("press");
  const next = async () => (await events.next()).value as ApiEvent;
  assertEquals((await next()).event, "snapshot");
  await start(0);
  const { lines } = await next() as ApiEvent & { event: "lines" };
  assertEquals(lines.map(({ name, value }) => [name, value]), [["START", 1]]);
  await events.return();
  assertEquals((await client.playState("press")).played, 1);
});

Deno.test("steps that make no sense are refused with their place", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const step = (afterNs: number) =>
    ({ afterNs, line: "START", value: 1 }) as const;
  for (
    const [from, steps, says] of [
      ["soon", [step(0)], "from: is not a time in nanoseconds"],
      ["1", [step(5), step(4)], "steps.1.afterNs: is before the step"],
      ["1", [step(-1)], "afterNs"],
      ["1", [], "steps"],
    ] as const
  ) {
    const error = await assertRejects(
      () => service.client.play("press", { from, steps: [...steps] }),
      Error,
    );
    assertStringIncludes(error.message, says);
  }
});
