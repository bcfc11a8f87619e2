/**
 * The control API for other languages: OpenAPI 3.1, served by the service.
 *
 * @module
 */

import { MAX_CREATED_LINES } from "./create.ts";

const text = { type: "string" } as const;
const lineValue = { type: "integer", enum: [0, 1] } as const;
const time = {
  type: "number",
  description: "Milliseconds since 1970",
} as const;
const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: unknown) => ({ "application/json": { schema } });
const answer = (description: string, schema: unknown) => ({
  description,
  content: json(schema),
});
const refusal = (description: string) =>
  answer(description, reference("Error"));

const NAME_PARAMETER = {
  name: "name",
  in: "path",
  required: true,
  description: "The aggregator's name",
  schema: text,
};
const NOT_THERE = { "404": refusal("There is no such aggregator") };
const LOOK_ONLY = { "403": refusal("This socket may only look") };
const BAD_BODY = {
  "400": refusal("The body is not as it should be"),
  "413": refusal("The body is too long"),
};

const LINE = {
  type: "object",
  required: ["lineNumber", "name", "source", "direction"],
  properties: {
    lineNumber: { type: "integer", minimum: 0 },
    name: { ...text, description: "What the guest sees; may be empty" },
    source: { ...text, description: "Where it comes from, in words" },
    direction: { type: "string", enum: ["input", "output"] },
    value: {
      ...lineValue,
      description: "1 is active; absent where not known without waiting",
    },
  },
};

const AGGREGATOR = {
  type: "object",
  required: ["name", "lease", "connected", "lines"],
  properties: {
    name: text,
    lease: {
      type: "string",
      enum: ["stream", "none", "service"],
      description: "What its life is tied to: its maker's stream, nothing, " +
        "or the service's own command line or configuration",
    },
    presentation: { ...text, description: "How it is presented, in words" },
    socketPath: { ...text, description: "The vhost-user socket, for a VMM" },
    kernelChip: reference("KernelChip"),
    qemuPins: reference("QemuPins"),
    secondOf: {
      ...text,
      description: "The aggregator that it is the second exposure of; " +
        "it goes with that one",
    },
    connected: {
      type: "boolean",
      description: "Whether a VMM is connected; of a kernel chip, whether " +
        "a line of it is in use",
    },
    servedSince: time,
    connectedSince: time,
    lines: { type: "array", items: reference("Line") },
  },
};

const KERNEL_CHIP = {
  type: "object",
  description: "A chip of the host's own kernel",
  required: ["path", "label", "present"],
  properties: {
    path: { ...text, description: "Device node", examples: ["/dev/gpiochip5"] },
    label: {
      ...text,
      description: "The kernel's name for it",
      examples: ["gpio-aggregator.0"],
    },
    present: {
      type: "boolean",
      description: "False once somebody else has taken it down",
    },
  },
};

const QEMU_SOCKETS = {
  qtest: { ...text, description: "QEMU's qtest socket" },
  qmp: { ...text, description: "QEMU's QMP socket" },
  device: { ...text, description: "A QOM type, or a QOM path" },
  index: {
    type: "integer",
    minimum: 0,
    maximum: 255,
    description: "Which of several devices of that type",
  },
};

const QEMU_PINS = {
  type: "object",
  description: "Pins of a controller that a QEMU emulates",
  required: ["qtest", "qmp", "device"],
  properties: QEMU_SOCKETS,
};

const ACCESS = {
  mode: { ...text, pattern: "^0?[0-7]{3}$" },
  owner: { ...text, description: "User name or number" },
  group: { ...text, description: "Group name or number" },
};

const SOCKET_PATH = { ...text, pattern: "^/.*[^/]$", maxLength: 99 };

/** What a request may say of how to present an aggregator: one of these. */
const EXPOSURES = {
  socket: {
    type: "object",
    description: "At a vhost-user socket, as without any of the three: who " +
      "may connect there",
    additionalProperties: false,
    properties: ACCESS,
  },
  kernelChip: {
    type: "object",
    description: "As a chip of the host's kernel, whose lines have no rules: " +
      "who may use its device node, and by which interface of the driver",
    additionalProperties: false,
    properties: {
      interface: { type: "string", enum: ["configfs", "sysfs"] },
      ...ACCESS,
    },
  },
  qemuPins: {
    type: "object",
    description: "As the pins of a controller inside the QEMU behind these " +
      "sockets, which serve no other aggregator",
    required: ["qtest", "qmp"],
    additionalProperties: false,
    properties: {
      ...QEMU_SOCKETS,
      qtest: { ...QEMU_SOCKETS.qtest, ...SOCKET_PATH },
      qmp: { ...QEMU_SOCKETS.qmp, ...SOCKET_PATH },
      device: { ...QEMU_SOCKETS.device, default: "pl061" },
      pins: {
        type: "object",
        description: "Pin to line name; without it pin 0 is the first line, " +
          "and so on",
        minProperties: 1,
        additionalProperties: text,
      },
    },
  },
};

const CREATE_REQUEST = {
  type: "object",
  required: ["name", "lines"],
  additionalProperties: false,
  properties: {
    name: { ...text, pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$" },
    lines: {
      type: "array",
      minItems: 1,
      description: `At most ${MAX_CREATED_LINES} lines in all`,
      items: {
        ...text,
        description: "A SPEC as of gpioagg serve --line",
        examples: ["gpiochip0/0-7,direction=output,safe=0", "sim/4"],
      },
    },
    lease: { type: "string", enum: ["stream", "none"], default: "stream" },
    ...EXPOSURES,
  },
  not: {
    anyOf: [
      { required: ["socket", "kernelChip"] },
      { required: ["socket", "qemuPins"] },
      { required: ["kernelChip", "qemuPins"] },
    ],
  },
};

const NAMES = { type: "array", items: text } as const;

const RELOAD = {
  type: "object",
  required: ["added", "removed", "replaced", "changed", "refused"],
  properties: {
    added: NAMES,
    removed: NAMES,
    replaced: { ...NAMES, description: "Made anew, having no guest" },
    changed: { ...NAMES, description: "With other rules, under their guests" },
    refused: {
      type: "array",
      items: {
        type: "object",
        required: ["aggregator", "reasons"],
        properties: { aggregator: text, reasons: NAMES },
      },
    },
  },
};

/** The document, as plain data. */
export function openApi(): unknown {
  return {
    openapi: "3.1.0",
    info: {
      title: "gpioagg control API",
      version: "1",
      description: "Makes, shows and ends aggregators of a running service. " +
        "Served on unix sockets only: one where things may be changed, one " +
        "where one may only look. What can be got has a HEAD too. A request " +
        "has 10 s to arrive, and a body at most 256 KiB; refused calls that " +
        "would have changed something are in the audit log as well.\n\n" +
        "Whoever may write to the socket for changes may do with GPIO lines " +
        "what the service may: take any line of any chip that it can open, " +
        "make chips of the host's kernel and give their device nodes to any " +
        "user, have it connect to any QEMU's qtest and QMP sockets that it " +
        "can reach (which lets nobody in but drives that machine's pins) and " +
        "make control sockets beside them, and end what others made. There " +
        "are no finer rights: owner, group and mode of the socket file " +
        "decide, and the audit log tells who did what.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "http://gpioagg", description: "Over the unix socket" }],
    security: [],
    paths: {
      "/v1/aggregators": {
        get: {
          operationId: "list",
          summary: "All aggregators",
          responses: {
            "200": answer("They are", {
              type: "object",
              required: ["aggregators"],
              properties: {
                aggregators: { type: "array", items: reference("Aggregator") },
              },
            }),
          },
        },
        post: {
          operationId: "create",
          summary: "Make an aggregator",
          description:
            'With the lease "stream" the answer is newline-delimited JSON ' +
            "that stays open: the aggregator lives while the client holds it " +
            'so. Its first line is {"aggregator": Aggregator}; when somebody ' +
            'else ends it, {"ended": REASON} follows. Whoever closes the ' +
            "connection, or no more than its writing half, gives the lease " +
            "up. The aggregator tells " +
            "what its user needs: a socket's path, a device node, or QEMU's " +
            "qtest socket. A kernel chip that was taken down behind the " +
            "service's back ends the lease too.",
          requestBody: {
            required: true,
            content: json(reference("CreateRequest")),
          },
          responses: {
            "201": {
              description: "It is served",
              content: {
                ...json(reference("Aggregator")),
                "application/x-ndjson": { schema: reference("LeaseMessage") },
              },
            },
            ...BAD_BODY,
            ...LOOK_ONLY,
            "409": refusal(
              "The name or a socket is taken, or a line cannot be had",
            ),
          },
        },
      },
      "/v1/aggregators/{name}": {
        parameters: [NAME_PARAMETER],
        get: {
          operationId: "show",
          summary: "One aggregator",
          responses: {
            "200": answer("It is", reference("Aggregator")),
            ...NOT_THERE,
          },
        },
        delete: {
          operationId: "remove",
          summary: "End an aggregator, whoever made it",
          responses: {
            "204": {
              description: "Its guest is disconnected, its lines are in " +
                "their declared state and free, its socket or kernel chip is gone",
            },
            ...LOOK_ONLY,
            ...NOT_THERE,
            "504": refusal(
              "It is removed, but a slow chip has not let its lines go in " +
                "time: the message says which",
            ),
          },
        },
      },
      "/v1/aggregators/{name}/lines": {
        parameters: [NAME_PARAMETER],
        get: {
          operationId: "readLines",
          summary: "Read all lines",
          responses: {
            "200": answer("They are", {
              type: "object",
              required: ["lines"],
              properties: {
                lines: { type: "array", items: reference("Line") },
              },
            }),
            ...NOT_THERE,
          },
        },
        patch: {
          operationId: "pullLines",
          summary: "Pull simulated lines, as the world outside would",
          requestBody: {
            required: true,
            content: json({
              type: "object",
              required: ["pull"],
              additionalProperties: false,
              properties: {
                pull: {
                  type: "object",
                  description: "Level by line name or number",
                  additionalProperties: lineValue,
                },
              },
            }),
          },
          responses: {
            "200": answer("How it is now", reference("Aggregator")),
            ...BAD_BODY,
            ...LOOK_ONLY,
            ...NOT_THERE,
            "409": refusal("There is no such line, or it is not simulated"),
          },
        },
      },
      "/v1/events": {
        get: {
          operationId: "watch",
          summary: "What happens from now on, as server-sent events",
          description:
            "The first event is a snapshot. Changes of lines are gathered " +
            "for 20 ms. A listener that does not read loses events, is told " +
            "how many, and is disconnected after a minute.",
          parameters: [{
            name: "aggregator",
            in: "query",
            required: false,
            description: "Only what concerns this aggregator",
            schema: text,
          }],
          responses: {
            "200": {
              description: "Events until either side ends",
              content: { "text/event-stream": { schema: reference("Event") } },
            },
          },
        },
      },
      "/v1/reload": {
        post: {
          operationId: "reload",
          summary: "Reads the configuration file again",
          description: "What may change under running guests is changed, the " +
            "rest is refused with the reason. An invalid file changes nothing.",
          responses: {
            "200": answer("What was done, and what not", reference("Reload")),
            "400": refusal("The file is not valid; nothing was changed"),
            ...LOOK_ONLY,
            "409": refusal("The service has no configuration file"),
          },
        },
      },
      "/metrics": {
        get: {
          operationId: "metrics",
          summary: "Counters in Prometheus' text format",
          responses: {
            "200": {
              description: "They are",
              content: { "text/plain": { schema: text } },
            },
          },
        },
      },
      "/openapi.json": {
        get: {
          operationId: "describe",
          summary: "This document",
          responses: { "200": answer("It is", { type: "object" }) },
        },
      },
    },
    components: {
      schemas: {
        Aggregator: AGGREGATOR,
        KernelChip: KERNEL_CHIP,
        QemuPins: QEMU_PINS,
        Line: LINE,
        CreateRequest: CREATE_REQUEST,
        Reload: RELOAD,
        LeaseMessage: {
          oneOf: [
            {
              type: "object",
              required: ["aggregator"],
              properties: { aggregator: reference("Aggregator") },
            },
            {
              type: "object",
              required: ["ended"],
              properties: { ended: text },
            },
          ],
        },
        Event: {
          type: "object",
          required: ["event"],
          properties: {
            event: {
              type: "string",
              enum: [
                "snapshot",
                "created",
                "removed",
                "connected",
                "disconnected",
                "started",
                "stopped",
                "fault",
                "refused",
                "silent",
                "unplugged",
                "plugged",
                "lines",
                "lost",
              ],
            },
            aggregator: text,
            detail: text,
            aggregators: { type: "array", items: reference("Aggregator") },
            lines: {
              type: "array",
              items: {
                type: "object",
                required: ["lineNumber", "name", "direction", "changes"],
                properties: {
                  lineNumber: LINE.properties.lineNumber,
                  name: text,
                  direction: LINE.properties.direction,
                  value: lineValue,
                  changes: {
                    type: "integer",
                    description:
                      "Edges, and times that its guest or a rule set " +
                      "it, since this line's last event; what was set may " +
                      "be what was there",
                  },
                },
              },
            },
            count: { type: "integer", description: "Events that were lost" },
          },
        },
        Error: {
          type: "object",
          required: ["error"],
          properties: {
            error: {
              type: "object",
              required: ["message"],
              properties: { message: text, hint: text },
            },
          },
        },
      },
    },
  };
}
