/**
 * Manual pages of the configuration file and of SPECs.
 *
 * @module
 */
import { configSchema } from "../../config/schema/file_schema.ts";
import { RULE_KEYS, RULES } from "../../config/values/rules.ts";
import type { ManPage } from "./command_pages.ts";
import {
  bold,
  filled,
  page,
  paragraphs,
  section,
  tagged,
  verbatim,
} from "./roff.ts";

/** The parts of a JSON Schema that a page has. */
interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

const EXAMPLE = `aggregators:
  press:
    vhost-user: /run/gpioagg/vm/press.sock
    lines:
      - { gpiochip0: 0-3 }
      - { gpiochip1: 4, as: VALVE, direction: output, safe: 0 }`;

/** Returns gpioagg.yaml(5), with all keys of the schema. */
export function filePage(version: string): ManPage {
  const schema = configSchema() as Schema;
  const heading = {
    name: "gpioagg.yaml",
    section: 5,
    summary: "configuration file of gpioagg serve",
  };
  return {
    file: "gpioagg.yaml.5",
    text: page(heading, version, [
      section(
        "Description",
        [
          filled(
            "The file in YAML names aggregators and their lines. gpioagg check " +
              "validates it, gpioagg serve --config serves it, and gpioagg " +
              "reload reads it again. gpioagg schema prints the JSON Schema " +
              "that this page was made from. NAME stands for a name of the " +
              "user's, [] for an element of a list.",
          ),
        ].join("\n"),
      ),
      section("Example", verbatim(EXAMPLE)),
      section("Keys", formatKeys(schema, "", schema).join("\n")),
      section(
        "See also",
        `${bold("gpioagg-serve")}(1),\n${bold("gpioagg-check")}(1),\n${
          bold("gpioagg-spec")
        }(7)`,
      ),
    ]),
  };
}

/** Returns the keys below a place, with their descriptions. */
function formatKeys(schema: Schema, path: string, root: Schema): string[] {
  const found = resolved(schema, root);
  const parts: string[] = [];
  const names = new Set<string>();
  const add = (name: string, property: Schema) => {
    if (names.has(name)) return;
    names.add(name);
    const place = path === "" ? name : `${path}.${name}`;
    const one = resolved(property, root);
    const text = property.description ?? one.description;
    if (text !== undefined) parts.push(tagged(bold(place), text));
    parts.push(...formatKeys(one, place, root));
  };
  for (const form of [found, ...found.anyOf ?? []]) {
    const one = resolved(form, root);
    for (const [name, property] of Object.entries(one.properties ?? {})) {
      add(name, property);
    }
    if (typeof one.additionalProperties === "object") {
      add("NAME", one.additionalProperties);
    }
    if (one.items !== undefined && !names.has("[]")) {
      names.add("[]");
      parts.push(...formatKeys(one.items, `${path}[]`, root));
    }
  }
  return parts;
}

function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.replace(/^#\/definitions\//, "");
  return name === undefined ? schema : root.definitions![name]!;
}

/** Returns gpioagg-spec(7). */
export function specPage(version: string, grammar: string): ManPage {
  const heading = {
    name: "gpioagg-spec",
    section: 7,
    summary: "how gpioagg's command lines name lines and their rules",
  };
  return {
    file: "gpioagg-spec.7",
    text: page(heading, version, [
      section("Description", paragraphs(grammar)),
      section(
        "Keys",
        RULE_KEYS.map((key) => tagged(bold(key), RULES[key].help)).join("\n"),
      ),
      section(
        "See also",
        `${bold("gpioagg-serve")}(1),\n${bold("gpioagg.yaml")}(5)`,
      ),
    ]),
  };
}
