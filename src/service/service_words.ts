/**
 * Keeps the file of a service's words, which completion reads.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { statusAt } from "../../ffi/file_status.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { openRuntimeDirectory } from "../../ffi/runtime_directory.ts";
import { removeExactly, UntrustedPathError } from "../../ffi/trusted_path.ts";
import { replaceFileAt } from "../../ffi/whole_file.ts";
import type { FileAccess } from "../config/specification.ts";
import {
  isWordsDirectory,
  type NamedAggregator,
  WORDS_FILE,
  wordsText,
} from "../text/words_file.ts";

/** Mode of the look-only socket, unless its settings have another. */
const LOOK_MODE = 0o660;
/** Shortest time from one file to the next. **Units**: milliseconds. */
const LEAST_PAUSE_MS = 100;
/** The same, as a multiple of the time that the last one took. */
const PAUSES = 20;
/** Longest pause. **Units**: milliseconds. */
const MOST_PAUSE_MS = 5000;
/** Shortest pause after a disk had no room. **Units**: milliseconds. */
const RETRY_MS = 1000;
/** Reasons that pass by themselves. */
const PASSING = ["ENOSPC", "EDQUOT", "EROFS"];

/** Settings of a service's words. */
interface WordsSettings {
  /** Directory of the sockets of clients' aggregators. */
  readonly directory: string;
  /** Access of the look-only socket; absent if there is none. */
  readonly look: FileAccess | undefined;
  /** Returns the aggregators as they are now. */
  readonly describe: () => Promise<readonly NamedAggregator[]>;
}

/**
 * The file of words, while this object lives. A service that cannot write it,
 * for any reason, runs without: completion asks the service then.
 */
export class ServiceWords implements Disposable {
  readonly #settings: WordsSettings;
  #identity: string | undefined;
  #isWriting = false;
  #isDue = false;
  #isOver = false;

  private constructor(settings: WordsSettings) {
    this.#settings = settings;
  }

  /** Begins; undefined where completion looks for no words. */
  static begin(settings: WordsSettings): ServiceWords | undefined {
    if (!isWordsDirectory(settings.directory)) return undefined;
    const words = new ServiceWords(settings);
    words.changed();
    return words;
  }

  /** Has the file written soon: the aggregators are others than before. */
  changed(): void {
    this.#isDue = true;
    if (!this.#isWriting) void this.#write();
  }

  /** Writes until nothing has changed meanwhile, and not without a pause. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#isDue && !this.#isOver) {
      this.#isDue = false;
      const start = performance.now();
      // A failure of the reactor is reported elsewhere.
      const found = await this.#settings.describe().catch(() => undefined);
      let leastMs = LEAST_PAUSE_MS;
      if (found !== undefined && !this.#isOver && !this.#replace(found)) {
        this.#isDue = true;
        leastMs = RETRY_MS;
      }
      const spent = performance.now() - start;
      await pause(Math.min(Math.max(leastMs, PAUSES * spent), MOST_PAUSE_MS));
    }
    this.#isWriting = false;
  }

  /** Returns false if it is to be tried again. */
  #replace(aggregators: readonly NamedAggregator[]): boolean {
    const text = wordsText(Deno.pid, aggregators);
    if (text === undefined) {
      this.#remove();
      return true;
    }
    return this.#inDirectory((directory) => {
      replaceFileAt(directory, WORDS_FILE, text, modeFor(this.#settings.look));
      this.#identity = statusAt(directory, WORDS_FILE)?.identity;
    });
  }

  #remove(): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    this.#identity = undefined;
    this.#inDirectory((directory) => {
      removeExactly(directory, WORDS_FILE, identity);
    });
  }

  /** Returns false if the disk has no room. */
  #inDirectory(action: (directory: OwnedFd) => void): boolean {
    try {
      using directory = openRuntimeDirectory(this.#settings.directory);
      if (directory !== undefined) action(directory);
      return true;
    } catch (error) {
      if (isOsError(error, ...PASSING)) return false;
      // No permission, no space, or another user's directory.
      if (!isOsError(error) && !(error instanceof UntrustedPathError)) {
        throw error;
      }
      return true;
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#remove();
  }
}

/**
 * Returns the mode of the file: those may read it who may look. What the socket
 * grants to a chosen owner or group, the file's own group does not get.
 */
function modeFor(look: FileAccess | undefined): number {
  if (look === undefined) return 0o600;
  const { mode = LOOK_MODE, owner, group } = look;
  // Who may write to a socket may connect to it.
  const readable = (mode & 0o022) << 1;
  const isOwn = owner === undefined && group === undefined;
  return 0o600 | readable & (isOwn ? 0o044 : 0o004);
}

/** Waits without keeping the process. */
function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  Deno.unrefTimer(setTimeout(resolve, ms));
  return promise;
}
