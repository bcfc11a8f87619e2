import { assert, assertEquals } from "@std/assert";
import {
  decodeRecord,
  encodeRecord,
  RECORD_VERSION,
  type SessionRecord,
} from "./session_record.ts";

const RECORD: SessionRecord = {
  device: "gpio 2 1f",
  isOwned: true,
  protocolFeatures: 2n ** 63n + 5n,
  status: 15n,
  features: 2n ** 32n + 1n,
  run: 3,
  isKnown: true,
  isAbandoned: false,
  regions: [{
    guestAddress: 0x1_0000_0000,
    size: 2 ** 40,
    userAddress: 0x7f12_3450_0000,
    mmapOffset: 4096,
    file: "memory7",
  }],
  inflight: {
    file: "inflight8",
    mmapSize: 4096,
    mmapOffset: 0,
    numQueues: 2,
    queueSize: 64,
  },
  rings: [
    {
      size: 64,
      base: 65535,
      isEnabled: true,
      isActive: true,
      address: {
        index: 0,
        flags: 0,
        descriptor: 0x7f12_3450_1000,
        used: 0x7f12_3450_3000,
        available: 0x7f12_3450_2000,
      },
      pause: undefined,
    },
    {
      size: 64,
      base: 1,
      isEnabled: false,
      isActive: false,
      address: undefined,
      pause: {
        descriptorAddress: 0x1_0000_1000,
        availAddress: 0x1_0000_2000,
        usedAddress: 0x1_0000_3000,
        size: 64,
        features: 1n,
        nextAvail: 5,
        usedIndex: 4,
        signature: 0xffff_ffff,
        run: 3,
      },
    },
  ],
};

/** Returns what is read back after a journey as text. */
const journey = (record: SessionRecord) =>
  decodeRecord(JSON.parse(JSON.stringify(encodeRecord(record))));

Deno.test("a record is read as it was written", () => {
  assertEquals(journey(RECORD), RECORD);
  const little: SessionRecord = {
    ...RECORD,
    inflight: undefined,
    regions: [],
    rings: [],
  };
  assertEquals(journey(little), little);
});

Deno.test("a record of version 1 is read by every later version", () => {
  // As version 1 has written it, to the letter.
  const text = '{"version":1,"device":"gpio 1 0","isOwned":true,' +
    '"protocolFeatures":"36907","status":"0","features":"5637144577","run":0,' +
    '"isKnown":true,"isAbandoned":false,"regions":[{"guestAddress":1073741824,' +
    '"size":1048576,"userAddress":139716160454656,"mmapOffset":0,' +
    '"file":"memory0"}],"rings":[{"size":64,"base":0,"isEnabled":true,' +
    '"isActive":true,"address":{"index":0,"flags":0,"descriptor":4096,' +
    '"used":12288,"available":8192}}]}';
  const record = decodeRecord(JSON.parse(text));
  if (typeof record === "string") throw new Error(record);
  assertEquals(record.features, 5637144577n);
  assertEquals(record.rings[0]!.address!.used, 12288);
  assertEquals(record.rings[0]!.pause, undefined);
});

Deno.test("a version that is not known is refused", () => {
  for (const version of [0, RECORD_VERSION + 1, "1", null, undefined, 1.5]) {
    const record = { ...encodeRecord(RECORD) as object, version };
    assert(typeof decodeRecord(record) === "string", `${version}`);
  }
});

/** Every place of a value in nested data, as a path. */
function placesIn(data: unknown, path: string[] = []): string[][] {
  if (typeof data !== "object" || data === null) return [path];
  const inside = Object.entries(data)
    .flatMap(([key, value]) => placesIn(value, [...path, key]));
  return path.length === 0 ? inside : [path, ...inside];
}

function changed(path: readonly string[], value: unknown): unknown {
  const record = encodeRecord(RECORD);
  let at = record as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[path.at(-1)!] = value;
  return record;
}

Deno.test("nonsense at any place of a record is refused, never thrown", () => {
  const places = placesIn(encodeRecord(RECORD));
  assert(places.length > 40);
  const nonsense = [null, -1, 2 ** 60, "text", {}, [], 0.5, true];
  for (const place of places) {
    const refused = nonsense.filter((value) =>
      typeof decodeRecord(changed(place, value)) === "string"
    );
    // What is valid there is one or two of them at most.
    assert(refused.length >= nonsense.length - 2, place.join("."));
  }
  for (const value of [undefined, null, 7, "text", [], {}]) {
    assert(typeof decodeRecord(value) === "string");
  }
});
