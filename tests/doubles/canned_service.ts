/**
 * A service's control API that answers from a table, and then has ended.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import type { History } from "../../src/client/edges.ts";
import type {
  AggregatorState,
  ApiEvent,
  Line,
} from "../../src/client/protocol.ts";

const LOOK_MS = 1;

/** A simulated line, as a service describes it. */
export function lineState(lineNumber: number, name = ""): Line {
  return { lineNumber, name, source: "simulated", direction: "input" };
}

/** An aggregator without a guest, as a service describes it. */
export function aggregatorState(
  name: string,
  more: Partial<AggregatorState> = {},
): AggregatorState {
  return {
    name,
    lease: "service",
    presentation: `at /run/${name}.sock`,
    connected: false,
    lines: [lineState(0)],
    ...more,
  };
}

/** The service. Each connection ends with its answer, but maybe of events. */
export class CannedService implements Disposable {
  /** Paths that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #answers: Readonly<Record<string, string>>;
  readonly #listener: OwnedFd;
  readonly #connections = new Map<OwnedFd, string>();
  /** Streams of events that do not end. */
  readonly #open: OwnedFd[] = [];
  readonly #staysOpen: boolean;
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * Listens at `path`.
   *
   * @param events Stream of events, whatever aggregator they are asked for of.
   * @param options `staysOpen`: the stream of events does not end; `history`:
   * edges of the past.
   */
  constructor(
    path: string,
    aggregators: readonly AggregatorState[],
    events: readonly ApiEvent[] = [],
    options: { staysOpen?: boolean; history?: History } = {},
  ) {
    this.#staysOpen = options.staysOpen === true;
    this.#answers = {
      ...Object.fromEntries(
        aggregators.map((one) => [
          `/v1/aggregators/${encodeURIComponent(one.name)}`,
          answer("application/json", one),
        ]),
      ),
      ...(options.history === undefined ? {} : {
        "/v1/history": answer("application/json", options.history),
      }),
      "/v1/aggregators": answer("application/json", { aggregators }),
      "/v1/events": answer("text/event-stream") +
        events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""),
    };
    this.#listener = listenUnix(path, { backlog: 16 });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#listener.close();
    const connections = [...this.#connections.keys(), ...this.#open];
    for (const connection of connections) connection.close();
  }

  #look(): void {
    const next = acceptUnix(this.#listener.fd);
    if (next !== undefined) this.#connections.set(next, "");
    const piece = new Uint8Array(4096);
    for (const [connection, before] of this.#connections) {
      const count = receiveBytes(connection.fd, piece);
      if (count < 0) continue;
      const text = before + new TextDecoder().decode(piece.subarray(0, count));
      this.#connections.set(connection, text);
      const isWhole = text.endsWith("\r\n\r\n");
      const path = text.split(" ")[1]!;
      if (isWhole) this.#answer(connection, path);
      // A connection without a question only looks for a service.
      if (!isWhole && count > 0) continue;
      this.#connections.delete(connection);
      if (isWhole && this.#staysOpen && path.startsWith("/v1/events")) {
        this.#open.push(connection);
      } else connection.close();
    }
  }

  #answer(connection: OwnedFd, path: string): void {
    this.asked.push(path);
    const [plain = ""] = path.split("?");
    const text = this.#answers[plain] ??
      (plain.startsWith("/v1/aggregators/") ? NOT_FOUND : undefined);
    if (text === undefined) throw new Error(`nothing answers ${path}`);
    send(connection.fd, new TextEncoder().encode(text));
  }
}

const NOT_FOUND = answer(
  "application/json",
  { error: { message: "There is no such aggregator" } },
  "404 Not Found",
);

function answer(type: string, body?: unknown, status = "200 OK"): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\nconnection: close` +
    `\r\n\r\n${text}`;
}
