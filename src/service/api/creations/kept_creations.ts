/**
 * Creations of clients, kept across a restart: those that were to outlive
 * their maker are made again, and so are those whose client can take its lease
 * back. The others end as their rules say.
 *
 * Kept is what each client sent, so that it is read and judged like any request.
 *
 * @module
 */
import { openFor, readSmallFile } from "../../../../ffi/files.ts";
import { fdStatus } from "../../../../ffi/file_status.ts";
import { Mapping } from "../../../../ffi/mapping.ts";
import { createMemFd } from "../../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../../ffi/owned_fd.ts";
import {
  creationFdName,
  isCreationName,
  nextRulesFdName,
  rulesFdName,
  rulesFdNameFor,
} from "../../../aggregator/restart/fd_store.ts";
import {
  isChipSource,
  isKnownForGood,
} from "../../../aggregator/sources/locate.ts";
import type { AggregatorSpecification } from "../../../config/specification.ts";
import { type Creation, readCreation, type RuleChanges } from "./create.ts";
import type { CreationRules } from "./exposure.ts";
import { type LeaseClaim, readClaim } from "./lease_claim.ts";
import { errorMessage } from "../requests/messages.ts";
import type { ManagerFdStore } from "../../restart/manager_fd_store.ts";
import type { AggregatorDescription } from "../../messages/messages.ts";

/**
 * The form of what is kept; no other is read. An older process ignores the claim
 * of a lease, and ends what is leased.
 */
const VERSION = 1;

/** Requirements for making aggregators again. */
interface CreationTarget {
  add(
    aggregators: AggregatorSpecification[],
    options: { isTimed?: boolean },
  ): Promise<AggregatorDescription[]>;
  remove(name: string): Promise<unknown>;
}

/** A creation as its client asked for it, with later changes of its rules. */
export interface KeptCreation {
  readonly body: unknown;
  readonly rules: RuleChanges;
  /** Of a lease that its client may take back after a restart. */
  readonly claim?: LeaseClaim | undefined;
}

/** Creations of the clients of one service. */
export class KeptCreations {
  readonly #store: ManagerFdStore;
  readonly #rules: CreationRules;
  readonly #restored = new Map<string, KeptCreation>();
  /** Names by which changes of rules are kept. */
  readonly #withRules = new Set<string>();

  /** Keeps in `store`; `rules` are those for what clients send. */
  constructor(store: ManagerFdStore, rules: CreationRules) {
    this.#store = store;
    this.#rules = rules;
  }

  /**
   * Keeps what a client sent to make the aggregator `name`.
   *
   * @param claim Of a lease that the client may take back.
   */
  keep(name: string, body: unknown, claim?: LeaseClaim): void {
    this.#keep(creationFdName(name), { create: body, claim });
  }

  /**
   * Keeps changes of an aggregator's rules, and no earlier ones: whenever this
   * process is killed, the next one has either.
   */
  keepRules(name: string, rules: RuleChanges): void {
    const fdName = rulesFdName(name);
    const nextName = nextRulesFdName(name);
    const isFirst = !this.#withRules.has(fdName);
    if (!isFirst) {
      this.#keep(nextName, { rules });
      this.#store.drop(fdName);
    }
    this.#keep(fdName, { rules });
    this.#withRules.add(fdName);
    if (!isFirst) this.#store.drop(nextName);
  }

  /** Returns what was kept of an aggregator that was made again. */
  restored(name: string): KeptCreation | undefined {
    return this.#restored.get(name);
  }

  #keep(fdName: string, content: Record<string, unknown>): void {
    const text = JSON.stringify({ version: VERSION, ...content });
    const bytes = new TextEncoder().encode(text);
    using file = createMemFd(fdName, bytes.length, { seal: true });
    using memory = Mapping.map(file.fd, {
      length: bytes.length,
      subject: fdName,
    });
    new Uint8Array(memory.buffer).set(bytes);
    this.#store.keep(fdName, file.fd);
  }

  /** Keeps it no longer. */
  drop(name: string): void {
    this.#store.drop(creationFdName(name));
    this.#dropRules(name);
  }

  #dropRules(name: string): void {
    const fdName = rulesFdName(name);
    if (this.#withRules.delete(fdName)) this.#store.drop(fdName);
  }

  /**
   * Makes again what was to outlive its maker or may have its client again, and
   * ends what was not. Whatever cannot be made is reported, and its lines are let
   * go.
   *
   * @returns What was made again.
   */
  async restore(target: CreationTarget): Promise<AggregatorDescription[]> {
    const restored: AggregatorDescription[] = [];
    for (const fdName of this.#store.leftNames.filter(isCreationName)) {
      for (const file of this.#store.take(fdName)) {
        const made = await this.#restoreOne(target, fdName, file);
        if (made !== undefined) restored.push(made);
      }
    }
    return restored;
  }

  async #restoreOne(
    target: CreationTarget,
    fdName: string,
    file: OwnedFd,
  ): Promise<AggregatorDescription | undefined> {
    using _file = file;
    try {
      const { creation: { specification, lease }, kept } = this.#read(
        fdName,
        file,
      );
      const { name } = specification;
      // A kernel chip has gone with its process, and nothing of it is kept.
      const isOver = lease !== "none" && specification.kernelChip !== undefined;
      if (isOver) return this.#end(fdName);
      const [made] = await target.add([withoutChips(specification)], {
        isTimed: true,
      });
      if (lease === "none" || kept.claim !== undefined) {
        this.#restored.set(name, kept);
        return made;
      }
      // Its client's connection is gone with the process that had it: what it
      // made has its lines again, to put them where their rules say.
      await target.remove(name);
    } catch (error) {
      const why = errorMessage(error);
      this.#store.report(
        `what a client had made, kept as ${fdName}, cannot be made again, and ` +
          `its lines are let go: ${why}`,
      );
    }
    return this.#end(fdName);
  }

  #end(fdName: string): undefined {
    this.#store.drop(fdName);
    const rulesName = rulesFdNameFor(fdName);
    if (this.#withRules.delete(rulesName)) this.#store.drop(rulesName);
  }

  /** Reads a creation with the changes of its rules. */
  #read(
    fdName: string,
    file: OwnedFd,
  ): { creation: Creation; kept: KeptCreation } {
    const { create: body, claim: lastClaim } = readKept(file);
    const original = readCreation(body, this.#rules);
    const { name } = original.specification;
    const claim = original.lease === "none" ? undefined : readClaim(lastClaim);
    const claimed = claim === undefined ? {} : { claim };
    if (creationFdName(name) !== fdName) {
      throw new Error(`It is of another aggregator, "${name}"`);
    }
    using stack = new DisposableStack();
    const later = this.#store.take(nextRulesFdName(name));
    const files = [...later, ...this.#store.take(rulesFdName(name))]
      .map((file) => stack.use(file));
    if (files.length > 0) this.#withRules.add(rulesFdName(name));
    for (const file of files) {
      try {
        const rules = readKept(file).rules as RuleChanges;
        const creation = readCreation(body, this.#rules, rules);
        // The last process was killed while it kept them.
        if (later.length > 0) this.keepRules(name, rules);
        return { creation, kept: { body, rules, ...claimed } };
      } catch (error) {
        const why = errorMessage(error);
        this.#store.report(
          `changes of the rules of ${name} cannot be read, and it has those of ` +
            `its creation: ${why}`,
        );
      }
    }
    return { creation: original, kept: { body, rules: {}, ...claimed } };
  }
}

/** Reads what was kept by {@linkcode KeptCreations}. */
function readKept(
  file: OwnedFd,
): { create?: unknown; claim?: unknown; rules?: unknown } {
  if (fdStatus(file.fd).kind !== "regular file" || !openFor(file.fd).read) {
    throw new Error("It is not a file that is open for reading");
  }
  // Opened anew, so that reading does not move the kept file's position.
  const text = readSmallFile(`/proc/self/fd/${file.fd}`) ?? "";
  const value: unknown = JSON.parse(text);
  const content = typeof value === "object" && value !== null ? value : {};
  const version = "version" in content ? content.version : undefined;
  if (version !== VERSION) {
    throw new Error(
      `It is of version ${JSON.stringify(version)}, and ${VERSION} is read`,
    );
  }
  return content;
}

/**
 * Chips that are away are waited for, as they would be if the service had not
 * been restarted. One that is named by its number is not: the chip that has the
 * number next may be another one.
 */
function withoutChips(
  specification: AggregatorSpecification,
): AggregatorSpecification {
  // The kernel makes no chip of lines that are not there.
  if (specification.kernelChip !== undefined) return specification;
  return {
    ...specification,
    lines: specification.lines.map((line) =>
      isChipSource(line.source) && isKnownForGood(line.source)
        ? { ...line, optional: true }
        : line
    ),
  };
}
