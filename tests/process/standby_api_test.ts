/** `serve --standby` beside clients that change what is served. */
import { assert, assertEquals } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient, ServiceError } from "../../src/client/client.ts";
import type { AggregatorState } from "../../src/client/protocol.ts";
import { listChildren } from "../environment/child_processes.ts";
import { replaceService, waitForPair } from "../environment/keeper_pair.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { RawGuest } from "../environment/raw_guest.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 120_000;
const GET_VALUE = 4;
const OUTPUT = "sim/1,as=OUT,direction=output,safe=0";
/** Clients that change something at the same time. */
const CLIENTS = 3;
/** Changes of each before the takeover. */
const CHANGES = 5;

/** A keeper without a manager, and its service. */
class Kept implements AsyncDisposable {
  readonly directory: string;
  readonly client: ServiceClient;
  readonly #process: ChildProcess;
  /** The service that was replaced last. */
  #before: number | undefined;

  private constructor(directory: string) {
    this.directory = directory;
    const api = `${directory}/api.sock`;
    this.client = new ServiceClient(api, { limitMs: LIMIT_MS });
    this.#process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...[...PROGRAM, "serve", "--standby"],
        ...["--api", api, "--api-sockets", directory],
      ],
    });
  }

  static async start(): Promise<Kept> {
    const kept = new Kept(await Deno.makeTempDir());
    await kept.states();
    return kept;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Returns what is served, once a service answers. */
  async states(): Promise<readonly AggregatorState[]> {
    let states: readonly AggregatorState[] | undefined;
    await until("an answer of the service", async () => {
      states = await this.client.list().catch(() => undefined);
      return states !== undefined;
    });
    return states!;
  }

  /** Waits until the service has a spare that is new. */
  async pair(): Promise<[service: number, spare: number]> {
    const pair = await waitForPair(this.pid, this.#before);
    this.#before = pair[0];
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.waitForExit({ timeoutMs: LIMIT_MS });
    await this.#process[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test("a change that a client was told of is there after a SIGKILL in that moment", async () => {
  await using kept = await Kept.start();
  const { client } = kept;
  const name = "plc0";
  const changes: readonly (readonly [unknown, () => Promise<unknown>])[] = [
    [0, () => client.createLasting({ name, lines: [OUTPUT] })],
    [1, () => client.changeRules(name, { OUT: { safe: 1 } })],
    [null, () => client.changeRules(name, { OUT: { safe: null } })],
    [undefined, () => client.remove(name)],
  ];
  for (let round = 0; round < rounds(5, 1); round++) {
    for (const [safe, change] of changes) {
      const [service, spare] = await kept.pair();
      await change();
      Deno.kill(service, "SIGKILL");
      await until("the takeover", () => listChildren(kept.pid)[0] === spare);
      const states = await kept.states();
      assertEquals(
        states.map(({ lines }) => lines[0]!.rules?.safe ?? null),
        safe === undefined ? [] : [safe],
      );
    }
  }
});

/** Answers to a client about the aggregators that it made. */
class Maker {
  readonly there = new Set<string>();
  /** Those of which it knows nothing: there was no answer. */
  readonly unsure = new Set<string>();
  done = 0;
  readonly #client: ServiceClient;
  readonly #letter: string;

  constructor(client: ServiceClient, letter: string) {
    this.#client = client;
    this.#letter = letter;
  }

  /** Makes aggregators, and removes some of them again. */
  async makeUntil(isOver: () => boolean): Promise<void> {
    for (let i = 0; !isOver(); i++) {
      const name = `${this.#letter}${i}`;
      const isMade = await this.#change(name, async () => {
        await this.#client.createLasting({ name, lines: [OUTPUT] });
        this.there.add(name);
      });
      // Few are left, however long it takes.
      if (!isMade || i % 16 === 0) continue;
      await this.#change(name, async () => {
        await this.#client.remove(name);
        this.there.delete(name);
      });
    }
  }

  async #change(name: string, change: () => Promise<void>): Promise<boolean> {
    try {
      await change();
      this.done++;
      return true;
    } catch (error) {
      // Refused is not done; anything else may be.
      if (error instanceof ServiceError) assertEquals(error.status, 503);
      else {
        this.there.delete(name);
        this.unsure.add(name);
      }
      // There is no service, for a moment.
      await new Promise((resolve) => setTimeout(resolve, 10));
      return false;
    }
  }
}

for (const how of ["SIGUSR1", "SIGKILL"] as const) {
  Deno.test(`changes during a takeover by ${how} are done or not, and none is half done`, async () => {
    await using kept = await Kept.start();
    await kept.pair();
    const makers = Array.from(
      "abcdefgh".slice(0, CLIENTS),
      (letter) => new Maker(kept.client, letter),
    );
    const all = (least: number) => () =>
      makers.every(({ done }) => done >= least);
    let isOver = false;
    const making = Promise.all(
      makers.map((maker) => maker.makeUntil(() => isOver)),
    );
    await until("some changes", all(CHANGES));
    await replaceService(kept.pid, how);
    const least = Math.max(...makers.map(({ done }) => done)) + 1;
    await until("changes by the next service", all(least));
    isOver = true;
    await making;

    const names = (await kept.states()).map(({ name }) => name);
    const has = (name: string) => names.includes(name);
    for (const { there, unsure } of makers) {
      assertEquals([...there].filter((name) => !has(name)), []);
      for (const name of [...unsure].filter((name) => !has(name))) {
        const socket = `${kept.directory}/${name}.sock`;
        assertEquals(fileStatus(socket), undefined, `${name} is half there`);
      }
    }
    const made = makers.flatMap(({ there, unsure }) => [...there, ...unsure]);
    for (const name of names) {
      assert(made.includes(name), `${name} is there again`);
      using guest = await RawGuest.start(`${kept.directory}/${name}.sock`);
      await guest.request(GET_VALUE, 0);
    }
  });
}
