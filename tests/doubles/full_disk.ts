/**
 * A small disk that is filled, freed and made read-only. It is unmounted when the
 * test's process ends, in any way.
 *
 * @module
 */
import { mustIgnore } from "./skipped.ts";

/** Its size, and the files that it has room for. */
const MOUNT_OPTIONS = "size=1m,nr_inodes=128,mode=755";
const SCRIPT = `trap "" HUP INT TERM
mount -t tmpfs -o ${MOUNT_OPTIONS} none "$0" && echo && cat
umount -l "$0" && rmdir "$0"`;
const PIECE_BYTES = 65_536;

/** State of a disk in which nothing can be written. */
export type DiskFault = "no bytes" | "no files" | "read-only";

/** All of them. */
export const DISK_FAULTS: readonly DiskFault[] = [
  "no bytes",
  "no files",
  "read-only",
];

/** Words of the kernel's reason for each. */
export const FAULT_REASONS: Readonly<Record<DiskFault, string>> = {
  "no bytes": "no space left",
  "no files": "no space left",
  "read-only": "read-only file system",
};

/** Value for `ignore` of a test with such a disk. */
export function lacksMounts(): boolean {
  const reason = "a disk that is full is mounted, which only root may do";
  try {
    const { success } = new Deno.Command("unshare", {
      args: ["--mount", "true"],
      stderr: "null",
    }).outputSync();
    return mustIgnore(success ? undefined : reason);
  } catch (error) {
    return mustIgnore(`${reason}: ${error}`);
  }
}

/** A disk. **Ownership**: disposing unmounts it. */
export class FullDisk implements AsyncDisposable {
  /** Directory of the disk for what is tested. */
  readonly path: string;
  readonly #keeper: Deno.ChildProcess;
  readonly #mountPoint: string;
  readonly #ballast: string;

  private constructor(keeper: Deno.ChildProcess, mountPoint: string) {
    this.#keeper = keeper;
    this.#mountPoint = mountPoint;
    this.path = `${mountPoint}/files`;
    this.#ballast = `${mountPoint}/ballast`;
    Deno.mkdirSync(this.path, { mode: 0o755 });
    Deno.mkdirSync(this.#ballast);
  }

  /** Mounts a disk with room. */
  static async mount(): Promise<FullDisk> {
    const mountPoint = await Deno.realPath(
      await Deno.makeTempDir({ prefix: "gpioagg-disk-" }),
    );
    const keeper = new Deno.Command("sh", {
      args: ["-c", SCRIPT, mountPoint],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = keeper.stdout.getReader();
    const { done } = await reader.read();
    if (done) throw new Error("Cannot mount a small disk");
    reader.releaseLock();
    return new FullDisk(keeper, mountPoint);
  }

  /** Leaves no room, or lets nothing be written. */
  async break(fault: DiskFault): Promise<void> {
    if (fault === "no bytes") {
      using file = Deno.openSync(`${this.#ballast}/bytes`, {
        append: true,
        create: true,
      });
      const piece = new Uint8Array(PIECE_BYTES);
      untilFull(() => {
        file.writeSync(piece);
      });
    } else if (fault === "no files") {
      let next = 0;
      untilFull(() => Deno.writeTextFileSync(`${this.#ballast}/${next++}`, ""));
    } else {
      await this.#remount("ro");
    }
  }

  /** After "no files": gives the room of one file back. */
  giveOneFile(): void {
    Deno.removeSync(`${this.#ballast}/0`);
  }

  /** Gives all room back. */
  async repair(): Promise<void> {
    await this.#remount("rw");
    for (const { name } of Deno.readDirSync(this.#ballast)) {
      Deno.removeSync(`${this.#ballast}/${name}`);
    }
  }

  /** Names of all that is there, hidden files too. */
  files(below = ""): string[] {
    return [...Deno.readDirSync(`${this.path}/${below}`)].map(({ name }) =>
      name
    ).sort();
  }

  /** True if a file is there. */
  has(name: string): boolean {
    return this.files(name.split("/").slice(0, -1).join("/"))
      .includes(name.split("/").at(-1)!);
  }

  async #remount(how: "ro" | "rw"): Promise<void> {
    const { success, stderr } = await new Deno.Command("mount", {
      args: ["-o", `remount,${how}`, this.#mountPoint],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper.stdin.close();
    await this.#keeper.stdout.cancel();
    await this.#keeper.status;
  }
}

function untilFull(write: () => void): void {
  try {
    for (;;) write();
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOSPC") throw error;
  }
}
