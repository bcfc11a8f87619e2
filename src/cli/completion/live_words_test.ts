/** The script of live words, run by sh, with and without a gpioagg. */
import { assertEquals } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { listenUnix } from "../../../ffi/unix_socket.ts";
import { wordsText } from "../../text/words_file.ts";
import { CONDITION_WORDS } from "../live/conditions.ts";
import { liveWords } from "./live_words.ts";
import { specWords } from "./spec_words.ts";

const SCRIPT = liveWords(["serve", "set", "show"]);
/** Beginning of every name here: services of the machine have words too. */
const OWN = "live-";
/** The word of the gpioagg that the script would ask. */
const ASKED = `${OWN}asked`;

/** A runtime directory, and a gpioagg that notes that it was asked. */
class Rig implements Disposable {
  readonly runtime: string = Deno.makeTempDirSync();
  readonly #stack = new DisposableStack();

  constructor() {
    this.#stack.defer(() => Deno.removeSync(this.runtime, { recursive: true }));
    const program = `${this.runtime}/program`;
    Deno.writeTextFileSync(program, `#!/bin/sh\necho ${ASKED}\n`);
    Deno.chmodSync(program, 0o755);
  }

  /** A service with a socket, and its file of words if one is given. */
  service(name: string, words?: string, place = ""): void {
    const directory = `${this.runtime}/${name}`;
    Deno.mkdirSync(`${directory}${place}`, { recursive: true });
    this.#stack.use(listenUnix(`${directory}/look.sock`));
    if (words !== undefined) {
      Deno.writeTextFileSync(`${directory}${place}/words`, words);
    }
  }

  /** Words of a kind. */
  async words(kind: string, text = OWN, first = ""): Promise<string[]> {
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: [
        ...["-c", SCRIPT, "gpioagg-words", `${this.runtime}/program`],
        ...[kind, text, first],
      ],
      env: { XDG_RUNTIME_DIR: this.runtime },
    }).output();
    const decoder = new TextDecoder();
    assertEquals(decoder.decode(stderr), "", `${kind} ${text}`);
    return decoder.decode(stdout).split("\n").filter((word) => word !== "");
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

const PRESS = {
  name: `${OWN}press`,
  lines: [
    { name: "START", lineNumber: 0, origin: { kind: "sim" } },
    { name: "a b$(c)", lineNumber: 1, origin: { kind: "chip" } },
    { name: "", lineNumber: 2, origin: { kind: "sim" } },
  ],
};

testSerially("services' words are offered without a gpioagg", async () => {
  using rig = new Rig();
  const pid = Deno.pid;
  rig.service(`gpioagg-${OWN}a`, wordsText(pid, [PRESS]));
  const crane = { name: `${OWN}crane`, lines: [] };
  // Systemd owns the directory of the sockets that it makes.
  rig.service(`gpioagg-${OWN}b`, wordsText(pid, [crane]), "/vm");
  const press = PRESS.name;
  const lines = ["START", "a b$(c)", "2"].map((line) => `${press}.${line}`);
  assertEquals(await rig.words("aggregator"), [press, crane.name]);
  assertEquals(await rig.words("aggregator", `${OWN}c`), [crane.name]);
  assertEquals(await rig.words("served-line"), lines);
  assertEquals(
    await rig.words("line-condition"),
    lines.map((line) => `${line}=`),
  );
  assertEquals(await rig.words("forced-value"), lines.map((it) => `${it}=`));
  assertEquals(
    await rig.words("signal-map", `A=${press}.S`),
    [`A=${press}.START`],
  );
  assertEquals(await rig.words("pull", "", press), ["START=", "2="]);
  assertEquals(await rig.words("service"), [`${OWN}a`, `${OWN}b`]);
});

testSerially("gpioagg is asked for words that no file has", async () => {
  for (
    const [what, words] of Object.entries({
      "no file": undefined,
      "a service that is gone": wordsText(2 ** 30, [PRESS]),
      "another form": "gpioagg-words-99 1\n",
      "an empty file": "",
    })
  ) {
    using rig = new Rig();
    rig.service("gpioagg", words);
    for (const kind of ["aggregator", "served-line", "service"]) {
      assertEquals(await rig.words(kind), [ASKED], what);
    }
  }
  using rig = new Rig();
  rig.service("gpioagg", wordsText(Deno.pid, [PRESS]));
  assertEquals(await rig.words("pull", "", `${OWN}oven`), [ASKED]);
  assertEquals(await rig.words("spec", "a\\,b,"), [ASKED]);
  assertEquals(await rig.words("no-such-kind"), [ASKED]);
});

testSerially(
  "a FIFO in place of a file of words keeps no shell waiting",
  async () => {
    using rig = new Rig();
    rig.service(`gpioagg-${OWN}a`);
    const { success } = await new Deno.Command("mkfifo", {
      args: [`${rig.runtime}/gpioagg-${OWN}a/words`],
    }).output();
    assertEquals(success, true);
    assertEquals(await rig.words("aggregator"), [ASKED]);
  },
);

testSerially("words that need no service are offered", async () => {
  using rig = new Rig();
  assertEquals(await rig.words("command", "se"), ["serve", "set"]);
  assertEquals(await rig.words("pull", "A=B="), ["A=B=0", "A=B=1"]);
  assertEquals(await rig.words("line-value", "LED=1"), ["LED=1"]);
  assertEquals(
    await rig.words("line-condition", "p.a=b="),
    CONDITION_WORDS.map((word) => `p.a=b=${word}`),
  );
  assertEquals(await rig.words("forced-value", "p.a="), ["p.a=0", "p.a=1"]);
  assertEquals(await rig.words("page", "sp"), ["spec"]);
  assertEquals(await rig.words("socket", "/run/x"), []);
  assertEquals(await rig.words("socket", "/run/x,mode=660,"), [
    "/run/x,mode=660,owner=",
    "/run/x,mode=660,group=",
  ]);
  assertEquals(await rig.words("adapter-socket", "a,device="), [
    "a,device=ljca",
    "a,device=cp2112",
  ]);
  assertEquals(await rig.words("adapter-socket", "a,device=ljca,c"), [
    "a,device=ljca,connect",
  ]);
  const directory = `${rig.runtime}/gpioagg`;
  Deno.mkdirSync(directory);
  for (const name of ["press", "crane.sock"]) {
    Deno.writeTextFileSync(`${directory}/${OWN}${name}.control`, "");
  }
  assertEquals(await rig.words("sim"), [`${OWN}crane`, `${OWN}press`]);
  const record = `${directory}/kernel-chips/${OWN}valve.0123456789abcdef`;
  Deno.mkdirSync(record, { recursive: true });
  assertEquals(await rig.words("kernel-chip"), []);
  Deno.writeTextFileSync(`${record}/record.json`, "{}");
  assertEquals(await rig.words("kernel-chip"), [`${OWN}valve`]);
});

testSerially(
  "keys and values of a SPEC are those that gpioagg knows",
  async () => {
    using rig = new Rig();
    for (
      const text of [
        "const/",
        "sim/1,",
        "sim/1,sa",
        "sim/1,safe=0,sa",
        "sim/1,safe",
        "safe,",
        "sim/1,2,sh",
        "gpiochip0/1,2",
        "E,direction=",
        "E,initial=",
        "E,shared,initial=a",
        "E,as=",
        "E,nothing=",
      ]
    ) {
      assertEquals(
        await rig.words("spec", text),
        specWords(text, () => []).filter((word) => word.startsWith(text)),
        text,
      );
    }
  },
);

testSerially(
  "another user's runtime directory is gpioagg's to judge",
  async () => {
    using rig = new Rig();
    rig.service("gpioagg", wordsText(Deno.pid, [PRESS]));
    for (const runtime of ["relative", "/no/such/directory"]) {
      const { stdout } = await new Deno.Command("sh", {
        args: [
          ...["-c", SCRIPT, "gpioagg-words", `${rig.runtime}/program`],
          ...["aggregator", ""],
        ],
        env: { XDG_RUNTIME_DIR: runtime },
      }).output();
      assertEquals(new TextDecoder().decode(stdout), `${ASKED}\n`, runtime);
    }
  },
);
