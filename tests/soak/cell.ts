/**
 * Four guests whose lines depend on each other, and what each value must be.
 *
 * @module
 */
import { ControlClient } from "../../src/service/control/control_client.ts";
import {
  Direction,
  EventStatus,
  GpioDriver,
  IrqType,
} from "../../src/vhost_frontend/driver.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import { A, B, C, CELL, D } from "./plan.ts";

/** Limit for each answer; what takes longer counts as lost. **Units**: ms. */
const ANSWER_LIMIT_MS = 15_000;
/** Limit for what follows the end of a guest, and for interrupts. */
const EFFECT_LIMIT_MS = 15_000;
/** A guest leaves and returns in one of so many rounds. */
const ROUNDS_PER_RETURN = 200;

type Part = typeof CELL[number];

/** A value that is not what it must be. */
export class WrongValue extends Error {
  override readonly name = "WrongValue";
}

/** The guests of one cell. **Ownership**: owns their connections. */
export class Cell implements Disposable {
  readonly #name: string;
  readonly #directory: string;
  readonly #random: Random;
  readonly #frontends = new Map<Part, Frontend>();
  readonly #drivers = new Map<Part, GpioDriver>();
  /** Values that were set last. */
  #out = 0;
  #forward = 0;
  #reverse = 0;
  #input = 0;
  #any = 0;
  #bOut = 1;
  #cOut = 0;
  /** Requests that were answered. */
  requests = 0;
  /** Guests that left and returned. */
  returns = 0;

  /** Connects all four guests. */
  constructor(directory: string, index: number, random: Random) {
    this.#name = `c${index}`;
    this.#directory = directory;
    this.#random = random;
    try {
      for (const part of CELL) this.#connect(part);
      this.begin();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Sets all values, whatever an earlier cell's guests, or an earlier process of
   * the service, left.
   */
  begin(): void {
    this.#forward =
      this.#reverse =
      this.#out =
      this.#any =
        0;
    for (const line of [A.FORWARD, A.REVERSE, A.OUT, A.ANY]) {
      this.#set("a", line, 0);
    }
    this.#pull(this.#input);
    this.#set("b", B.OUT, this.#bOut);
    this.#set("c", C.OUT, this.#cOut);
    this.#check();
  }

  /** Changes some values, then checks what every guest reads. */
  round(): void {
    const random = this.#random;
    if (random.oneIn(ROUNDS_PER_RETURN)) this.#leaveAndReturn();
    for (let i = 1 + random.below(4); i > 0; i--) this.#change();
    this.#check();
  }

  [Symbol.dispose](): void {
    for (const frontend of this.#frontends.values()) {
      frontend[Symbol.dispose]();
    }
  }

  #change(): void {
    const random = this.#random;
    const value = random.below(2);
    switch (random.below(8)) {
      case 0:
        return this.#changeOut();
      case 1:
      case 2:
        return this.#exclude(A.FORWARD, value);
      case 3:
        return this.#exclude(A.REVERSE, value);
      case 4:
        this.#input = value;
        return this.#pull(value);
      case 5:
        this.#any = value;
        this.#request(
          "a",
          (driver) => driver.setOutput(A.ANY, value, Direction.Output),
        );
        return;
      case 6:
        this.#bOut = value;
        return this.#set("b", B.OUT, value);
      default:
        this.#cOut = value;
        return this.#set("c", C.OUT, value);
    }
  }

  /** A wire's other end is interrupted exactly once by a change. */
  #changeOut(): void {
    const watcher = this.#drivers.get("b")!;
    this.#request("b", () => {
      watcher.setDirection(B.PEER, Direction.Input);
      watcher.setInterruptType(B.PEER, IrqType.EdgeBoth);
      watcher.arm(B.PEER);
    });
    const value = 1 - this.#out;
    this.#set("a", A.OUT, value);
    this.#out = value;
    const event = watcher.waitEvent(EFFECT_LIMIT_MS);
    if (
      event?.lineNumber !== B.PEER || event.status !== EventStatus.Valid
    ) {
      throw new WrongValue(
        `${this.#name}b: ${
          event === undefined ? "no interrupt" : JSON.stringify(event)
        } after ${this.#name}a.OUT became ${value}`,
      );
    }
    this.#request("b", () => watcher.setInterruptType(B.PEER, IrqType.None));
    const extra = watcher.waitEvent(0);
    if (extra !== undefined) {
      throw new WrongValue(`${this.#name}b: a second interrupt for one change`);
    }
  }

  /** One of two interlocked lines: refused while the other one is active. */
  #exclude(line: number, value: number): void {
    const isForward = line === A.FORWARD;
    const other = isForward ? this.#reverse : this.#forward;
    const mustRefuse = value === 1 && other === 1;
    let isRefused = false;
    try {
      this.#set("a", line, value);
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      isRefused = true;
    }
    if (isRefused !== mustRefuse) {
      throw new WrongValue(
        `${this.#name}a: line ${line} = ${value} was ${
          isRefused ? "refused" : "allowed"
        } while the other one is ${other}`,
      );
    }
    if (isRefused) return;
    if (isForward) this.#forward = value;
    else this.#reverse = value;
  }

  /** A guest's VMM ends, and its lines go where the rules say. */
  #leaveAndReturn(): void {
    const part = this.#random.pick(CELL);
    this.#frontends.get(part)![Symbol.dispose]();
    this.#frontends.delete(part);
    if (part === "a") {
      this.#out =
        this.#forward =
        this.#reverse =
        this.#any =
          0;
      this.#await("b", B.PEER, 0);
      this.#await("b", B.COPY, 0);
      this.#await("b", B.NOT, 1);
    } else if (part === "b") {
      this.#bOut = 1;
      this.#await("c", C.PEER, 1);
    } else if (part === "c") {
      // It is kept.
      this.#expect("d", D.PEER, this.#cOut);
    }
    this.#connect(part);
    this.returns++;
  }

  #connect(part: Part): void {
    const frontend = Frontend.open(this.#socket(part), {
      timeoutMs: ANSWER_LIMIT_MS,
    });
    this.#frontends.set(part, frontend);
    this.#drivers.set(part, GpioDriver.attach(frontend));
    if (part === "a") {
      this.#request(
        "a",
        (driver) => driver.setDirection(A.ANY, Direction.Input),
      );
    }
  }

  #check(): void {
    this.#expect("a", A.OUT, this.#out);
    this.#expect("a", A.FORWARD, this.#forward);
    this.#expect("a", A.REVERSE, this.#reverse);
    this.#expect("a", A.INPUT, this.#input);
    this.#expect("a", A.ANY, this.#any);
    this.#expect("b", B.PEER, this.#out);
    this.#expect("b", B.COPY, this.#forward);
    this.#expect("b", B.NOT, 1 - this.#reverse);
    this.#expect("b", B.OUT, this.#bOut);
    this.#expect("b", B.ONE, 1);
    this.#expect("c", C.PEER, this.#bOut);
    this.#expect("c", C.COPY, this.#input);
    this.#expect("c", C.OUT, this.#cOut);
    this.#expect("d", D.PEER, this.#cOut);
    this.#expect("d", D.NOT, 1 - this.#input);
    for (const [part, line] of [["c", C.ABSENT], ["d", D.ABSENT]] as const) {
      const value = this.#read(part, line);
      if (value !== undefined) {
        throw new WrongValue(
          `${this.#name}${part}: a line of a chip that is absent reads ${value}`,
        );
      }
    }
  }

  /** Returns undefined if the request is answered with an error. */
  #read(part: Part, line: number): number | undefined {
    try {
      return this.#request(part, (driver) => driver.getValue(line));
    } catch (error) {
      if (error instanceof RequestRefused) return undefined;
      throw error;
    }
  }

  #expect(part: Part, line: number, expected: number): void {
    const value = this.#read(part, line);
    if (value === expected) return;
    throw new WrongValue(
      `${this.#name}${part}: line ${line} is ${value}, not ${expected}`,
    );
  }

  #await(part: Part, line: number, expected: number): void {
    const deadline = performance.now() + EFFECT_LIMIT_MS;
    while (this.#read(part, line) !== expected) {
      if (performance.now() > deadline) this.#expect(part, line, expected);
    }
  }

  /** Pulls a's input from outside. */
  #pull(value: number): void {
    using control = new ControlClient(
      this.#socket("a") + ".control",
      ANSWER_LIMIT_MS,
    );
    control.ask({ pull: [["INPUT", value === 1 ? 1 : 0]] });
  }

  #set(part: Part, line: number, value: number): void {
    this.#request(
      part,
      (driver) => driver.setOutput(line, value, Direction.Output),
    );
  }

  #request<T>(part: Part, ask: (driver: GpioDriver) => T): T {
    const answer = ask(this.#drivers.get(part)!);
    this.requests++;
    return answer;
  }

  #socket(part: Part): string {
    return `${this.#directory}/${this.#name}${part}.sock`;
  }
}
