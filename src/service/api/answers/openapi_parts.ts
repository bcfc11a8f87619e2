/**
 * Parts of the OpenAPI document that many of its operations have.
 *
 * @module
 */
import type { MESSAGES } from "../../../client/messages.ts";
import type { JsonSchema } from "../../../config/values/values.ts";

/** Schema of any text. */
export const text = { type: "string" } as const;
/** Returns a reference to a message. */
export const reference = (name: keyof typeof MESSAGES) => ({
  $ref: `#/components/schemas/${name}`,
});
/** Returns the content of an answer in JSON. */
export const json = (schema: JsonSchema) => ({
  "application/json": { schema },
});
/** Returns an answer in JSON. */
export const answer = (description: string, schema: JsonSchema) => ({
  description,
  content: json(schema),
});
/** Returns a refusal. */
export const refusal = (description: string) =>
  answer(description, reference("Error"));

/** Returns a parameter that may be left out. */
export const parameter = (
  name: string,
  description: string,
  schema: JsonSchema = text,
  place: "query" | "header" = "query",
) => ({ name, in: place, required: false, description, schema });

interface Operation {
  readonly responses: Readonly<Record<string, unknown>>;
}

/**
 * Adds the refusal of unknown query parameters, which every operation makes, to
 * those that refuse nothing else with this status.
 */
export function withQueryRefusal(
  path: Readonly<Record<string, object>>,
): Record<string, object> {
  return Object.fromEntries(
    Object.entries(path).map(([key, operation]) => [
      key,
      "responses" in operation
        ? {
          ...operation,
          responses: {
            "400": refusal("Unknown query parameter"),
            ...(operation as Operation).responses,
          },
        }
        : operation,
    ]),
  );
}
