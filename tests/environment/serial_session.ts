/**
 * Commands in a QEMU guest through a serial port that is a Unix socket: for
 * guests whose QEMU is not the test's own process.
 *
 * @module
 */
import { EPIPE } from "../../ffi/errno.ts";
import { isOsError, OsError } from "../../ffi/os_error.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { until } from "./wait.ts";

/** Mark of the command loop: see guest/session.sh. */
const MARK = "\x1e";
/** Interval at which a guest that boots is asked again. **Units**: ms. */
const ASK_AGAIN_MS = 2000;

let count = 0;

/** Result of a command. */
export interface SerialResult {
  readonly code: number;
  readonly output: string;
}

/**
 * Runs a shell command in the guest behind a serial port at `path`, once the
 * guest takes commands. A command may be sent before that, and is sent again:
 * it must be one that can run twice.
 *
 * @throws {Error} If the limit passes.
 */
export async function runInGuest(
  path: string,
  command: string,
  limitMs: number,
): Promise<SerialResult> {
  const escaped = command.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  let text = "";
  let port: ReturnType<typeof connectUnix> | undefined;
  let askedMs = -Infinity;
  let end: RegExpExecArray | null = null as RegExpExecArray | null;
  const piece = new Uint8Array(4096);
  const decoder = new TextDecoder();
  const tokens: string[] = [];
  try {
    await until(`an answer to "${command}" at ${path}`, () => {
      try {
        port ??= connectUnix(path);
        return exchange(port.fd);
      } catch (error) {
        // Not there yet, or just ended.
        if (!isOsError(error)) throw error;
        port?.[Symbol.dispose]();
        port = undefined;
        return false;
      }
    }, limitMs);
  } finally {
    port?.[Symbol.dispose]();
  }
  const output = text.slice(0, end!.index);
  return {
    code: Number(end![1]),
    output: output.slice(output.lastIndexOf(MARK) + 1),
  };

  /** Asks and reads; returns true once there is an answer. */
  function exchange(fd: number): boolean {
    if (performance.now() - askedMs > ASK_AGAIN_MS * (tokens.length + 1)) {
      askedMs = performance.now();
      const token = `s${++count}`;
      tokens.push(token);
      send(fd, new TextEncoder().encode(`${token} ! ${escaped}\n`));
    }
    const length = receive(fd, piece, []);
    if (length > 0) text += decoder.decode(piece.subarray(0, length));
    else if (length === 0) throw new OsError("read", EPIPE, path);
    end = new RegExp(`${MARK}(?:${tokens.join("|")}) (\\d+)${MARK}`)
      .exec(text);
    return end !== null;
  }
}
