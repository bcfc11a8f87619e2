/**
 * Resources that the service uses, as the kernel counts them.
 *
 * **Source**: proc(5).
 *
 * @module
 */
import {
  O_RDONLY,
  openFile,
  readLink,
  readSmallFile,
} from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { libc } from "../../ffi/libc.ts";
import { isOsError } from "../../ffi/os_error.ts";

/** Resources of a process at one moment. */
export interface Usage {
  readonly descriptors: number;
  /** Descriptors of each kind, by the path or the kind of their files. */
  readonly kinds: ReadonlyMap<string, number>;
  readonly mappings: number;
  /** Memory of its own, without what guests share. **Units**: MB. */
  readonly residentMb: number;
  readonly threads: number;
  /** Threads of each name. */
  readonly threadNames: ReadonlyMap<string, number>;
  /** Child processes. */
  readonly children: number;
}

/** Time between two looks. **Units**: milliseconds. */
const LOOK_MS = 500;
/** Looks after which a number that still changes is taken as it is. */
const MAX_LOOKS = 60;
/** Looks without a change until what is used counts as settled. */
const SETTLED_LOOKS = 12;
const POKES = 20;
const FALL_MB = 2;
const PIECE_BYTES = 1 << 16;
/** Deno's own caches: each process has them open, or not, from its start on. */
const CACHE = /_cache_v\d+(?:-wal|-shm)?$/;
const LINE_FEED = 10;

/** Looks once. @throws {Error} If there is no such process. */
export function readUsage(pid: number): Usage {
  const status = readSmallFile(`/proc/${pid}/status`);
  if (status === undefined) throw new Error(`the service (${pid}) has ended`);
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  const kinds = descriptorKinds(pid);
  return {
    descriptors: kinds.values().reduce((sum, count) => sum + count, 0),
    kinds,
    mappings: lineCount(`/proc/${pid}/maps`),
    residentMb: field("RssAnon") / 1024,
    threads: field("Threads"),
    threadNames: threadNames(pid),
    children: childCount(pid),
  };
}

function descriptorKinds(pid: number): Map<string, number> {
  const kinds = new Map<string, number>();
  for (const fd of listDirectory(`/proc/${pid}/fd`)) {
    const kind = detectKind(`/proc/${pid}/fd/${fd}`);
    if (kind !== undefined && !CACHE.test(kind)) {
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
  }
  return kinds;
}

function threadNames(pid: number): Map<string, number> {
  const names = new Map<string, number>();
  for (const thread of listDirectory(`/proc/${pid}/task`)) {
    const name = readSmallFile(`/proc/${pid}/task/${thread}/comm`)?.trim();
    if (name !== undefined) names.set(name, (names.get(name) ?? 0) + 1);
  }
  return names;
}

/** Returns what a descriptor is; undefined if it is closed by now. */
function detectKind(path: string): string | undefined {
  try {
    return readLink(path)?.replace(/:\[\d+\]$/, "");
  } catch (error) {
    if (isOsError(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Deno's own functions may read nothing of other processes. */
function lineCount(path: string): number {
  using file = openFile(path, O_RDONLY);
  const piece = new Uint8Array(PIECE_BYTES);
  let lines = 0;
  for (;;) {
    const count = libc().read(file.fd, piece, piece.length);
    if (count <= 0) return lines;
    for (let i = 0; i < count; i++) if (piece[i] === LINE_FEED) lines++;
  }
}

function childCount(pid: number): number {
  let count = 0;
  for (const name of listDirectory("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readSmallFile(`/proc/${name}/stat`) ?? "";
    // The command's name, in brackets, may have any characters.
    const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(parent) === pid) count++;
  }
  return count;
}

/**
 * Looks until descriptors and threads have not changed for some looks (peers that
 * have just gone are noticed a moment later, and closes that linger take a while)
 * and memory does not fall any more: V8 collects what hostile clients left when it
 * is asked for something else, in its own time.
 *
 * @param poke Asks the service for a little.
 * @param looks Looks without a change.
 * @param most Descriptors that there should be at most in the end: while there
 * are more, as of sessions whose closes take seconds, it looks on.
 */
export async function settledUsage(
  pid: number,
  poke: () => Promise<unknown>,
  looks = SETTLED_LOOKS,
  most = Infinity,
): Promise<Usage> {
  let last = readUsage(pid);
  let unchanged = 0;
  for (
    let i = 0;
    i < MAX_LOOKS && (unchanged < looks || last.descriptors > most);
    i++
  ) {
    for (let j = 0; j < POKES; j++) await poke();
    // The service closes the last one's connection a moment after its answer.
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = readUsage(pid);
    const isSame = now.descriptors === last.descriptors &&
      now.threads === last.threads &&
      now.residentMb > last.residentMb - FALL_MB;
    unchanged = isSame ? unchanged + 1 : 0;
    last = now;
  }
  return last;
}

/** A resident size at a time. */
export interface Sample {
  readonly atMs: number;
  readonly residentMb: number;
}

/** Growth of memory. */
export interface Slope {
  /** **Units**: MB per minute. */
  readonly perMinute: number;
  /** Standard error of it; infinite if there are too few samples. */
  readonly error: number;
}

/** Parts of the time, of each of which the smallest size counts. */
const PARTS = 10;

/**
 * Returns the slope of a line through the smallest sizes of parts of the time:
 * what is above them is garbage that was not collected yet.
 */
export function fitSlope(samples: readonly Sample[]): Slope {
  const floors = findFloors(samples);
  const count = floors.length;
  if (count < 2) return { perMinute: 0, error: Infinity };
  const mean = (of: (sample: Sample) => number) =>
    floors.reduce((sum, sample) => sum + of(sample), 0) / count;
  const meanTime = mean(({ atMs }) => atMs);
  const meanSize = mean(({ residentMb }) => residentMb);
  let above = 0;
  let below = 0;
  for (const { atMs, residentMb } of floors) {
    above += (atMs - meanTime) * (residentMb - meanSize);
    below += (atMs - meanTime) ** 2;
  }
  if (below === 0) return { perMinute: 0, error: Infinity };
  const slope = above / below;
  const rest = floors.reduce(
    (sum, { atMs, residentMb }) =>
      sum + (residentMb - meanSize - slope * (atMs - meanTime)) ** 2,
    0,
  );
  const error = count === 2 ? Infinity : Math.sqrt(rest / (count - 2) / below);
  return { perMinute: 60_000 * slope, error: 60_000 * error };
}

function findFloors(samples: readonly Sample[]): Sample[] {
  const length = Math.max(1, Math.ceil(samples.length / PARTS));
  const floors: Sample[] = [];
  for (let i = 0; i < samples.length; i += length) {
    floors.push(
      samples.slice(i, i + length).reduce((least, sample) =>
        sample.residentMb < least.residentMb ? sample : least
      ),
    );
  }
  return floors;
}
