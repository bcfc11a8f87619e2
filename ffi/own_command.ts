/**
 * The command by which this program was started, to start it once more.
 *
 * @module
 */
import {
  O_CLOEXEC,
  O_RDONLY,
  openFile,
  readLink,
  readSmallFile,
  readSome,
} from "./files.ts";
import { fileStatus } from "./file_status.ts";
import { ownRuntimeDirectory } from "./runtime_directory.ts";
import { untrustedDirectories } from "./trusted_path.ts";

/** A program's file and what it is called with. */
export interface OwnCommand {
  /** Path of the program's file. */
  readonly path: string;
  /** Words of the command line, from `argv[0]` up to the program's own arguments. */
  readonly argv: readonly string[];
}

/** Link to the file that this process runs, also if the file was removed. */
const RUNNING = "/proc/self/exe";
/** Suffix that the kernel adds to the path of a file that was removed or replaced. */
const DELETED = " (deleted)";
/** Size of a piece of a copy. **Units**: bytes. */
const PIECE_BYTES = 1024 * 1024;
/** Directories for a copy, after `$TMPDIR` and `$XDG_RUNTIME_DIR`. */
const PLACES = ["/run", "/dev/shm"];

/**
 * Returns the command of this process without its own arguments. Another file
 * may be at the path by now.
 *
 * @param argumentCount Number of own arguments, which stand last.
 *
 * **Safety**: looks only.
 */
export function ownCommand(argumentCount: number): OwnCommand {
  // Each word ends with a NUL, and may be empty.
  const words = (readSmallFile("/proc/self/cmdline") ?? "").split("\0");
  words.pop();
  const path = readLink(RUNNING) ?? Deno.execPath();
  return {
    path: isRemoved(path) ? path.slice(0, -DELETED.length) : path,
    argv: words.slice(0, words.length - argumentCount),
  };
}

/**
 * Returns the command to start the program that this process runs, also if its
 * file was removed or replaced since. A compiled executable reads its own file
 * when it starts; it is copied then.
 *
 * @param argumentCount Number of own arguments, which stand last.
 * @throws {Error} If a copy is needed and cannot be written anywhere.
 *
 * **Ownership**: the caller disposes of it when the new process has begun to
 * run its own code: an executable reads its file after exec.
 * **Safety**: the copy is in a directory that only this user can enter.
 */
export function startableCommand(
  argumentCount: number,
): OwnCommand & Disposable {
  const command = ownCommand(argumentCount);
  const path = readLink(RUNNING);
  if (path === undefined || !isRemoved(path)) return withDispose(command);
  if (!Deno.build.standalone) {
    return withDispose({ ...command, path: RUNNING });
  }
  const directory = copyOfProgram();
  return withDispose({ ...command, path: `${directory}/gpioagg` }, () => {
    try {
      Deno.removeSync(directory, { recursive: true });
    } catch {
      // It was removed by another process, or stays; the program runs.
    }
  });
}

function isRemoved(path: string): boolean {
  return path.endsWith(DELETED) && fileStatus(path) === undefined;
}

/**
 * Returns the new directory of a copy of what this process runs: none that
 * another user could replace.
 */
function copyOfProgram(): string {
  const { path: runtime } = ownRuntimeDirectory();
  const reasons: string[] = [];
  for (const dir of [undefined, runtime, ...PLACES]) {
    if (dir === undefined && reasons.length > 0) continue;
    let directory: string | undefined;
    try {
      directory = Deno.makeTempDirSync({
        prefix: "gpioagg-program-",
        ...(dir === undefined ? {} : { dir }),
      });
      const path = `${Deno.realPathSync(directory)}/gpioagg`;
      const [shared] = untrustedDirectories(path);
      if (shared !== undefined) {
        throw new Error(`${shared.path}: ${shared.reason}`);
      }
      writeCopy(path);
      return directory;
    } catch (error) {
      if (directory !== undefined) {
        Deno.removeSync(directory, { recursive: true });
      }
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `The program's file was removed, and cannot be copied: ${
      reasons.join("; ")
    }`,
  );
}

/** Writes what this process runs to a new file; Deno itself may not read it. */
function writeCopy(path: string): void {
  using source = openFile(RUNNING, O_RDONLY | O_CLOEXEC);
  using target = Deno.openSync(path, {
    write: true,
    createNew: true,
    mode: 0o700,
  });
  const piece = new Uint8Array(PIECE_BYTES);
  for (;;) {
    const count = readSome(source, piece);
    if (count === 0) return;
    for (let written = 0; written < count;) {
      written += target.writeSync(piece.subarray(written, count));
    }
  }
}

function withDispose(
  command: OwnCommand,
  dispose: () => void = () => {},
): OwnCommand & Disposable {
  return { ...command, [Symbol.dispose]: dispose };
}
