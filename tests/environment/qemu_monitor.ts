/**
 * QEMU's monitor for people (HMP).
 *
 * @module
 */
import { UnixStream } from "./unix_stream.ts";

/** The monitor of one QEMU after another, and a directory for its files. */
export class Monitor implements AsyncDisposable {
  /** Path of its socket. */
  readonly path: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = `${directory}/monitor`;
  }

  /** Makes the directory. */
  static async prepare(): Promise<Monitor> {
    return new Monitor(await Deno.makeTempDir({ prefix: "gpioagg-hmp-" }));
  }

  /** Arguments of QEMU. */
  get arguments(): string[] {
    return ["-monitor", `unix:${this.path},server=on,wait=off`];
  }

  /** Returns the path of another file in its directory. */
  file(name: string): string {
    return `${this.#directory}/${name}`;
  }

  /**
   * Runs a command; its output.
   *
   * @throws {Error} If there is no QEMU, or it ends meanwhile.
   */
  async run(command: string): Promise<string> {
    using connection = UnixStream.connect(this.path);
    await this.#prompt(connection);
    await connection.write(new TextEncoder().encode(`${command}\n`));
    return await this.#prompt(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #prompt(connection: UnixStream): Promise<string> {
    let text = "";
    while (!/\(qemu\) ?$/.test(text)) {
      const piece = await connection.read();
      if (piece === null) throw new Error(`QEMU's monitor ended: ${text}`);
      text += new TextDecoder().decode(piece);
    }
    return text;
  }
}
