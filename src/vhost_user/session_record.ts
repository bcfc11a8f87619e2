/**
 * Record of a session for the next process: what was negotiated, where memory
 * and rings are, and which descriptors belong to what. What changes with each
 * request is not in it: indices are in the guest's memory, and what the device
 * holds and what the guest made of its lines is in the session's state memory.
 *
 * It is written by this program, possibly by another version of it, and what it
 * says is checked as if it came from a frontend.
 *
 * @module
 */
import type {
  InflightDescription,
  RegionDescription,
  VringAddress,
} from "./messages/codec.ts";
import type { RingAddress } from "./guest/guest_identity.ts";

/** Version that is written, and the newest one that is read. */
export const RECORD_VERSION = 1;

/** Names of a session's descriptors. */
export const FdName = {
  Connection: "connection",
  /** State memory of the session. */
  State: "state",
  /** Channel for requests of the back end. */
  Channel: "channel",
  kick: (index: number) => `kick${index}`,
  call: (index: number) => `call${index}`,
  err: (index: number) => `err${index}`,
} as const;

/** Descriptors of a session by name; `undefined`: kept already. */
export type SessionFds = Map<string, number | undefined>;

/** An in-flight region, and the name of its descriptor. */
export interface InflightRecord extends InflightDescription {
  /** Name of the descriptor. */
  readonly file: string;
}

/** A region of guest memory, and the name of its descriptor. */
export interface RegionRecord extends RegionDescription {
  /** Name of the descriptor. */
  readonly file: string;
}

/** State of a ring that was paused. */
export interface PauseRecord extends RingAddress {
  readonly size: number;
  readonly features: bigint;
  readonly nextAvail: number;
  readonly usedIndex: number;
  readonly signature: number | undefined;
  readonly run: number;
}

/** One ring. */
export interface RingRecord {
  readonly size: number;
  readonly base: number;
  readonly isEnabled: boolean;
  /** True if the device had its queue. */
  readonly isActive: boolean;
  readonly address: VringAddress | undefined;
  readonly pause: PauseRecord | undefined;
}

/** Results of negotiation that concern no ring. */
export interface NegotiatedRecord {
  readonly isOwned: boolean;
  readonly protocolFeatures: bigint;
  readonly status: bigint;
}

/** All rings, and what they share. */
export interface RingSetRecord {
  readonly features: bigint;
  /** Number of the device's run. */
  readonly run: number;
  /** True if the device holds a guest's state. */
  readonly isKnown: boolean;
  /** True if a guest was given up that may go on after all. */
  readonly isAbandoned: boolean;
  readonly regions: readonly RegionRecord[];
  /** In-flight region that the frontend handed over, if it did. */
  readonly inflight: InflightRecord | undefined;
  readonly rings: readonly RingRecord[];
}

/** A session. */
export interface SessionRecord extends NegotiatedRecord, RingSetRecord {
  /** Identity of the device that the guest knows. */
  readonly device: string;
}

/** Returns the record as data that JSON can say. */
export function encodeRecord(record: SessionRecord): unknown {
  return JSON.parse(
    JSON.stringify(
      { version: RECORD_VERSION, ...record },
      (_, value) => typeof value === "bigint" ? value.toString() : value,
    ),
  );
}

/** Thrown where a record does not say what it should; never leaves this file. */
class Unreadable extends Error {}

/** Reads one object of a record. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null) {
      throw new Unreadable(`${where} is missing`);
    }
    this.#fields = value as Record<string, unknown>;
    this.#where = where;
  }

  #bad(name: string): Unreadable {
    return new Unreadable(`"${name}" of ${this.#where} is not valid`);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  object(name: string): Fields {
    return new Fields(this.#fields[name], name);
  }

  list<T>(name: string, read: (fields: Fields) => T): T[] {
    const list = this.#fields[name];
    if (!Array.isArray(list)) throw this.#bad(name);
    return list.map((one, i) => read(new Fields(one, `${name}[${i}]`)));
  }

  number(name: string, limit = Number.MAX_SAFE_INTEGER): number {
    const value = this.#fields[name];
    if (
      typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 ||
      value > limit
    ) throw this.#bad(name);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== "boolean") throw this.#bad(name);
    return value;
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== "string") throw this.#bad(name);
    return value;
  }

  bits(name: string): bigint {
    const value = this.text(name);
    if (!/^\d{1,20}$/.test(value)) throw this.#bad(name);
    const bits = BigInt(value);
    if (bits !== BigInt.asUintN(64, bits)) throw this.#bad(name);
    return bits;
  }
}

const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;

function readRegion(fields: Fields): RegionRecord {
  return {
    guestAddress: fields.number("guestAddress"),
    size: fields.number("size"),
    userAddress: fields.number("userAddress"),
    mmapOffset: fields.number("mmapOffset"),
    file: fields.text("file"),
  };
}

function readAddress(fields: Fields): VringAddress {
  return {
    index: fields.number("index", U32_MAX),
    flags: fields.number("flags", U32_MAX),
    descriptor: fields.number("descriptor"),
    used: fields.number("used"),
    available: fields.number("available"),
  };
}

function readPause(fields: Fields): PauseRecord {
  return {
    descriptorAddress: fields.number("descriptorAddress"),
    availAddress: fields.number("availAddress"),
    usedAddress: fields.number("usedAddress"),
    size: fields.number("size", U16_MAX),
    features: fields.bits("features"),
    nextAvail: fields.number("nextAvail", U16_MAX),
    usedIndex: fields.number("usedIndex", U16_MAX),
    signature: fields.has("signature")
      ? fields.number("signature", U32_MAX)
      : undefined,
    run: fields.number("run"),
  };
}

function readRing(fields: Fields): RingRecord {
  return {
    size: fields.number("size", U16_MAX),
    base: fields.number("base", U16_MAX),
    isEnabled: fields.boolean("isEnabled"),
    isActive: fields.boolean("isActive"),
    address: fields.has("address")
      ? readAddress(fields.object("address"))
      : undefined,
    pause: fields.has("pause") ? readPause(fields.object("pause")) : undefined,
  };
}

function readInflight(fields: Fields): InflightRecord {
  return {
    file: fields.text("file"),
    mmapSize: fields.number("mmapSize"),
    mmapOffset: fields.number("mmapOffset"),
    numQueues: fields.number("numQueues", U16_MAX),
    queueSize: fields.number("queueSize", U16_MAX),
  };
}

/** Returns the session that a record describes, or why it cannot be read. */
export function decodeRecord(record: unknown): SessionRecord | string {
  try {
    const fields = new Fields(record, "the record");
    const version = fields.number("version");
    if (version < 1 || version > RECORD_VERSION) {
      return `its state is that of version ${version}, and this version of ` +
        `gpioagg reads 1 to ${RECORD_VERSION}`;
    }
    return {
      device: fields.text("device"),
      isOwned: fields.boolean("isOwned"),
      protocolFeatures: fields.bits("protocolFeatures"),
      status: fields.bits("status"),
      features: fields.bits("features"),
      run: fields.number("run"),
      isKnown: fields.boolean("isKnown"),
      isAbandoned: fields.boolean("isAbandoned"),
      regions: fields.list("regions", readRegion),
      inflight: fields.has("inflight")
        ? readInflight(fields.object("inflight"))
        : undefined,
      rings: fields.list("rings", readRing),
    };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return `its state cannot be read: ${error.message}`;
  }
}
