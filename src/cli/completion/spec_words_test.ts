import { assertEquals } from "@std/assert";
import { RULE_KEYS } from "../../config/values/rules.ts";
import { ruleWords, specWords } from "./spec_words.ts";

const lines = (text: string) =>
  ["gpiochip0/", "ESTOP"].filter((word) => word.startsWith(text));

/** The completions of `text`. */
function fitting(text: string): string[] {
  return specWords(text, lines).filter((word) => word.startsWith(text));
}

Deno.test("specWords() begins with lines, chips and lines without a chip", () => {
  assertEquals(fitting("gp"), ["gpiochip0/"]);
  assertEquals(fitting("E"), ["ESTOP"]);
  assertEquals(fitting("const"), ["const/0", "const/1"]);
  assertEquals(fitting("").length, 8);
});

Deno.test("specWords() goes on with keys that are not there yet", () => {
  assertEquals(fitting("sim/1,dir"), ["sim/1,direction="]);
  assertEquals(fitting("sim/1,safe=0,saf"), ["sim/1,safe=0,safe-after="]);
  assertEquals(fitting("sim/1,act"), ["sim/1,active-low"]);
  assertEquals(fitting("sim/1,").length, RULE_KEYS.length);
});

Deno.test("specWords() knows the words of a key's value", () => {
  assertEquals(fitting("E,direction="), [
    "E,direction=input",
    "E,direction=output",
    "E,direction=any",
  ]);
  assertEquals(fitting("E,safe="), ["E,safe=0", "E,safe=1"]);
  assertEquals(fitting("E,initial="), [
    "E,initial=0",
    "E,initial=1",
    "E,initial=as-is",
  ]);
  assertEquals(fitting("E,as="), [], "a name is the user's");
  assertEquals(fitting("E,nothing="), []);
});

Deno.test("specWords() adds nothing to a list of offsets", () => {
  assertEquals(fitting("gpiochip0/1,2"), []);
});

Deno.test("ruleWords() knows the rules that may change under a guest", () => {
  assertEquals(ruleWords("s").filter((word) => word.startsWith("s")), [
    "safe=",
    "safe-after=",
  ]);
  assertEquals(ruleWords("safe="), ["safe=0", "safe=1", "safe=none"]);
});
