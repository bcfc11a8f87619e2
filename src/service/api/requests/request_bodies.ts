/**
 * Bodies of requests: read for each user in turn, so that long ones delay no
 * other user.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Peer } from "../connections/listener.ts";
import { parseJson, readBody } from "./messages.ts";
import {
  atOnce,
  UserSlots,
  type WorkTurns,
} from "../connections/work_turns.ts";

/** Bodies of one user that are read at the same time; others wait unread. */
const BODIES_PER_USER = 8;
/** Bodies that may be longer than this are read one at a time of each user. */
const LONG_BODY_BYTES = 16 * 1024;
/** Length of such a body for which a user's next one waits a millisecond. */
const LONG_BODY_BYTES_PER_MS = 8 * 1024;

/** Reads the bodies of one control API's requests. */
export class RequestBodies {
  readonly #work: WorkTurns<number | "answers">;
  readonly #bodies = new UserSlots(BODIES_PER_USER);
  readonly #longBodies = new UserSlots(1);

  /** Decodes bodies in turns of `work`. */
  constructor(work: WorkTurns<number | "answers">) {
    this.#work = work;
  }

  /**
   * Reads a body and its meaning.
   *
   * @throws {HttpError} If it is too long, or not JSON.
   * @throws {Error} If the client leaves in its middle, and any error of `read`.
   */
  async read<T>(
    request: IncomingMessage,
    { uid }: Peer,
    read: (body: unknown) => T,
  ): Promise<{ body: unknown; read: T }> {
    using _slot = await this.#bodies.take(uid);
    const bytes = await this.#readBytes(request, uid);
    const body = await this.#work.run(uid, atOnce(() => parseJson(bytes)));
    return {
      body,
      read: await this.#work.run(uid, atOnce(() => read(body))),
    };
  }

  /** Reads a body: of long ones, pieces alone keep others waiting. */
  async #readBytes(request: IncomingMessage, uid: number): Promise<Uint8Array> {
    const announced = Number(request.headers["content-length"] ?? Infinity);
    if (announced <= LONG_BODY_BYTES) return await readBody(request);
    const slot = await this.#longBodies.take(uid);
    let length = 0;
    try {
      const bytes = await readBody(request);
      length = bytes.length;
      return bytes;
    } finally {
      setTimeout(
        () => slot[Symbol.dispose](),
        length / LONG_BODY_BYTES_PER_MS,
      );
    }
  }
}
