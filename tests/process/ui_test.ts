/** The page of gpioagg ui, in a real browser. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readText, sendRequest } from "../../src/client/http_request.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction } from "../../src/virtio/gpio/protocol.ts";
import { ApiService } from "../environment/api_service.ts";
import { BROWSER, Browser, OTHER_HOST } from "../environment/browser.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { rounds } from "../environment/rounds.ts";
import { lacksTool } from "../environment/tool.ts";
import { until } from "../environment/wait.ts";

const ignore = await lacksTool(BROWSER, "run scripts/environment judges");

/** Starts gpioagg ui for a service; its address. */
async function startUi(
  service: ApiService,
  ...args: string[]
): Promise<{ url: string; process: ChildProcess }> {
  const process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      "ui",
      ...["--port", "0", "--api", `${service.directory}/api.sock`],
      ...args,
    ],
  });
  const [url] = await process.waitFor(/http:\/\/127\.0\.0\.1:\d+\/\S*/);
  return { url, process };
}

/** Keeps a picture for the documentation, in the directory that is asked for. */
async function keepPicture(browser: Browser, name: string): Promise<void> {
  const directory = Deno.env.get("GPIOAGG_PICTURES");
  if (directory === undefined) return;
  await Deno.writeFile(`${directory}/${name}`, await browser.picture());
}

/** Texts of the elements that a selector finds. */
const texts = (browser: Browser, selector: string) =>
  browser.evaluate<string[]>(
    `[...document.querySelectorAll(${
      JSON.stringify(selector)
    })].map((one) => one.textContent)`,
  );

/** Clicks what a selector finds first. */
const click = (browser: Browser, selector: string) =>
  browser.evaluate(
    `document.querySelector(${JSON.stringify(selector)}).click()`,
  );

/** Gives a field a value. */
const choose = (browser: Browser, id: string, value: string) =>
  browser.evaluate(`(() => {
    const field = document.getElementById("${id}");
    field.value = "${value}";
    field.dispatchEvent(new Event(field.tagName === "INPUT" ? "input" : "change"));
  })()`);

/** Names of the lines that can be seen. */
const shownLines = (browser: Browser) =>
  browser.evaluate<string[]>(
    `[...document.querySelectorAll(".line")]
      .filter((one) => one.checkVisibility()).map((one) => one.dataset.key)`,
  );

async function untilText(
  browser: Browser,
  selector: string,
  wanted: readonly string[],
): Promise<void> {
  let found: string[] = [];
  try {
    await until(`${selector} to be ${wanted}`, async () => {
      found = await texts(browser, selector);
      return JSON.stringify(found) === JSON.stringify(wanted);
    });
  } catch (error) {
    throw new Error(`${(error as Error).message}; last: ${found}`);
  }
}

/** Number of pixels of a colour in the lane of a line. */
const painted = (browser: Browser, key: string) =>
  browser.evaluate<number>(`(() => {
    const canvas = document.querySelector('[data-key="${key}"] canvas');
    const { data } = canvas.getContext("2d")
      .getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, i) => i % 4 === 3 && value > 0).length;
  })()`);

Deno.test({
  name: "the page shows lines, follows them and pulls simulated ones",
  ignore,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: {
        press: ["sim/1,as=START", "sim/1,as=VALVE,direction=output,safe=0"],
        crane: ["copy/press.START,as=FOLLOWS"],
      },
    });
    const ui = await startUi(service, "--change");
    await using _process = ui.process;
    await using browser = await Browser.start(1150, 620);
    await browser.open(ui.url);
    await untilText(browser, ".name", ["FOLLOWS", "START", "VALVE"]);
    assertEquals(await texts(browser, "#badge"), ["may pull"]);
    assertEquals(await texts(browser, ".value"), ["0", "0", "0"]);

    // By its button, and by another client.
    await browser.evaluate(
      `document.querySelector('[data-key="press.START"] button + button').click()`,
    );
    await untilText(browser, ".value", ["1", "1", "0"]);
    assertEquals((await service.client.show("press")).lines[0]!.value, 1);
    await service.client.pull("press", { START: 0 });
    await untilText(browser, ".value", ["0", "0", "0"]);
    for (const level of [1, 0, 1, 0] as const) {
      await service.client.pull("press", { START: level });
    }
    await until(
      "the wave",
      async () => await painted(browser, "press.START") > 50,
    );

    // All about a line.
    await click(browser, '[data-key="crane.FOLLOWS"] .name');
    const facts = () => texts(browser, ".details dd");
    await until(
      "the details",
      async () => (await facts()).includes("copy press.START"),
    );
    // Edges tell who drives a line, after the values are there.
    await until("its driver", async () => (await facts()).includes("follow"));

    await keepPicture(browser, "ui.png");

    // What comes and goes. An answer that comes after its end brings it not back.
    await browser.evaluate(`(() => {
      const real = globalThis.fetch;
      const isGone = new Promise((resolve) => globalThis.letGo = resolve);
      globalThis.held = [];
      globalThis.fetch = async (...request) => {
        const answer = await real(...request);
        if (!String(request[0]).endsWith("/oven")) return answer;
        globalThis.held.push(answer.status);
        await isGone;
        return answer;
      };
    })()`);
    {
      await using _made = await service.client.create({
        name: "oven",
        lines: ["sim/1"],
      });
      await until(
        "the answer about it",
        () => browser.evaluate<boolean>("globalThis.held.includes(200)"),
      );
    }
    await until(
      "its end",
      async () =>
        (await texts(browser, "#log")).join().includes("oven: removed"),
    );
    await browser.evaluate(`globalThis.letGo()`);
    await browser.evaluate(
      "new Promise((resolve) => setTimeout(resolve, 200))",
    );
    assertEquals(await texts(browser, ".name"), ["FOLLOWS", "START", "VALVE"]);

    // A line that is forced is marked, and an alarm.
    await service.client.forceDetached("press", {
      lines: { START: 1 },
      for: "1h",
      reason: "a test",
    });
    const sources = () => texts(browser, ".line.forced .source");
    await until(
      "the force",
      async () =>
        /^forced to 1 until .* by user \d+: a test$/
          .test((await sources()).join()),
    );
    await until(
      "the alarm",
      async () =>
        (await texts(browser, "#alarms")).join().includes(
          "press.START: forced to 1",
        ),
    );
    await service.client.endForce("press");
    await until("its end", async () => (await sources()).length === 0);

    // A guest that comes and goes.
    const pressHead = async () =>
      (await texts(browser, ".group h2")).find((one) => one.includes("press"))!;
    {
      using frontend = Frontend.open(service.socket("press"), {
        timeoutMs: 120_000,
      });
      GpioDriver.attach(frontend).setOutput(1, 1, Direction.Output);
      await until(
        "the guest",
        async () => /● press.*guest started since/.test(await pressHead()),
      );
      await untilText(browser, ".value", ["0", "0", "1"]);
      await until(
        "who drives it",
        async () =>
          (await texts(browser, '[data-key="press.VALVE"] .driver'))[0]!
            .endsWith(" guest"),
      );
    }
    await until(
      "its end",
      async () => /○ press.*no VMM/.test(await pressHead()),
    );
    assert((await texts(browser, "#log")).join().includes("disconnected"));
    await untilText(browser, ".value", ["0", "0", "0"]);

    // Keys: pause, and what is filtered.
    await browser.press(" ");
    await untilText(browser, "#pause", ["Live"]);
    await browser.press(" ");
    await untilText(browser, "#pause", ["Pause"]);
    await choose(browser, "filter", "press.V*");
    assertEquals(await shownLines(browser), ["press.VALVE"]);

    await choose(browser, "filter", "");

    // Names and keys lead to other lines.
    await click(browser, ".details .link");
    await until(
      "the details of what it follows",
      async () => (await facts())[0]!.startsWith("press.START,"),
    );
    assert((await facts()).includes("crane.FOLLOWS"), "followed by");
    await browser.press("j");
    await until(
      "the next line",
      async () => (await facts())[0]!.startsWith("press.VALVE,"),
    );
    assert((await facts()).includes("direction=output, safe=0"), "rules");
    await browser.press("Escape");
    assertEquals(await facts(), []);
    assertEquals(await texts(browser, "#wiring li"), [
      "press.START ⇉ crane.FOLLOWS",
    ]);

    // A pinned line, another grouping and a closed group outlive the page.
    await click(browser, '[data-key="press.VALVE"] .name');
    await browser.press("*");
    await browser.press("Escape");
    await choose(browser, "group", "source");
    const GROUPS = [
      "▾ pinned1 line",
      "▾ lines that follow others1 line",
      "▾ simulated lines1 line",
    ];
    await untilText(browser, ".group h2", GROUPS);
    await untilText(browser, ".name", [
      "press.VALVE",
      "crane.FOLLOWS",
      "press.START",
    ]);
    await click(browser, ".group + .group h2");
    GROUPS[1] = GROUPS[1]!.replace("▾", "▸");
    await untilText(browser, ".group h2", GROUPS);
    await browser.reload();
    await untilText(browser, ".group h2", GROUPS);
    assertEquals(await shownLines(browser), ["press.VALVE", "press.START"]);

    // An event leads to its moment in the diagrams.
    await click(browser, '[data-key="press.START"] button + button');
    await untilText(browser, '[data-key="press.START"] .value', ["1"]);
    await click(browser, '[data-key="press.START"] .name');
    await until("a cursor at an edge", async () => {
      // It leads nowhere before the edge has come.
      await browser.press("p");
      return /^A \d\d:/.test((await texts(browser, "#cursor"))[0]!);
    });

    // Nothing failed, nothing came from elsewhere, and the token is in no
    // address that was asked for.
    assertEquals(browser.said, []);
    const { origin, hash } = new URL(ui.url);
    for (const url of browser.requested) {
      assert(url.startsWith(origin), url);
      assert(!url.includes(hash.slice(1)), url);
    }
    assertEquals(await browser.evaluate("location.hash"), "");
  },
});

Deno.test({
  name:
    "a page without --change is read only, fits a phone, and says when its " +
    "service has ended",
  ignore,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: { press: ["sim/2,as=START"] },
    });
    const ui = await startUi(service);
    await using _process = ui.process;
    await using browser = await Browser.start(360, 640, { isDark: true });
    await browser.open(ui.url);
    await untilText(browser, ".name", ["START0", "START1"]);
    assertEquals(await texts(browser, "#badge"), ["read only"]);
    assertEquals(await texts(browser, ".buttons button"), []);
    assertEquals(
      await browser.evaluate("document.documentElement.scrollWidth <= 360"),
      true,
    );
    assertMatch(
      await browser.evaluate("getComputedStyle(document.body).backgroundColor"),
      /^rgb\(1\d, 1\d, 2\d\)$/,
    );
    service.process.kill("SIGKILL");
    await until(
      "the problem",
      async () => (await texts(browser, "#problem")).join() !== "",
    );
  },
});

/** Seconds of a run with many edges; a minute before a release. */
const BUSY_S = rounds(60, 3);
const BUSY_LINES = 40;
/** Edges a second, of all lines together. */
const BUSY_RATE = 2000;

/** A value change dump in which each line changes in its turn. */
function busyDump(): string {
  const lines = Array.from({ length: BUSY_LINES }, (_, i) => `l${i}`);
  const count = BUSY_S * BUSY_RATE;
  const step = 1e6 / BUSY_RATE;
  const changes = Array.from({ length: count }, (_, i) => {
    const level = Math.floor(i / BUSY_LINES) % 2 === 0 ? 1 : 0;
    return `#${(i + 1) * step}\n${level}${lines[i % BUSY_LINES]}`;
  });
  return [
    "$timescale 1us $end",
    ...lines.map((id, i) => `$var wire 1 ${id} busy.L${i} $end`),
    "$enddefinitions $end",
    "#0",
    ...lines.map((id) => `0${id}`),
    ...changes,
    "",
  ].join("\n");
}

Deno.test({
  name: `the page misses no edge of ${BUSY_LINES} lines with ${BUSY_RATE} ` +
    "a second in all",
  ignore,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: { busy: [`sim/${BUSY_LINES},as=L`] },
    });
    const ui = await startUi(service);
    await using _process = ui.process;
    await using browser = await Browser.start(1280, 1300);
    await browser.open(ui.url);
    await until(
      "the lines",
      async () => (await texts(browser, ".name")).length === BUSY_LINES,
    );
    // What a slow machine loses is asked for again, as far as it is shown.
    await choose(browser, "window", "600000000");
    await using play = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "play", "--api", `${service.directory}/api.sock`, "-"],
      input: true,
    });
    await play.write(busyDump());
    await play.closeInput();
    assertEquals((await play.waitForExit()).code, 0, play.stderr);

    const dump = await readWhole(service, "/v1/history?format=vcd");
    assert(dump.includes("$enddefinitions $end"), dump.slice(0, 500));
    const inDump = changesIn(dump);
    assertEquals(inDump, BUSY_S * BUSY_RATE);
    const onPage = () =>
      browser.evaluate<number>(
        `[...globalThis.gpioagg.aggregators.get("busy").lines.values()]
          .reduce((sum, { edges }) =>
            sum + edges.numbers.filter((one) => one >= 0).length, 0)`,
      );
    await until("all edges", async () => await onPage() >= inDump);
    assertEquals(await onPage(), inDump);
    // In their order, each the other level.
    assertEquals(
      await browser.evaluate(
        `[...globalThis.gpioagg.aggregators.get("busy").lines.values()]
          .flatMap(({ name, edges: { levels, times, numbers } }) =>
            times.flatMap((time, i) =>
              i > 0 && (time < times[i - 1] || levels[i] === levels[i - 1])
                ? [[name, i, time - times[i - 1], levels[i], numbers[i - 1],
                  numbers[i]].join(" ")]
                : []))`,
      ),
      [],
    );
    assertEquals(browser.said, []);
  },
});

/** Returns how often a signal of a value change dump changes its level. */
function changesIn(dump: string): number {
  const levels = new Map<string, string>();
  let count = 0;
  for (const [, level, id] of dump.matchAll(/^([01])(\S+)$/gm)) {
    const before = levels.get(id!);
    if (before !== undefined && before !== level) count++;
    levels.set(id!, level!);
  }
  return count;
}

/** Returns an answer of the look-only socket. */
async function readWhole(service: ApiService, path: string): Promise<string> {
  const answer = await sendRequest(service.lookClient.socketPath, {
    method: "GET",
    path,
  });
  return await answer.inTime(readText(answer.body));
}

Deno.test({
  name: "a page with a wrong token shows nothing but the way in",
  ignore,
  fn: async () => {
    await using service = await ApiService.start({
      aggregators: { press: ["sim/1,as=SECRET"] },
    });
    const token = `${service.directory}/token`;
    const ui = await startUi(service, "--token-file", token);
    await using _process = ui.process;
    // The address is no secret here: the token is in the file.
    assertMatch(ui.url, /:\d+\/$/);
    assertMatch(await Deno.readTextFile(token), /^[0-9a-f]{32}\n$/);
    assertEquals((await Deno.stat(token)).mode! & 0o777, 0o600);
    await using browser = await Browser.start(800, 600);
    await browser.open(`${ui.url}#wrong`);
    await until(
      "the problem",
      async () => (await texts(browser, "#problem")).join().includes("wrong"),
    );
    assertEquals(await texts(browser, ".name"), []);
    await browser.open("about:blank");
    await browser.open(`${ui.url}#${(await Deno.readTextFile(token)).trim()}`);
    await untilText(browser, ".name", ["SECRET"]);

    // Nor with a name that another site has given to this host.
    const { port } = new URL(ui.url);
    await browser.open(`http://${OTHER_HOST}:${port}/`);
    await until(
      "the other name to be refused",
      async () =>
        (await texts(browser, "body")).join().includes("open it as localhost"),
    );
  },
});
