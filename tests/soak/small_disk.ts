/**
 * A small disk of a soak's own, which is filled and freed again and again.
 *
 * @module
 */
import type { Random } from "../fuzz/ring_fuzz_random.ts";

/** Its size, and the files that it has room for. */
const MOUNT_OPTIONS = "size=16m,nr_inodes=256,mode=700";
const PIECE_BYTES = 65_536;
/** Room that a disk has which is not quite full, at most. **Units**: bytes. */
const MAX_LEFT = 20_000;

/** A disk. It is filled by files in its folder `ballast`. */
export class SmallDisk {
  /** Path of its top. */
  readonly path: string;
  /** Directory of a service, with a name for which it has a file of words. */
  readonly directory: string;
  readonly #ballast: string;
  /** Number of times that it was filled. */
  fills = 0;

  /** Uses a file system that is mounted. */
  constructor(path: string) {
    this.path = path;
    this.directory = `${path}/gpioagg-soak`;
    this.#ballast = `${path}/ballast`;
    Deno.mkdirSync(this.directory, { mode: 0o700 });
    Deno.mkdirSync(this.#ballast);
  }

  /** Leaves no byte, only some, or no room for another file. */
  fill(random: Random): void {
    this.fills++;
    if (random.oneIn(4)) return this.#fillFiles();
    this.#fillBytes();
    if (random.oneIn(2)) {
      const { size } = Deno.statSync(`${this.#ballast}/0`);
      Deno.truncateSync(
        `${this.#ballast}/0`,
        Math.max(0, size - 1 - random.below(MAX_LEFT)),
      );
    }
  }

  /** Gives all room back. */
  free(): void {
    for (const { name } of Deno.readDirSync(this.#ballast)) {
      Deno.removeSync(`${this.#ballast}/${name}`);
    }
  }

  #fillBytes(): void {
    using file = Deno.openSync(`${this.#ballast}/0`, {
      write: true,
      create: true,
    });
    const piece = new Uint8Array(PIECE_BYTES);
    untilFull(() => {
      file.writeSync(piece);
    });
  }

  #fillFiles(): void {
    let next = 0;
    untilFull(() => Deno.writeTextFileSync(`${this.#ballast}/${next++}`, ""));
  }
}

function untilFull(write: () => void): void {
  try {
    for (;;) write();
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOSPC") throw error;
  }
}

/** Way to a disk that no other process sees. */
export interface DiskEntry {
  /** Words of a command before which it stands: the command sees the disk. */
  readonly words: readonly string[];
  /** Directory at which the disk is mounted there. */
  readonly path: string;
}

const SCRIPT =
  `mount -t tmpfs -o ${MOUNT_OPTIONS} gpioagg-soak "$0" && exec "$@"`;

/**
 * Returns the way to a disk in a mount namespace of its own.
 *
 * @param path An empty directory, without links.
 * @returns The reason in words if that is not possible.
 */
export async function diskEntry(path: string): Promise<DiskEntry | string> {
  const words = ["unshare", "--mount", "sh", "-c", SCRIPT, path];
  try {
    const { success, stderr } = await new Deno.Command(words[0]!, {
      args: [...words.slice(1), "true"],
      stdin: "null",
    }).output();
    if (success) return { words, path };
    const text = new TextDecoder().decode(stderr).trim();
    return `a small disk cannot be mounted, which only root may: ${text}`;
  } catch (error) {
    return `a small disk cannot be mounted: ${error}`;
  }
}
