import { assert, assertMatch } from "@std/assert";
import { rounds } from "../../../tests/environment/rounds.ts";
import { ConfigNode } from "./config_node.ts";
import { Problems } from "./problems.ts";
import { yamlFault } from "./yaml_errors.ts";

/** Words of the parser, which the user's text cannot bring in. */
const PARSER =
  /Cannot |unexpected|implicit|stream|scalar|node|resolve|sequence|at line/i;

const TEXT = `aggregators:
  press: &p
    vhost-user: { socket: /run/p.sock, mode: "0660" }
    lines:
      - { sim: 1, as: "A", note: 'it''s' }
      - sim/2,as=B
  crane: { <<: *p, lines: [ sim/1, "sim/2" ] }
`;
const PIECES = [..."[]{},:-?&*!|>'\"%@` \t\n#", "---\n", "!!x", "&a", "*b"];

Deno.test("errors of YAML texts have a position, and no words of the parser", () => {
  let seed = 1;
  const random = (below: number) => {
    seed = Math.imul(seed, 1664525) + 1013904223 >>> 0;
    return Math.floor(seed / 2 ** 32 * below);
  };
  let count = 0;
  const times = rounds(4000, 1000);
  for (let i = 0; i < times; i++) {
    const at = random(TEXT.length);
    const text = TEXT.slice(0, at) + PIECES[random(PIECES.length)]! +
      TEXT.slice(at + random(3));
    const problems = new Problems();
    ConfigNode.parse(text, "f.yaml", problems);
    for (const { message } of problems.sorted()) {
      assertMatch(message, /^f\.yaml:\d+:\d+/, text);
      if (!message.includes("not valid YAML")) continue;
      count++;
      assert(!PARSER.test(message), `${text}\n${message}`);
    }
  }
  assert(count > times / 8);
});

Deno.test("a message of the parser that is not known is not passed on", () => {
  const { problem } = yamlFault("Cannot frobnicate the implicit node");
  assert(!PARSER.test(problem));
});
