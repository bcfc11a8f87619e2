import { assertEquals } from "@std/assert";
import { rounds } from "../../../tests/environment/rounds.ts";
import { ConfigNode } from "./config_node.ts";
import { Problems } from "./problems.ts";

/** Every key and value with its position, as `path=text@line:column/line:column`. */
function listPositions(text: string): string[] {
  const problems = new Problems();
  const root = ConfigNode.parse(text, "test.yaml", problems);
  assertEquals(problems.sorted().map(({ message }) => message), []);
  const found: string[] = [];
  const visit = (node: ConfigNode) => {
    const { line, column } = node.position;
    found.push(`${node.position.path}=${node.text}@${line}:${column}`);
    for (const { position, node: value } of node.entries()) {
      found.push(`${position.path}@${position.line}:${position.column}`);
      visit(value);
    }
    for (const item of node.items()) visit(item);
  };
  visit(root!);
  return found;
}

Deno.test("ConfigNode positions keys and values of block style", () => {
  assertEquals(
    listPositions(`# a comment
one: 1   # behind
"two" : 'it''s'
three:
  - x
  -   y: z
      w:
      - v
four:
- |
  text: no key
  # no comment

- end
`),
    [
      "=@2:1",
      "one@2:1",
      "one=1@2:6",
      "two@3:1",
      "two=it's@3:9",
      "three@4:1",
      "three=@5:3",
      "three[0]=x@5:5",
      "three[1]=@6:7",
      "three[1].y@6:7",
      "three[1].y=z@6:10",
      "three[1].w@7:7",
      "three[1].w=@8:7",
      "three[1].w[0]=v@8:9",
      "four@9:1",
      "four=@10:1",
      "four[0]=text: no key\n# no comment\n@10:3",
      "four[1]=end@14:3",
    ],
  );
});

Deno.test("ConfigNode positions keys and values of flow style", () => {
  assertEquals(
    listPositions(`{ a: [1, "x, y", {b: c}], # comment, with {
  'd' : { e:
    f }, g, h: [i: j] }`),
    [
      "=@1:1",
      "a@1:3",
      "a=@1:6",
      "a[0]=1@1:7",
      "a[1]=x, y@1:10",
      "a[2]=@1:18",
      "a[2].b@1:19",
      "a[2].b=c@1:22",
      "d@2:3",
      "d=@2:9",
      "d.e@2:11",
      "d.e=f@3:5",
      "g@3:10",
      "g=@3:10",
      "h@3:13",
      "h=@3:16",
      "h[0]=@3:17",
      "h[0].i@3:17",
      "h[0].i=j@3:20",
    ],
  );
});

Deno.test("ConfigNode positions what stands behind anchors, tags and aliases", () => {
  assertEquals(
    listPositions(`--- # begin
base: &base
  x: &one !!str 1
use: *base
more: { <<: *base, y: *one }
`),
    [
      "=@2:1",
      "base@2:1",
      "base=@3:3",
      "base.x@3:3",
      "base.x=1@3:17",
      "use@4:1",
      "use=@4:6",
      "use.x@3:3",
      "use.x=1@3:17",
      "more@5:1",
      "more=@5:7",
      "more.y@5:20",
      "more.y=1@5:23",
      `more["<<"].x@3:3`,
      `more["<<"].x=1@3:17`,
    ],
  );
});

Deno.test("ConfigNode positions texts that go on in further lines", () => {
  assertEquals(
    listPositions(`a: one
  two
  three
b: "x
  y" # c
c: >-
    folded

    more
d: [ p
  q, r ]
e:
f: # nothing
g: 1
`),
    [
      "=@1:1",
      "a@1:1",
      "a=one two three@1:4",
      "b@4:1",
      "b=x y@4:4",
      "c@6:1",
      "c=folded\nmore@6:4",
      "d@10:1",
      "d=@10:4",
      "d[0]=p q@10:6",
      "d[1]=r@11:6",
      "e@12:1",
      "e=@12:1",
      "f@13:1",
      "f=@13:1",
      "g@14:1",
      "g=1@14:4",
    ],
  );
});

Deno.test("ConfigNode counts every kind of line end once, and no byte order mark", () => {
  assertEquals(listPositions("\ufeffa: 1\r\nb: 2\rc: 3\n"), [
    "=@1:1",
    "a@1:1",
    "a=1@1:4",
    "b@2:1",
    "b=2@2:4",
    "c@3:1",
    "c=3@3:4",
  ]);
});

Deno.test("ConfigNode keeps scalars as they are written", () => {
  assertEquals(
    listPositions("[0123, 1e3, null, ~, yes, 2001-01-01, 0x10]").slice(1)
      .map((position) => position.replace(/^.*=(.*)@.*$/, "$1")),
    ["0123", "1e3", "null", "~", "yes", "2001-01-01", "0x10"],
  );
});

Deno.test("ConfigNode is not harmed by a document that refers to itself", () => {
  const problems = new Problems();
  const root = ConfigNode.parse("&a [*a, { b: *a }]", "x", problems)!;
  assertEquals(root.items()[0]!.items()[1]!.kind, "map");
});

Deno.test("ConfigNode falls back to the enclosing position where it is lost", () => {
  // The scanner does not resolve an alias that is a key.
  const problems = new Problems();
  const root = ConfigNode.parse("- &k x\n- { *k : 1 }\n", "f", problems)!;
  const [entry] = root.items()[1]!.entries();
  assertEquals([entry!.key, entry!.position.line, entry!.position.column], [
    "x",
    2,
    3,
  ]);
});

/** A generator of random numbers that can be seeded (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Writes a random document, and where it put everything. */
class Writer {
  text = "";
  readonly positions: string[] = [];
  readonly #random: (below: number) => number;
  #line = 1;
  #column = 1;
  #count = 0;

  constructor(seed: number) {
    this.#random = random(seed);
    this.#comments("");
    this.#block("", 0, 3);
  }

  #put(text: string): void {
    this.text += text;
    const lines = text.split("\n");
    this.#line += lines.length - 1;
    this.#column = lines.length === 1
      ? this.#column + text.length
      : lines.at(-1)!.length + 1;
  }

  #pick<T>(...choices: readonly T[]): T {
    return choices[this.#random(choices.length)]!;
  }

  #position(what: string): void {
    this.positions.push(`${what}@${this.#line}:${this.#column}`);
  }

  #comments(indentation: string): void {
    for (let n = this.#random(3); n > 0; n--) {
      this.#put(this.#pick("\n", `${indentation}# {no: [node\n`, "# - x: y\n"));
    }
  }

  #word(): string {
    return `${this.#pick("k", "a-b", "x_y", "n")}${this.#count++}`;
  }

  #quotedOrNot(word: string): string {
    return this.#pick(word, `"${word}"`, `'${word}'`);
  }

  #scalar(path: string): void {
    const word = this.#word();
    const [source, value] = this.#pick(
      [word, word],
      [`"${word}: # \\"}"`, `${word}: # "}`],
      [`'${word}''s [,'`, `${word}'s [,`],
      [`${word}#x:y`, `${word}#x:y`],
      [`${word} & *z`, `${word} & *z`],
      [`-${word}`, `-${word}`],
    );
    this.#position(`${path}=${value}`);
    this.#put(source!);
  }

  #properties(): void {
    if (this.#random(6) === 0) this.#put(`&${this.#word()} `);
  }

  /** A value that begins behind `key:` or `-`, ended by a line's end. */
  #value(path: string, depth: number, indent: number): void {
    const kind = this.#random(depth === 0 ? 1 : 3);
    if (kind === 2) {
      this.#put(" ");
      if (this.#random(6) === 0) this.#put(`&${this.#word()} `);
      this.#put(this.#pick("\n", " # c\n"));
      const deeper = indent + 1 + this.#random(3);
      this.#comments(" ".repeat(deeper));
      this.#block(path, deeper, depth - 1);
      return;
    }
    this.#put(" ".repeat(1 + this.#random(3)));
    this.#properties();
    if (kind === 0) this.#scalar(path);
    else this.#flow(path, depth);
    this.#put(this.#pick("\n", "  # c: d\n"));
  }

  #block(path: string, indent: number, depth: number): void {
    const indentation = " ".repeat(indent);
    const isList = this.#random(2) === 0;
    const count = 1 + this.#random(4);
    for (let i = 0; i < count; i++) {
      this.#put(indentation);
      if (i === 0) this.#position(`${path}=`);
      if (isList) {
        this.#put("-");
        this.#value(`${path}[${i}]`, depth, indent);
      } else {
        const key = this.#word();
        const inner = path === "" ? key : `${path}.${key}`;
        this.#position(inner);
        this.#put(`${this.#quotedOrNot(key)}${this.#pick("", " ")}:`);
        this.#value(inner, depth, indent);
      }
      this.#comments(indentation);
    }
  }

  #flow(path: string, depth: number): void {
    const isList = this.#random(2) === 0;
    this.#position(`${path}=`);
    this.#put(isList ? "[" : "{");
    const count = this.#random(4);
    for (let i = 0; i < count; i++) {
      this.#put(this.#pick("", " ", "\n          ", " # c ]\n          "));
      const key = this.#word();
      const inner = isList ? `${path}[${i}]` : `${path}.${key}`;
      if (!isList) {
        this.#position(inner);
        this.#put(`${this.#quotedOrNot(key)}: `);
      }
      if (depth > 1 && this.#random(3) === 0) this.#flow(inner, depth - 1);
      else this.#flowScalar(inner);
      if (i < count - 1 || this.#random(2) === 0) this.#put(",");
      else this.#put(" ");
    }
    this.#put(isList ? "]" : "}");
  }

  #flowScalar(path: string): void {
    const word = this.#word();
    const [source, value] = this.#pick(
      [word, word],
      [`"${word}, ]"`, `${word}, ]`],
      [`'${word}: {'`, `${word}: {`],
      [`${word} ${word}`, `${word} ${word}`],
    );
    this.#position(`${path}=${value}`);
    this.#put(source!);
  }
}

Deno.test("ConfigNode finds every node of random documents", () => {
  for (let seed = 1; seed <= rounds(1500, 500); seed++) {
    const { text, positions } = new Writer(seed);
    assertEquals(listPositions(text), positions, `seed ${seed}:\n${text}`);
  }
});
