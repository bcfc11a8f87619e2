/**
 * Edges that `gpiomon` sees in a test machine.
 *
 * @module
 */
import type { ExecOptions, GuestSession } from "./guest_session.ts";
import { until } from "./wait.ts";

/** For what a guest under emulation makes of a busy machine. */
const LIMIT_MS = 120_000;

let count = 0;

/** A `gpiomon` that runs in a test machine until that ends. */
export class EdgeMonitor {
  readonly #guest: GuestSession;
  readonly #file: string;
  readonly #options: ExecOptions = { timeoutMs: LIMIT_MS };

  private constructor(guest: GuestSession, file: string) {
    this.#guest = guest;
    this.#file = file;
  }

  /**
   * Starts `gpiomon` with `words`, which name its lines, and waits until it
   * watches them. It prints `rising` and `falling`.
   *
   * @param program Which gpiomon: libgpiod's, if no path is given.
   * @throws {Error} If it does not, with what it says.
   */
  static async start(
    guest: GuestSession,
    words: string,
    program = "gpiomon",
  ): Promise<EdgeMonitor> {
    // An earlier one's file would say that this one is ready.
    const file = `/tmp/edges-${++count}`;
    const monitor = new EdgeMonitor(guest, file);
    await guest.run(
      `: >${file}; ${program} --banner -F %E ${words} >>${file} 2>&1 &`,
      monitor.#options,
    );
    let text = "";
    try {
      await until("gpiomon is ready", async () => {
        text = await monitor.#text();
        return text.includes("Monitoring");
      }, LIMIT_MS);
    } catch (cause) {
      throw new Error(`gpiomon ${words}: ${text}`, { cause });
    }
    return monitor;
  }

  /** Returns the edges so far. */
  async edges(): Promise<string[]> {
    return (await this.#text()).match(/^(rising|falling)$/gm) ?? [];
  }

  /**
   * Waits until it has seen so many edges; returns all of them.
   *
   * @throws {Error} If it does not within the limit, with those it saw.
   */
  async seen(edgeCount: number): Promise<string[]> {
    let edges: string[] = [];
    try {
      await until(`edge ${edgeCount}`, async () => {
        edges = await this.edges();
        return edges.length >= edgeCount;
      }, LIMIT_MS);
    } catch (cause) {
      throw new Error(`gpiomon saw: ${edges.join(", ")}`, { cause });
    }
    return edges;
  }

  #text(): Promise<string> {
    return this.#guest.run(`cat ${this.#file}`, this.#options);
  }
}
