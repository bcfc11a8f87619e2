/**
 * State of a session in one piece of memory, so that the next process can go on
 * in the middle of it, even after this one was killed.
 *
 * Every change of a register goes straight to the memory; a message and its
 * reply lie in it until the client has the reply. A request that was under way
 * when the process was killed is served again: that is the same for the guest,
 * since it writes the same registers.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { fdStatus } from "../../ffi/file_status.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { CONFIG_BYTES, MAX_MESSAGE_BYTES } from "./protocol.ts";

/** "vfio" as a number, and the version of the layout. */
const MAGIC = 0x6f696676;
const VERSION = 1;

/** Offsets of the parts. **Units**: bytes. */
const At = {
  magic: 0,
  version: 4,
  cardWords: 8,
  progress: 16,
  config: 64,
  card: 64 + CONFIG_BYTES,
} as const;
/** Room for the state of a card. **Units**: bytes. */
const CARD_BYTES = 1024;
const IN_AT = At.card + CARD_BYTES;
const OUT_AT = IN_AT + MAX_MESSAGE_BYTES;
const TOTAL_BYTES = OUT_AT + MAX_MESSAGE_BYTES;

/** Words of {@linkcode SessionMemory.progress}. */
export const Progress = {
  /** Bytes of the message that have arrived. */
  Filled: 0,
  /** 1 once the message is served and its reply, if any, is prepared. */
  Served: 1,
  /** Bytes of the reply, and those that were sent. */
  ReplySize: 2,
  Sent: 3,
  /** 1 once a version is agreed on. */
  Negotiated: 4,
} as const;

function mapWhole(file: OwnedFd): Mapping {
  return Mapping.map(file.fd, {
    length: TOTAL_BYTES,
    subject: "the state of a vfio-user session",
  });
}

const OTHER_VERSION = "its state is that of another version";

/** Memory of one session. **Ownership**: owns its file, if it has one. */
export class SessionMemory implements Disposable {
  /** Numbers that say how far the session is, see {@linkcode Progress}. */
  readonly progress: Int32Array;
  /** The configuration space. */
  readonly config: Uint8Array;
  /** The card's own state. */
  readonly card: Int32Array;
  /** The message under way. */
  readonly message: Uint8Array;
  /** Its reply. */
  readonly reply: Uint8Array;
  readonly #mapping: Mapping | undefined;
  readonly #file: OwnedFd | undefined;

  private constructor(
    buffer: ArrayBuffer,
    cardWords: number,
    mapping?: Mapping,
    file?: OwnedFd,
  ) {
    this.progress = new Int32Array(buffer, At.progress, 12);
    this.config = new Uint8Array(buffer, At.config, CONFIG_BYTES);
    this.card = new Int32Array(buffer, At.card, cardWords);
    this.message = new Uint8Array(buffer, IN_AT, MAX_MESSAGE_BYTES);
    this.reply = new Uint8Array(buffer, OUT_AT, MAX_MESSAGE_BYTES);
    this.#mapping = mapping;
    this.#file = file;
  }

  /**
   * Makes empty memory: a file's, if the session is to outlive this process.
   *
   * @throws {OsError} If there is none.
   */
  static create(cardWords: number, isKept: boolean): SessionMemory {
    if (4 * cardWords > CARD_BYTES) {
      throw new RangeError(`a card has at most ${CARD_BYTES / 4} words`);
    }
    if (!isKept) {
      return new SessionMemory(new ArrayBuffer(TOTAL_BYTES), cardWords);
    }
    using stack = new DisposableStack();
    const file = stack.use(
      createMemFd("vfio-user session", TOTAL_BYTES, { seal: true }),
    );
    const mapping = stack.use(mapWhole(file));
    const view = new DataView(mapping.buffer);
    view.setUint32(At.magic, MAGIC, true);
    view.setUint32(At.version, VERSION, true);
    view.setUint32(At.cardWords, cardWords, true);
    stack.move();
    return new SessionMemory(mapping.buffer, cardWords, mapping, file);
  }

  /**
   * Takes over the memory of an earlier process.
   *
   * @returns The memory, or why it cannot be used; the file is closed then.
   * **Ownership**: of the file.
   */
  static resume(file: OwnedFd, cardWords: number): SessionMemory | string {
    using stack = new DisposableStack();
    stack.use(file);
    if (fdStatus(file.fd).size !== TOTAL_BYTES) {
      return OTHER_VERSION;
    }
    const mapping = stack.use(mapWhole(file));
    const view = new DataView(mapping.buffer);
    if (
      view.getUint32(At.magic, true) !== MAGIC ||
      view.getUint32(At.version, true) !== VERSION ||
      view.getUint32(At.cardWords, true) !== cardWords
    ) return OTHER_VERSION;
    stack.move();
    return new SessionMemory(mapping.buffer, cardWords, mapping, file);
  }

  /** The file, to be kept; undefined if it has none. */
  get fd(): number | undefined {
    return this.#file?.fd;
  }

  [Symbol.dispose](): void {
    this.#mapping?.[Symbol.dispose]();
    this.#file?.close();
  }
}
