/**
 * Finding a GPIO controller in a running QEMU, by its type and its place on the
 * board: object paths differ between boards, machine options and versions.
 *
 * @module
 */
import { pinOfProperty } from "../config/pins.ts";
import { QemuError } from "./errors.ts";
import type { QmpClient } from "./qmp.ts";

/** Which controller is wanted. */
export interface WantedController {
  /** A type (`pl061`), part of one (`aspeed.gpio`), or an object's path. */
  readonly device: string;
  /** Which of several, by rising address; absent: there must be just one. */
  readonly index?: number;
}

/** A controller that was found. */
export interface Controller {
  /** Its object path, valid as long as QEMU runs. */
  readonly path: string;
  /** Its type: `pl061`. */
  readonly type: string;
  /** Where its registers are for the guest; -1 if that is not known. */
  readonly address: number;
  /** How many pins can be driven from outside. */
  readonly inputs: number;
  /** How many pins are reported to the outside. */
  readonly outputs: number;
  /** Pins that are properties instead: their names, by number. */
  readonly properties: ReadonlyMap<number, string>;
  /** Whether it is the secure world's, whose registers qtest does not read. */
  readonly isSecure: boolean;
  /** Pins that a key of QEMU's own drives too: the power button of `virt`. */
  readonly keyPins: readonly number[];
}

interface Property {
  readonly name: string;
  readonly type: string;
}

interface Found {
  readonly path: string;
  readonly type: string;
}

/** Kinds of objects that have no controllers below them, and come in hundreds. */
const LEAVES = /^child<(qemu:)?(memory-region|iommu-memory-region|irq|clock)>$/;
const UNNAMED_INPUT = /^unnamed-gpio-in\[\d+\]$/;
const UNNAMED_OUTPUT = /^unnamed-gpio-out\[\d+\]$/;
/** Far more than boards have: a QEMU that its guest broke into has no end. */
const MAX_OBJECTS = 16_384;
const MAX_PATH_CHARACTERS = 1024;
const MAX_REGIONS_DEEP = 64;
/** The type of a key: what `system_powerdown` presses. */
const KEY = "gpio-key";
const MAX_KEYS = 16;
/** The secure world's memory, and what everybody has, which is inside it. */
const SECURE_MEMORY = /\/secure-memory\[\d+\]$/;
const SYSTEM_MEMORY = /\/system\[\d+\]$/;

/** Told what was found, or why nothing was. */
export type ControllerAnswer = (
  controller: Controller | undefined,
  error: QemuError | undefined,
) => void;

/**
 * Looks for a controller; `answer` is called once, unless the connection ends.
 * The error says which candidates there are.
 */
export function findController(
  qmp: QmpClient,
  wanted: WantedController,
  answer: ControllerAnswer,
): void {
  new Search(qmp, wanted, answer).start();
}

class Search {
  readonly #qmp: QmpClient;
  readonly #wanted: WantedController;
  readonly #answer: ControllerAnswer;
  /** All objects that may be controllers. */
  readonly #found: Found[] = [];
  readonly #candidates: Controller[] = [];

  constructor(
    qmp: QmpClient,
    wanted: WantedController,
    answer: ControllerAnswer,
  ) {
    this.#qmp = qmp;
    this.#wanted = wanted;
    this.#answer = answer;
  }

  start(): void {
    this.#walk(["/machine"]);
  }

  #fail(problem: string, hint = ""): void {
    this.#answer(undefined, new QemuError(problem, { hint }));
  }

  /** Lists objects, one after the other, with all that is below them. */
  #walk(paths: string[]): void {
    const path = paths.pop();
    if (path === undefined) return this.#choose();
    this.#list(path, (properties) => {
      for (const { name, type } of properties) {
        const child = /^child<(.*)>$/.exec(type)?.[1];
        if (child === undefined || LEAVES.test(type)) continue;
        const found = { path: `${path}/${name}`, type: child };
        if (found.path.length > MAX_PATH_CHARACTERS) continue;
        this.#found.push(found);
        paths.push(found.path);
      }
      if (this.#found.length > MAX_OBJECTS) {
        return this.#fail(`this QEMU has more than ${MAX_OBJECTS} objects`);
      }
      this.#walk(paths);
    });
  }

  #choose(): void {
    const { device } = this.#wanted;
    if (device.startsWith("/")) {
      const found = this.#found.find(({ path }) => path === device);
      if (found !== undefined) return this.#inspect([found]);
      return this.#fail(
        `this QEMU has no object ${device}`,
        this.#known() || "Name the controller by its type, such as pl061",
      );
    }
    const exact = this.#found.filter(({ type }) => type === device);
    const chosen = exact.length > 0
      ? exact
      : this.#found.filter(({ type }) => type.includes(device));
    if (chosen.length === 0) {
      return this.#fail(
        `this board has no device of type "${device}"`,
        this.#known(),
      );
    }
    this.#inspect(chosen);
  }

  /** What else could be meant. */
  #known(): string {
    const types = new Set(
      this.#found.map(({ type }) => type).filter((type) =>
        /gpio|pl061/.test(type)
      ),
    );
    return types.size === 0
      ? ""
      : `Types on this board that may be meant: ${[...types].join(", ")}`;
  }

  /** Learns what pins the candidates have, one after the other. */
  #inspect(rest: Found[]): void {
    const [found, ...others] = rest;
    if (found === undefined) return this.#decide();
    this.#list(found.path, (properties) => {
      const count = (pattern: RegExp) =>
        properties.filter(({ name }) => pattern.test(name)).length;
      const controller = {
        ...found,
        address: -1,
        inputs: count(UNNAMED_INPUT),
        outputs: count(UNNAMED_OUTPUT),
        properties: pinProperties(properties),
        isSecure: false,
        keyPins: [],
      };
      const region = properties.find(({ type }) =>
        /^child<(qemu:)?memory-region>$/.test(type)
      );
      const next = (address: number, isSecure = false) => {
        if (hasPins(controller)) {
          this.#candidates.push({ ...controller, address, isSecure });
        }
        this.#inspect(others);
      };
      if (region === undefined) return next(-1);
      this.#locate(
        `${found.path}/${region.name}`,
        { offset: 0, levels: MAX_REGIONS_DEEP, isShared: false },
        next,
      );
    });
  }

  /** Adds up the addresses of a memory region and of those it is in. */
  #locate(
    region: string,
    sum: { offset: number; levels: number; isShared: boolean },
    answer: (address: number, isSecure: boolean) => void,
  ): void {
    const isShared = sum.isShared || SYSTEM_MEMORY.test(region);
    this.#get(region, "addr", (addr) => {
      this.#get(region, "container", (container) => {
        const offset = typeof addr === "number" ? sum.offset + addr : -1;
        const levels = sum.levels - 1;
        if (!Number.isSafeInteger(offset) || offset < 0 || levels < 0) {
          return answer(-1, false);
        }
        if (typeof container !== "string" || container === "") {
          return answer(offset, !isShared && SECURE_MEMORY.test(region));
        }
        this.#locate(container, { offset, levels, isShared }, answer);
      });
    });
  }

  #decide(): void {
    const { device, index } = this.#wanted;
    const candidates = this.#candidates.sort((a, b) => a.address - b.address);
    if (candidates.length === 0) {
      return this.#fail(
        `"${device}" has no pins that can be reached from outside`,
        "It needs unnamed GPIO inputs or outputs, or properties such as gpioA0",
      );
    }
    if (index === undefined && candidates.length > 1) {
      return this.#fail(
        `this board has ${candidates.length} controllers of type "${device}"`,
        `Say which by index: ${list(candidates)}`,
      );
    }
    const chosen = candidates[index ?? 0];
    if (chosen !== undefined) return this.#findKeys(chosen);
    this.#fail(
      `this board has no controller "${device}" with the index ${index}`,
      `There are: ${list(candidates)}`,
    );
  }

  /** Learns which of the pins QEMU drives by itself. */
  #findKeys(controller: Controller): void {
    const rest = this.#found.filter(({ type }) => type === KEY)
      .slice(0, MAX_KEYS);
    const keyPins: number[] = [];
    const input = `${controller.path}/unnamed-gpio-in[`;
    const next = () => {
      const key = rest.pop();
      if (key === undefined) {
        return this.#answer({ ...controller, keyPins }, undefined);
      }
      this.#get(key.path, "sysbus-irq[0]", (tied) => {
        if (typeof tied === "string" && tied.startsWith(input)) {
          keyPins.push(Number.parseInt(tied.slice(input.length)));
        }
        next();
      });
    };
    next();
  }

  #list(path: string, next: (properties: readonly Property[]) => void): void {
    this.#qmp.execute("qom-list", { path }, (result, error) => {
      // Objects come and go: one that is gone has nothing below it.
      next(
        error === undefined && Array.isArray(result)
          ? result.filter(isProperty)
          : [],
      );
    });
  }

  #get(path: string, property: string, next: (value: unknown) => void): void {
    this.#qmp.execute("qom-get", { path, property }, (result) => next(result));
  }
}

function isProperty(value: unknown): value is Property {
  if (typeof value !== "object" || value === null) return false;
  const { name, type } = value as Partial<Property>;
  return typeof name === "string" && typeof type === "string";
}

function hasPins(controller: Controller): boolean {
  return controller.inputs > 0 || controller.outputs > 0 ||
    controller.properties.size > 0;
}

function pinProperties(
  properties: readonly Property[],
): ReadonlyMap<number, string> {
  const pins = new Map<number, string>();
  for (const { name, type } of properties) {
    const pin = type === "bool" ? pinOfProperty(name) : undefined;
    if (pin !== undefined) pins.set(pin, name);
  }
  return new Map([...pins].sort(([a], [b]) => a - b));
}

function list(candidates: readonly Controller[]): string {
  return candidates.map(({ path, address }, index) =>
    `${index}: ${path}${address < 0 ? "" : ` at 0x${address.toString(16)}`}`
  ).join("; ");
}
