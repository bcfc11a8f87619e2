/**
 * Files of a service on a disk that is full again and again: nothing but
 * whole lines, and each entry of the audit log there or on standard error.
 *
 * @module
 */
import type { ServiceClient } from "../../src/client/client.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import type { SoakService } from "./service.ts";
import type { SmallDisk } from "./small_disk.ts";

/** Limit for what is written once there is room. */
const WRITTEN_LIMIT_MS = 60_000;
const LOOK_MS = 200;
/** Audit logs that were taken away and may still be written to. */
const MOVED = 32;
const PIECE_BYTES = 65_536;
/** Most problems that are told. */
const MAX_TOLD = 5;
const LOST_MESSAGES = /^gpioagg: (\d+) messages? (?:was|were) lost: standard/;
const DIVERTED = /^gpioagg: audit: (.*)$/;
/** Files that a service has in its directory. */
const FILES =
  /^(?:api\.sock(?:\.lock)?|audit\.log(?:\.old)?|edges(?:\.1)?|log|words)$/;

/** Paths on the disk. */
export function diskPaths({ directory }: SmallDisk) {
  return {
    api: `${directory}/api.sock`,
    audit: `${directory}/audit.log`,
    edges: `${directory}/edges`,
    log: `${directory}/log`,
  };
}

/** An audit log that was taken away, and the part of a line at its end. */
interface MovedAudit {
  readonly file: Deno.FsFile;
  rest: string;
}

/** Fills the disk, and reads what the service wrote to it. */
export class DiskWitness {
  readonly #disk: SmallDisk;
  readonly #service: SoakService;
  readonly #paths: ReturnType<typeof diskPaths>;
  /** Entries that must come, as words. */
  readonly #awaited = new Set<string>();
  /** Entries that came before the answer to their client did. */
  readonly #early = new Set<string>();
  readonly #problems: string[] = [];
  /** Audit logs that were taken away last. */
  readonly #moved: MovedAudit[] = [];
  /** Part of a line of the log, whose end has not come yet. */
  #rest = "";
  /** Entries of the audit log that came by standard error. */
  diverted = 0;
  /** Messages for which standard error had no room, as the service counts them. */
  lostMessages = 0;

  constructor(disk: SmallDisk, service: SoakService) {
    this.#disk = disk;
    this.#service = service;
    this.#paths = diskPaths(disk);
  }

  /** Number of times that the disk was filled. */
  get fills(): number {
    return this.#disk.fills;
  }

  /** Problems that were seen. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Fills the disk. */
  fill(random: Random): void {
    this.#disk.fill(random);
  }

  /** Frees the disk. */
  free(): void {
    this.#disk.free();
  }

  /** Notes that the service answered that something was done. */
  done(action: string, name: string): void {
    const entry = `${action} ${name}`;
    if (!this.#early.delete(entry)) this.#awaited.add(entry);
  }

  /** Reads what has come, and makes room for more. */
  async collect(): Promise<void> {
    this.#moveAudit();
    for (const moved of this.#moved) this.#readAudit(moved);
    while (this.#moved.length > MOVED) this.#moved.shift()!.file.close();
    await this.#service.whileStopped(() => this.#readLog());
  }

  /**
   * Waits until all that is awaited has come, and the file of edges has each
   * line's value. Nothing else may happen meanwhile.
   */
  async settle(client: ServiceClient): Promise<void> {
    this.free();
    const deadline = performance.now() + WRITTEN_LIMIT_MS;
    for (;;) {
      await this.collect();
      const missing = [...this.#awaited].slice(this.lostMessages);
      const wrong = await this.#wrongValues(client);
      if (missing.length === 0 && wrong.length === 0) break;
      if (performance.now() > deadline) {
        if (missing.length > 0) {
          this.#tell(
            `${missing.length} entries of the audit log are missing: ${
              missing.slice(0, MAX_TOLD).join(", ")
            }`,
          );
        }
        for (const text of wrong.slice(0, MAX_TOLD)) this.#tell(text);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.#awaited.clear();
    for (const { name } of Deno.readDirSync(this.#disk.directory)) {
      if (!FILES.test(name)) this.#tell(`${name} was left on the disk`);
    }
  }

  /** Edges that are missing in the file of edges, as it counts them itself. */
  countLostEdges(): number {
    let lost = 0;
    for (const path of [`${this.#paths.edges}.1`, this.#paths.edges]) {
      for (const entry of this.#entries(path)) {
        if (entry["event"] === "lost") lost += Number(entry["count"]);
      }
    }
    return lost;
  }

  /** Lines whose last value in the file of edges is another one. */
  async #wrongValues(client: ServiceClient): Promise<string[]> {
    const written = new Map<string, unknown>();
    for (
      const { aggregator, line, value } of this.#entries(this.#paths.edges)
    ) {
      written.set(`${aggregator}.${line}`, value);
    }
    return (await client.list()).flatMap(({ name: aggregator, lines }) =>
      lines.flatMap(({ name, lineNumber, value }) => {
        const title = `${aggregator}.${name === "" ? lineNumber : name}`;
        const now = value === 0 || value === 1 ? value : null;
        const last = written.get(title) ?? null;
        return last === now
          ? []
          : [`the file of edges ends with ${title} = ${last}, not ${now}`];
      })
    );
  }

  /** Reads whole lines; one that is not JSON is a problem. */
  #entries(path: string): Record<string, unknown>[] {
    const entries: Record<string, unknown>[] = [];
    for (const line of readIfThere(path).split("\n").slice(0, -1)) {
      const entry = parsed(line);
      if (entry === undefined) this.#tell(`${path} has the line ${line}`);
      else entries.push(entry);
    }
    return entries;
  }

  /**
   * Takes the audit log away. A service that is busy may write to it for a while:
   * it is open until several others have followed.
   */
  #moveAudit(): void {
    const { audit } = this.#paths;
    try {
      Deno.renameSync(audit, `${audit}.old`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    this.#moved.push({ file: Deno.openSync(`${audit}.old`), rest: "" });
    Deno.removeSync(`${audit}.old`);
  }

  #readAudit(moved: MovedAudit): void {
    const lines = (moved.rest + readOn(moved.file)).split("\n");
    moved.rest = lines.pop()!;
    for (const line of lines) {
      // A part that a full disk took; the whole entry is on standard error.
      const entry = parsed(line);
      if (entry !== undefined) this.#came(entry);
      else if (line.lastIndexOf('{"time"') > 0) {
        this.#tell(
          `an entry of the audit log is not a line of its own: ${line}`,
        );
      }
    }
  }

  /** Reads standard error, and makes it empty. */
  #readLog(): void {
    const { log } = this.#paths;
    const lines = (this.#rest + Deno.readTextFileSync(log)).split("\n");
    Deno.truncateSync(log);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      this.lostMessages += Number(LOST_MESSAGES.exec(line)?.[1] ?? 0);
      const entry = parsed(DIVERTED.exec(line)?.[1] ?? "");
      if (entry === undefined) continue;
      this.diverted++;
      this.#came(entry);
    }
  }

  #came({ action, aggregator, outcome }: Record<string, unknown>): void {
    const entry = `${action} ${aggregator}`;
    if (outcome === "done" && !this.#awaited.delete(entry)) {
      this.#early.add(entry);
    }
  }

  #tell(problem: string): void {
    if (this.#problems.length < MAX_TOLD) this.#problems.push(problem);
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Reads a file from where it was read before to its end. */
function readOn(file: Deno.FsFile): string {
  const piece = new Uint8Array(PIECE_BYTES);
  let text = "";
  for (;;) {
    const count = file.readSync(piece);
    if (count === null) return text;
    text += new TextDecoder().decode(piece.subarray(0, count));
  }
}
