/**
 * Finds a GPIO controller in a running QEMU by its type and its position on the
 * board: object paths differ between boards, machine options and versions.
 *
 * @module
 */
import { pinOfProperty } from "../config/values/pin.ts";
import { QemuError } from "./errors.ts";
import type { QmpClient } from "./qmp.ts";
import { printable } from "../text/printable.ts";

/** The requested controller. */
interface WantedController {
  /** A type (`pl061`), part of one (`aspeed.gpio`), or an object's path. */
  readonly device: string;
  /** Index among several, by rising address; absent: there must be only one. */
  readonly index?: number;
}

/** A controller that was found. */
export interface Controller {
  /** Its object path, valid as long as QEMU runs. */
  readonly path: string;
  /** Its type: `pl061`. */
  readonly type: string;
  /** Address of its registers for the guest; -1 if unknown. */
  readonly address: number;
  /** Number of pins that can be driven from outside. */
  readonly inputs: number;
  /** Number of pins that are reported to the outside. */
  readonly outputs: number;
  /** Pins that are properties instead: their names, by number. */
  readonly properties: ReadonlyMap<number, string>;
  /**
   * True if it belongs to the secure world, whose registers qtest does not
   * read.
   */
  readonly isSecure: boolean;
  /** Pins that a key device of QEMU drives too: the power button of `virt`. */
  readonly keyPins: readonly number[];
}

/**
 * Returns true if that is a controller which may be named to QEMU, as one that
 * was found.
 */
export function isController(
  found: Readonly<Record<string, unknown>>,
): found is Readonly<Record<string, unknown>> & Controller {
  const { path, type, address, inputs, outputs, properties } = found;
  const { isSecure, keyPins } = found;
  const isCount = (value: unknown) =>
    Number.isSafeInteger(value) && value as number >= 0;
  return typeof path === "string" && path.length <= MAX_PATH_CHARACTERS &&
    path.startsWith("/") &&
    path.slice(1).split("/").every((name) => QOM_NAME.test(name)) &&
    typeof type === "string" && QOM_TYPE.test(type) &&
    (address === -1 || isCount(address)) && isCount(inputs) &&
    isCount(outputs) && typeof isSecure === "boolean" &&
    Array.isArray(keyPins) && keyPins.every(isCount) &&
    properties instanceof Map &&
    [...properties].every(([pin, name]) =>
      isCount(pin) && typeof name === "string" && pinOfProperty(name) === pin
    );
}

interface Property {
  readonly name: string;
  readonly type: string;
}

interface Found {
  readonly path: string;
  readonly type: string;
}

/**
 * Names and types of QOM objects of QEMU's own. Paths made of these names
 * become words of qtest commands, so an object with any other name or type is
 * not a candidate, nor is anything below it.
 *
 * **Source**: qom/object.c of QEMU, names of devices in hw/.
 */
const QOM_NAME = /^[A-Za-z0-9_.:,@+#-]{1,128}(\[\d{1,6}\])?$/;
const QOM_TYPE = /^[A-Za-z0-9_.:,@+-]{1,128}$/;
/**
 * A path that is used only in QMP, as a JSON string: names of memory regions
 * may contain blanks.
 */
const QMP_PATH = /^(\/[\x20-\x2e\x30-\x7e]{1,128}){1,32}$/;
/**
 * Kinds of objects that have no controllers below them, and of which there are
 * hundreds.
 */
const LEAVES = /^child<(qemu:)?(memory-region|iommu-memory-region|irq|clock)>$/;
const UNNAMED_INPUT = /^unnamed-gpio-in\[\d+\]$/;
const UNNAMED_OUTPUT = /^unnamed-gpio-out\[\d+\]$/;
/**
 * Limit of objects, far above any board's: a compromised QEMU may report any
 * number.
 */
const MAX_OBJECTS = 16_384;
const MAX_PATH_CHARACTERS = 1024;
/** Limit of objects of the requested type. */
const MAX_CANDIDATES = 256;
const MAX_REGIONS_DEEP = 64;
/** The type of a key device, which `system_powerdown` presses. */
const KEY = "gpio-key";
const MAX_KEYS = 16;
/** Types or candidates listed in a message. */
const MAX_SHOWN = 16;
/** The secure world's memory, and the common memory, which is inside it. */
const SECURE_MEMORY = /\/secure-memory\[\d+\]$/;
const SYSTEM_MEMORY = /\/system\[\d+\]$/;

/** Receives the controller, or the error. */
type ControllerAnswer = (
  controller: Controller | undefined,
  error: QemuError | undefined,
) => void;

/**
 * Searches for a controller; `answer` is called once, unless the connection
 * ends. The error lists the candidates.
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
  /** Collects all objects that may be controllers. */
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

  /** Lists objects one after another, with all that is below them. */
  #walk(paths: string[]): void {
    const path = paths.pop();
    if (path === undefined) return this.#choose();
    this.#list(path, (properties) => {
      for (const { name, type } of properties) {
        const child = /^child<(.*)>$/.exec(type)?.[1];
        if (child === undefined || LEAVES.test(type)) continue;
        if (!QOM_NAME.test(name) || !QOM_TYPE.test(child)) continue;
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
        this.#known() || "Use the controller's type, such as pl061",
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
    if (chosen.length > MAX_CANDIDATES) {
      return this.#fail(
        `this board has more than ${MAX_CANDIDATES} devices of type "${device}"`,
        this.#known(),
      );
    }
    this.#inspect(chosen);
  }

  /** Returns the other candidates. */
  #known(): string {
    const types = new Set(
      this.#found.map(({ type }) => type).filter((type) =>
        /gpio|pl061/.test(type)
      ),
    );
    return types.size === 0
      ? ""
      : `Similar types on this board: ${shown(types)}`;
  }

  /** Reads the pins of the candidates, one after another. */
  #inspect(candidates: readonly Found[], at = 0): void {
    const found = candidates[at];
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
        this.#inspect(candidates, at + 1);
      };
      if (region === undefined) return next(-1);
      this.#locate(
        `${found.path}/${region.name}`,
        { offset: 0, levels: MAX_REGIONS_DEEP, isShared: false },
        next,
      );
    });
  }

  /** Adds the addresses of a memory region and of its containers. */
  #locate(
    region: string,
    sum: { offset: number; levels: number; isShared: boolean },
    answer: (address: number, isSecure: boolean) => void,
  ): void {
    if (!QMP_PATH.test(region)) return answer(-1, false);
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
        `Choose one with index: ${list(candidates)}`,
      );
    }
    const chosen = candidates[index ?? 0];
    if (chosen !== undefined) return this.#findKeys(chosen);
    this.#fail(
      `this board has no controller "${device}" with the index ${index}`,
      `Available: ${list(candidates)}`,
    );
  }

  /** Finds the pins that QEMU drives itself. */
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
          const pin = /^(\d{1,4})\]$/.exec(tied.slice(input.length))?.[1];
          if (pin !== undefined) keyPins.push(Number(pin));
        }
        next();
      });
    };
    next();
  }

  #list(path: string, next: (properties: readonly Property[]) => void): void {
    this.#qmp.execute("qom-list", { path }, (result, error) => {
      // Objects may be removed at any time: a missing one has nothing below it.
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

function shown(types: ReadonlySet<string>): string {
  const texts = [...types].slice(0, MAX_SHOWN).map((type) =>
    printable(type, 64)
  );
  return texts.join(", ") + (types.size > MAX_SHOWN ? ", …" : "");
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
  return candidates.slice(0, MAX_SHOWN).map(({ path, address }, index) =>
    `${index}: ${printable(path)}${
      address < 0 ? "" : ` at 0x${address.toString(16)}`
    }`
  ).join("; ") + (candidates.length > MAX_SHOWN ? "; …" : "");
}
