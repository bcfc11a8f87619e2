/**
 * A real Chromium without a screen, told what to do over a pair of FIFOs.
 *
 * **Source**: Chrome DevTools Protocol.
 *
 * @module
 */
import { ChildProcess } from "./process.ts";
import { runTool } from "./tool.ts";

/** The program, of Debian's package of that name. */
export const BROWSER = "chromium-headless-shell";

/** A name that the browser takes for this host's, as of a hostile DNS server. */
export const OTHER_HOST = "hostile.test";

const NUL = 0;
/** Limit of one answer of the browser. **Units**: milliseconds. */
const ANSWER_LIMIT_MS = 120_000;

/** An answer or an event of the browser. */
interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
  sessionId?: string;
}

/** **Ownership**: disposing ends the browser and removes its directory. */
export class Browser implements AsyncDisposable {
  /** Console output of the page, and errors that nothing caught. */
  readonly said: string[] = [];
  /** Addresses that were asked for. */
  readonly requested: string[] = [];
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #in: Deno.FsFile;
  readonly #out: Deno.FsFile;
  readonly #waiting = new Map<number, PromiseWithResolvers<Message>>();
  /** Expressions under way, which end without an answer if their page goes. */
  readonly #evaluations = new Set<number>();
  #loaded = Promise.withResolvers<void>();
  #id = 0;
  #session = "";

  private constructor(
    directory: string,
    process: ChildProcess,
    input: Deno.FsFile,
    output: Deno.FsFile,
  ) {
    this.#directory = directory;
    this.#process = process;
    this.#in = input;
    this.#out = output;
    void this.#read();
  }

  /** Starts a browser with one page of this size, in CSS pixels. */
  static async start(
    width: number,
    height: number,
    { isDark = false }: { isDark?: boolean } = {},
  ): Promise<Browser> {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-browser-" });
    const fifos = [`${directory}/in`, `${directory}/out`];
    await runTool("mkfifo", fifos);
    const process = new ChildProcess({
      command: "sh",
      args: [
        "-c",
        'exec "$@" 3<"$IN" 4>"$OUT"',
        "sh",
        BROWSER,
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        `--host-resolver-rules=MAP ${OTHER_HOST} 127.0.0.1`,
        `--user-data-dir=${directory}/profile`,
        `--window-size=${width},${height}`,
        "about:blank",
      ],
      env: { IN: fifos[0]!, OUT: fifos[1]! },
    });
    const input = await Deno.open(fifos[0]!, { write: true });
    const output = await Deno.open(fifos[1]!, { read: true });
    const browser = new Browser(directory, process, input, output);
    try {
      await browser.#attach(width, height, isDark);
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Opens an address, and waits until it is loaded. */
  async open(url: string): Promise<void> {
    await this.#load(async () => {
      const { errorText, loaderId } = await this.#tell("Page.navigate", {
        url,
      });
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
      return loaderId !== undefined;
    });
  }

  /** Loads the page anew, and waits for that. */
  async reload(): Promise<void> {
    await this.#load(async () => {
      await this.#tell("Page.reload", {});
      return true;
    });
  }

  /** Waits for a page, if `begin` says that one is loaded. */
  async #load(begin: () => Promise<boolean>): Promise<void> {
    const { promise } = this.#loaded = Promise.withResolvers<void>();
    if (await begin()) await within(promise, "the page is not loaded");
  }

  /**
   * Returns the value of an expression, which may be a promise, in the page.
   *
   * @throws {Error} If the page goes before.
   */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#tell("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    }) as {
      result: { value: T };
      exceptionDetails?: { text: string; exception?: { description: string } };
    };
    if (exceptionDetails !== undefined) {
      throw new Error(
        exceptionDetails.exception?.description ?? exceptionDetails.text,
      );
    }
    return result.value;
  }

  /** Presses and releases a key, as `KeyboardEvent.key` names it. */
  async press(key: string): Promise<void> {
    const text = key.length === 1 ? { text: key } : {};
    await this.#tell("Input.dispatchKeyEvent", {
      type: "keyDown",
      key,
      ...text,
    });
    await this.#tell("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  /** Clicks at a place, in CSS pixels. */
  async click(x: number, y: number, isShift = false): Promise<void> {
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.#tell("Input.dispatchMouseEvent", {
        type,
        x,
        y,
        button: "left",
        clickCount: 1,
        modifiers: isShift ? 8 : 0,
      });
    }
  }

  /** Returns a picture of the page, as PNG. */
  async picture(): Promise<Uint8Array> {
    const { data } = await this.#tell("Page.captureScreenshot", {
      format: "png",
    }) as { data: string };
    return Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process[Symbol.asyncDispose]();
    this.#in.close();
    await Deno.remove(this.#directory, { recursive: true }).catch(() => {});
  }

  async #attach(width: number, height: number, isDark: boolean): Promise<void> {
    const { targetInfos } = await this.#tell("Target.getTargets", {}) as {
      targetInfos: { targetId: string; type: string }[];
    };
    const { targetId } = targetInfos.find(({ type }) => type === "page")!;
    const { sessionId } = await this.#tell("Target.attachToTarget", {
      targetId,
      flatten: true,
    }) as { sessionId: string };
    this.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Network", "Log"]) {
      await this.#tell(`${domain}.enable`, {});
    }
    await this.#tell("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await this.#tell("Emulation.setEmulatedMedia", {
      features: [
        { name: "prefers-color-scheme", value: isDark ? "dark" : "light" },
      ],
    });
  }

  async #tell(
    method: string,
    params: Record<string, unknown>,
  ): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    const answer = Promise.withResolvers<Message>();
    this.#waiting.set(id, answer);
    // It may fail while the rest of the message is written.
    answer.promise.catch(() => {});
    if (method === "Runtime.evaluate") this.#evaluations.add(id);
    const message = {
      id,
      method,
      params,
      ...this.#session === "" ? {} : { sessionId: this.#session },
    };
    let bytes = new TextEncoder().encode(`${JSON.stringify(message)}\0`);
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.#in.write(bytes));
    }
    const { result, error } = await within(
      answer.promise,
      `no answer to ${method}`,
    );
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = new Uint8Array(0);
    try {
      for await (const piece of this.#out.readable) {
        const bytes = new Uint8Array(rest.length + piece.length);
        bytes.set(rest);
        bytes.set(piece, rest.length);
        let start = 0;
        for (;;) {
          const end = bytes.indexOf(NUL, start);
          if (end < 0) break;
          this.#take(JSON.parse(decoder.decode(bytes.subarray(start, end))));
          start = end + 1;
        }
        rest = bytes.slice(start);
      }
    } finally {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`The browser has ended: ${this.#process.stderr}`));
      }
    }
  }

  #take({ id, method, params = {}, ...message }: Message): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.resolve(message);
      this.#waiting.delete(id);
      this.#evaluations.delete(id);
      return;
    }
    switch (method) {
      case "Page.loadEventFired":
        this.#loaded.resolve();
        break;
      case "Runtime.executionContextsCleared":
        for (const id of this.#evaluations) {
          this.#waiting.get(id)?.reject(new Error("The page has gone"));
          this.#waiting.delete(id);
        }
        this.#evaluations.clear();
        break;
      case "Runtime.exceptionThrown":
      case "Runtime.consoleAPICalled":
        this.said.push(JSON.stringify(params));
        break;
      case "Log.entryAdded": {
        // An answer that is an error is for the page to judge.
        const { source } = (params as { entry: { source: string } }).entry;
        if (source !== "network") this.said.push(JSON.stringify(params));
        break;
      }
      case "Network.requestWillBeSent":
        this.requested.push(
          (params as { request: { url: string } }).request.url,
        );
        break;
    }
  }
}

/** Waits for what the browser does; an error says what it did not do. */
async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} within ${ANSWER_LIMIT_MS} ms`)),
      ANSWER_LIMIT_MS,
    );
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
