/**
 * Aggregators of API clients, in a service that is a table: for tests of
 * `Creations`.
 *
 * @module
 */
import { LinesHeldError } from "../../src/service/lanes/lanes.ts";
import type { AggregatorDescription } from "../../src/service/messages/messages.ts";
import {
  type Creation,
  readCreation,
} from "../../src/service/api/creations/create.ts";
import { Creations } from "../../src/service/api/creations/creations.ts";
import type { KeptCreation } from "../../src/service/api/creations/kept_creations.ts";
import type { Lease } from "../../src/service/api/creations/lease.ts";
import type { Peer } from "../../src/service/api/connections/listener.ts";

/** A client. */
export const PEER = { pid: 7, uid: 1000, gid: 100 };
/** Rules of the sockets that clients may name. */
export const RULES = { socketDirectory: "/run/x", socketAccess: {} };

/** Returns an aggregator that is served. */
export function describe(name: string): AggregatorDescription {
  return { name, presentation: "", connected: false, lines: [] };
}

/** Returns what the client asks for. */
export function makeCreation(
  name: string,
  lease?: "none",
): [Creation, unknown, Peer] {
  const body = { name, lines: ["sim/1"], ...(lease && { lease }) };
  return [readCreation(body, RULES), body, PEER];
}

/** The maker's side of a lease. */
export class LeaseDouble {
  isGone = false;
  ended: string | undefined;
  token: string | undefined;
  gone: (() => void) | undefined;

  grant(_state: unknown, onGone: () => void, token?: string): void {
    this.gone = onGone;
    this.token = token;
  }

  leave(): void {
    this.gone = undefined;
  }

  end(reason: string): void {
    this.ended = reason;
  }
}

/** Clients of a service that has some aggregators of its own. */
export function creationsRig(...own: string[]) {
  return makeCreationsRig(own);
}

/** One that outlived an earlier process. */
interface Restored {
  readonly made: AggregatorDescription;
  readonly claim?: KeptCreation["claim"];
}

/** The same, in which some outlived an earlier process. */
export function makeCreationsRig(
  own: readonly string[],
  restored: readonly Restored[] = [],
) {
  /** Ends of grace times that are to come. */
  const graces = new Set<() => void>();
  const served = new Set([...own, ...restored.map(({ made }) => made.name)]);
  const log: string[] = [];
  const errors: Error[] = [];
  const refusals: Error[] = [];
  let gate: Promise<unknown> = Promise.resolve();
  const creations = new Creations({
    target: {
      describe: async (name) => {
        await gate;
        return served.has(name) ? [describe(name)] : [];
      },
      add: async ([specification]) => {
        await gate;
        const refusal = refusals.shift();
        if (refusal !== undefined) throw refusal;
        served.add(specification!.name);
        return [describe(specification!.name)];
      },
      changeRules: ([specification]) => {
        const { name, lines } = specification!;
        log.push(`change ${name} to safe=${lines[0]!.safe}`);
        return Promise.resolve([describe(name)]);
      },
      removeWhole: async (name) => {
        await gate;
        const error = errors.shift();
        if (error !== undefined && !(error instanceof LinesHeldError)) {
          throw error;
        }
        if (!served.delete(name)) throw new Error(`there is no ${name}`);
        if (error !== undefined) throw error;
        return [describe(name)];
      },
    },
    keeper: {
      keep: (name) => log.push(`keep ${name}`),
      keepRules: (name, rules) =>
        log.push(`keep rules of ${name} ${JSON.stringify(rules)}`),
      drop: (name) => log.push(`drop ${name}`),
      restored: (name) => ({
        body: undefined,
        rules: {},
        claim: restored.find(({ made }) => made.name === name)?.claim,
      }),
    },
    events: {
      removed: (name, reason) => log.push(`removed ${name}: ${reason}`),
      leaseOver: (name, { uid }, error = "done") =>
        log.push(`lease of ${uid} for ${name}: ${error}`),
      stuck: (name, error) => log.push(`stuck ${name}: ${error}`),
    },
    retryMs: { first: 1, most: 2 },
    grace: (over) => {
      graces.add(over);
      return () => graces.delete(over);
    },
  }, restored.map(({ made }) => made));
  /** Makes one with a lease. */
  const lend = async (name: string): Promise<LeaseDouble> => {
    const made = await creations.add(...makeCreation(name));
    const lease = new LeaseDouble();
    creations.tie(
      lease as unknown as Lease,
      { ...made, lease: "stream" },
      PEER,
    );
    return lease;
  };
  return {
    creations,
    lend,
    served,
    graces,
    errors,
    refusals,
    said: () => log.splice(0),
    /** Lets the reactor do nothing until the given promise resolves. */
    hold: (until: Promise<unknown>) => gate = until,
    /** Waits until something was said that begins so. */
    heard: async (start: string) => {
      while (!log.some((line) => line.startsWith(start))) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  };
}
