/**
 * OpenAPI 3.1 document of the control API, for clients in other languages. The
 * service answers with it.
 *
 * @module
 */
import { ANSWERS, MESSAGES } from "../../../client/messages.ts";
import {
  FORCE_REQUEST,
  LEASE_REQUEST,
  PLAY_REQUEST,
  PULL_REQUEST,
  RULES_REQUEST,
} from "../../../client/requests.ts";
import {
  answer,
  json,
  parameter,
  reference,
  refusal,
  text,
  withQueryRefusal,
} from "./openapi_parts.ts";

const NAME_PARAMETER = {
  name: "name",
  in: "path",
  required: true,
  description: "Name of the aggregator",
  schema: text,
};
const NOT_THERE = { "404": refusal("No such aggregator") };
const ENDING = { "503": refusal("The service ends: ask the next process") };
const LOOK_ONLY = {
  "403": refusal("This socket is for reading only, or a web page asks"),
  "412": refusal("If-Match, If-Unmodified-Since: the API has no entity tags"),
};
const INVALID_BODY = {
  "400": refusal("Invalid body"),
  "413": refusal("Body too long"),
};

const DESCRIPTION =
  "Creates, shows and removes aggregators of a running service. It is served " +
  "on Unix sockets only: one with all rights, one for reading only. Every GET " +
  "also supports HEAD. A request must arrive within 10 s, and a body has at " +
  "most 256 KiB. Unknown query parameters are refused. The audit log also " +
  "records refused requests that would have changed something.\n\n" +
  "A client of the socket with all rights can do with GPIO lines what the " +
  "service can: take any line of any chip that the service can open, create " +
  "kernel chips and give their device nodes to any user, make the service " +
  "connect to the qtest and QMP sockets of QEMUs that it can reach (which " +
  "drives the pins of that machine and gives no access to it) and create " +
  "control sockets beside them, and remove what other clients created. There " +
  "are no finer rights: owner, group and mode of the socket file decide, and " +
  "the audit log records who did what.";

const COLLECTION = {
  get: {
    operationId: "list",
    summary: "List aggregators",
    responses: {
      "200": answer("List of aggregators", ANSWERS.aggregators.json),
    },
  },
  post: {
    operationId: "create",
    summary: "Create an aggregator",
    description: 'With the lease "stream" the response is newline-delimited ' +
      "JSON that stays open; the aggregator lives while the client keeps it " +
      'open. Its first line is {"aggregator": Aggregator}; {"ended": REASON} ' +
      "follows when something other than the client ends the aggregator. " +
      "Closing the connection, or only its writing half, gives the lease up. " +
      "The response contains what the user of the aggregator needs: the path " +
      "of a socket, a device node, or QEMU's qtest socket. The removal of a " +
      "kernel chip by another process ends the lease too.",
    requestBody: {
      required: true,
      content: json(reference("CreateRequest")),
    },
    responses: {
      "201": {
        description: 'The aggregator is served. With the lease "stream" the ' +
          'content is application/x-ndjson and stays open, with "none" it is ' +
          "application/json",
        content: {
          ...json(reference("Aggregator")),
          "application/x-ndjson": { schema: reference("LeaseMessage") },
        },
      },
      ...INVALID_BODY,
      ...LOOK_ONLY,
      "409": refusal(
        "The name or a socket is in use, or a line cannot be requested",
      ),
      ...ENDING,
    },
  },
};

const ONE = {
  parameters: [NAME_PARAMETER],
  get: {
    operationId: "show",
    summary: "Show one aggregator",
    responses: {
      "200": answer("The aggregator", reference("Aggregator")),
      ...NOT_THERE,
    },
  },
  patch: {
    operationId: "changeRules",
    summary: "Change rules of lines under a running guest",
    description: "Of aggregators that a client made. An event tells of the " +
      "change, and a restart of the service keeps it. Rules of the service's " +
      "own aggregators are those of its configuration.",
    requestBody: { required: true, content: json(RULES_REQUEST.json) },
    responses: {
      "200": answer("The aggregator after the change", reference("Aggregator")),
      ...INVALID_BODY,
      ...LOOK_ONLY,
      ...NOT_THERE,
      "409": refusal(
        "No such line, the service's configuration made the aggregator, or " +
          "the change is not possible under a guest",
      ),
      ...ENDING,
    },
  },
  delete: {
    operationId: "remove",
    summary: "Remove an aggregator of any creator",
    parameters: [
      parameter(
        "force",
        "1 to remove one of the service's own configuration too, which returns " +
          "with the next start",
        { enum: ["0", "1"] },
      ),
    ],
    responses: {
      "204": {
        description: "Its guest is disconnected, its lines are in their " +
          "declared state and released, its socket or kernel chip is removed",
      },
      ...LOOK_ONLY,
      ...NOT_THERE,
      "409": refusal(
        "It is of the service's own configuration, and force is not 1",
      ),
      ...ENDING,
      "504": refusal(
        "A line is not in its declared state after 5 s: the aggregator has no " +
          "guest any more, is retried, and is removed as soon as that " +
          "succeeds. Or it is removed, and a slow chip has not released its " +
          "lines in time. The message names the line",
      ),
    },
  },
};

const LEASE = {
  parameters: [NAME_PARAMETER],
  post: {
    operationId: "resumeLease",
    summary: "Take a lease back after a restart of the service",
    description: "A restart ends all connections. A client whose lease began " +
      "with a token has 10 s from the start of the next process to take the " +
      "lease back, which goes on in the response as it began in that of its " +
      "creation. After that the aggregator ends. The token is valid for the " +
      "user that made the aggregator only, and does not change.",
    requestBody: { required: true, content: json(LEASE_REQUEST.json) },
    responses: {
      "200": {
        description: "The lease goes on",
        content: {
          "application/x-ndjson": { schema: reference("LeaseMessage") },
        },
      },
      ...INVALID_BODY,
      "403": refusal(
        "The token is not that of this lease, its user is another one, or this " +
          "socket is for reading only",
      ),
      ...NOT_THERE,
      "409": refusal("The lease has its client, or is over"),
      ...ENDING,
    },
  },
};

const LINES = {
  parameters: [NAME_PARAMETER],
  get: {
    operationId: "readLines",
    summary: "Read all lines",
    responses: {
      "200": answer("List of lines", ANSWERS.lines.json),
      ...NOT_THERE,
    },
  },
  patch: {
    operationId: "pullLines",
    summary: "Set the levels of simulated lines from outside",
    requestBody: { required: true, content: json(PULL_REQUEST.json) },
    responses: {
      "200": answer("The aggregator after the change", reference("Aggregator")),
      ...INVALID_BODY,
      ...LOOK_ONLY,
      ...NOT_THERE,
      "409": refusal("No such line, or the line is not simulated"),
    },
  },
};

const PLAY_STATE = {
  "200": answer("State of the play", reference("Play")),
  ...NOT_THERE,
};

const PLAY = {
  parameters: [NAME_PARAMETER],
  post: {
    operationId: "play",
    summary: "Play values into simulated lines at given times",
    description: "Steps wait in the service, at most 65536 of an aggregator, " +
      "until a timer of the kernel tells their time. A client sends the next " +
      "ones while the former are played.",
    requestBody: { required: true, content: json(PLAY_REQUEST.json) },
    responses: {
      ...PLAY_STATE,
      ...INVALID_BODY,
      ...LOOK_ONLY,
      "409": refusal(
        "No such line, a line is not simulated, another play is under way, or " +
          "too many steps wait",
      ),
    },
  },
  get: {
    operationId: "readPlay",
    summary: "Read the state of the last play",
    responses: PLAY_STATE,
  },
  delete: {
    operationId: "cancelPlay",
    summary: "Cancel the steps that wait",
    responses: { ...PLAY_STATE, ...LOOK_ONLY },
  },
};

const FORCE = {
  parameters: [NAME_PARAMETER],
  post: {
    operationId: "force",
    summary: "Hold lines at values for a time",
    description: "An output is driven, whatever its guest asks for, and goes " +
      "back to what the guest asked for last; of an input, the guest sees the " +
      "value. All lines are forced, or none. Interlocks, min-interval and safe " +
      "states are not overridden: such a force is refused, and one that stands " +
      'ends. With the lease "stream" the response is newline-delimited JSON ' +
      "that stays open, as that of a creation, and the force ends with it.",
    requestBody: { required: true, content: json(FORCE_REQUEST.json) },
    responses: {
      "201": {
        description: 'The lines are forced. With the lease "stream" the ' +
          'content is application/x-ndjson and stays open, with "none" it is ' +
          "application/json",
        content: {
          ...json(reference("Aggregator")),
          "application/x-ndjson": { schema: reference("LeaseMessage") },
        },
      },
      ...INVALID_BODY,
      ...LOOK_ONLY,
      ...NOT_THERE,
      "409": refusal("No such line, or it cannot be forced, with the reason"),
    },
  },
  delete: {
    operationId: "endForce",
    summary: "End forces, of whatever operator",
    parameters: [{
      name: "line",
      in: "query",
      required: false,
      description: "Name or number of a line; repeatable. Default: all",
      schema: { type: "array", items: text },
    }],
    responses: {
      "200": answer("The aggregator after the end", reference("Aggregator")),
      "400": refusal("Invalid query"),
      ...LOOK_ONLY,
      ...NOT_THERE,
      "409": refusal("No such line"),
    },
  },
};

const ALL_LINES = {
  get: {
    operationId: "readAllLines",
    summary: "Read the lines of all aggregators",
    responses: { "200": answer("List of lines", ANSWERS.allLines.json) },
  },
};

const CHOSEN_LINES = parameter(
  "lines",
  "Aggregators and lines that are wanted, separated by commas: " +
    "press,crane.READY. A line is named by its name or number. Default: all",
);
const NOTHING_RECORDED = { "409": refusal("The service records no edges") };

const HISTORY = {
  get: {
    operationId: "history",
    summary: "Read edges of the past",
    description:
      "Edges are kept in memory, the newest of each process: of the " +
      "service, and of each isolated aggregator. Outputs are always recorded, " +
      "inputs while a guest or a client watches them, or if the service is set " +
      "so. What is older comes out of the file of edges, if the service writes " +
      "one. The answer is as fast as the client reads; one that reads nothing " +
      "for 30 s is disconnected.",
    parameters: [
      parameter(
        "from",
        "Begin: nanoseconds since 1970, a date and time, or -10m for ten " +
          "minutes ago. Default: all that is kept",
      ),
      parameter("to", "End, written in the same way. Default: now"),
      CHOSEN_LINES,
      parameter("limit", "Most edges. Default: 10000 in JSON, otherwise all", {
        type: "integer",
        minimum: 1,
        maximum: 1_000_000,
      }),
      parameter("format", "Overrides the header Accept. Default: json", {
        enum: ["json", "csv", "vcd"],
      }),
    ],
    responses: {
      "200": {
        description: "Edges by time",
        content: {
          ...json(reference("History")),
          "text/csv": { schema: text },
          "application/x-vcd": { schema: text },
        },
      },
      "400": refusal("Invalid query"),
      "404": refusal("A line is not in the record"),
      ...NOTHING_RECORDED,
    },
  },
};

const EVENTS = {
  get: {
    operationId: "watch",
    summary: "Watch events as server-sent events",
    description: "The first event is a snapshot. Changes of lines are " +
      "collected for 20 ms. A client that does not read loses events, receives " +
      "their number, and is disconnected after a minute. Edges come out of the " +
      "record: a client that reads slowly gets all of them as long as they are " +
      "kept. A comment follows every 15 s.",
    parameters: [
      parameter("aggregator", "Only events of this aggregator"),
      parameter("edges", "1 for each edge, as edges events", {
        enum: ["0", "1"],
      }),
      parameter(
        "lines",
        "With edges=1: aggregators and lines whose edges are wanted, as in " +
          "/v1/history",
      ),
      parameter(
        "Last-Event-ID",
        "Id of the last event of an earlier stream: what was missed since " +
          "comes before the snapshot, if it is kept",
        text,
        "header",
      ),
    ],
    responses: {
      "200": {
        description: "Events until one side ends the stream",
        content: { "text/event-stream": { schema: reference("Event") } },
      },
      "400": refusal("Invalid query"),
      ...NOTHING_RECORDED,
    },
  },
};

const RELOAD = {
  post: {
    operationId: "reload",
    summary: "Read the configuration file again",
    description: "Changes that are possible without a restart of running " +
      "guests are made, others are refused with the reason. An invalid file " +
      "changes nothing.",
    responses: {
      "200": answer("Changes that were made and refused", reference("Reload")),
      "400": refusal("Invalid file; nothing was changed"),
      ...LOOK_ONLY,
      "409": refusal("The service has no configuration file"),
    },
  },
};

const HEALTH = {
  get: {
    operationId: "health",
    summary: "Check that every rule of every line holds",
    responses: {
      "200": answer("All rules hold", reference("Health")),
      "503": answer(
        "Rules could not be applied, and are retried",
        reference("Health"),
      ),
    },
  },
};

const METRICS = {
  get: {
    operationId: "metrics",
    summary: "Counters in Prometheus' text format",
    responses: {
      "200": {
        description: "Counters",
        content: { "text/plain": { schema: text } },
      },
    },
  },
};

const DOCUMENT = {
  get: {
    operationId: "describe",
    summary: "This document",
    responses: { "200": answer("This document", { type: "object" }) },
  },
};

/** Returns the document as plain data. */
export function openApi(): unknown {
  const paths: Record<string, Readonly<Record<string, object>>> = {
    "/v1/aggregators": COLLECTION,
    "/v1/aggregators/{name}": ONE,
    "/v1/aggregators/{name}/lease": LEASE,
    "/v1/aggregators/{name}/lines": LINES,
    "/v1/aggregators/{name}/play": PLAY,
    "/v1/aggregators/{name}/force": FORCE,
    "/v1/lines": ALL_LINES,
    "/v1/history": HISTORY,
    "/v1/events": EVENTS,
    "/v1/reload": RELOAD,
    "/healthz": HEALTH,
    "/metrics": METRICS,
    "/openapi.json": DOCUMENT,
  };
  return {
    openapi: "3.1.0",
    info: {
      title: "gpioagg control API",
      version: "1",
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "http://gpioagg", description: "Over the Unix socket" }],
    security: [],
    paths: Object.fromEntries(
      Object.entries(paths).map(([path, one]) => [path, withQueryRefusal(one)]),
    ),
    components: {
      schemas: Object.fromEntries(
        Object.entries(MESSAGES).map(([name, { json }]) => [name, json]),
      ),
    },
  };
}
