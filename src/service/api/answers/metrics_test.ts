import { assert, assertEquals } from "@std/assert";
import { rounds } from "../../../../tests/environment/rounds.ts";
import { atOnce } from "../../../reactor/pieces.ts";
import {
  EVENT_STRIDE,
  EventCount,
  GpioCounters,
} from "../../../virtio/gpio/counters.ts";
import { MessageType } from "../../../virtio/gpio/protocol.ts";
import { RequestTimes } from "../../../virtio/gpio/request_times.ts";
import { encodeMetrics } from "./metrics.ts";
import type { AggregatorCounts, GuestCounts } from "../../messages/messages.ts";

const SERVICE = {
  eventListeners: 2,
  eventsMissed: 7,
  residentBytes: 1000,
  startedAt: 1_800_000_000.5,
  version: "1.2.3",
};

function metricsText(aggregators: readonly AggregatorCounts[]): string {
  return new TextDecoder().decode(
    atOnce(encodeMetrics(aggregators, SERVICE)),
  );
}

/** The samples of a page, without those of the service and of lines as they are. */
function samples(...aggregators: AggregatorCounts[]): string[] {
  return metricsText(aggregators).trimEnd().split("\n").filter((
    line,
  ) => line.includes("aggregator=") && !line.startsWith("gpioagg_line_"));
}

const COUNTS = {
  isOutput: false,
  isPresent: true,
  refusals: 0,
  isRulePending: false,
  ruleFailures: 0,
  lostEdges: 0,
  mergedEdges: 0,
};

function served(guests: Partial<GuestCounts>): AggregatorCounts {
  const line = COUNTS;
  return {
    name: "plc",
    connected: true,
    servedSince: 1500,
    uptimeMs: 60_000,
    guests: {
      connections: 0,
      respawns: 0,
      faults: 0,
      eventsLeftOut: {},
      lines: [{ ...line, name: "LAMP" }, { ...line, name: "IN" }],
      exposure: { requests: new GpioCounters(2).requests },
      ...guests,
    },
  };
}

/** Series of every aggregator that serves guests. */
const ALWAYS = [
  'gpioagg_aggregator_connected{aggregator="plc"} 1',
  'gpioagg_aggregator_uptime_seconds{aggregator="plc"} 60',
  'gpioagg_connections_total{aggregator="plc"} 0',
  'gpioagg_respawns_total{aggregator="plc"} 0',
  'gpioagg_faults_total{aggregator="plc"} 0',
];

Deno.test("encodeMetrics() has help and type of every metric, and those of the service", () => {
  const lines = metricsText([]).trimEnd().split("\n");
  const helped = lines.filter((line) => line.startsWith("# HELP"));
  const typed = lines.filter((line) => line.startsWith("# TYPE"));
  assertEquals(helped.length, typed.length);
  assertEquals(lines.filter((line) => !line.startsWith("#")), [
    `gpioagg_build_info{version="1.2.3",deno="${Deno.version.deno}"} 1`,
    "gpioagg_aggregators 0",
    "gpioagg_event_listeners 2",
    "gpioagg_event_listeners_missed_total 7",
    "process_resident_memory_bytes 1000",
    "process_start_time_seconds 1800000000.5",
  ]);
});

Deno.test("encodeMetrics() tells of a kernel chip whether it is there, and nothing that is not known", () => {
  const chip = {
    name: "chip",
    connected: false,
    servedSince: Date.now() + 1e9,
    uptimeMs: 61_500,
  };
  assertEquals(samples({ ...chip, isChipPresent: false, lostChips: 1 }), [
    'gpioagg_aggregator_connected{aggregator="chip"} 0',
    'gpioagg_aggregator_uptime_seconds{aggregator="chip"} 61.5',
    'gpioagg_kernel_chip_present{aggregator="chip"} 0',
    'gpioagg_kernel_chip_lost_chips{aggregator="chip"} 1',
  ]);
});

Deno.test("encodeMetrics() shows lines as they are", () => {
  const lines = [
    {
      ...COUNTS,
      name: "LAMP",
      isOutput: true,
      value: 1,
      edges: [9, 0, 5, 2, 1, 0],
      activeSeconds: 12.25,
    },
    { ...COUNTS, name: "IN", isPresent: false },
  ];
  const shown = metricsText([served({ lines })]).split("\n").filter((line) =>
    line.startsWith("gpioagg_line_")
  );
  const lamp = 'aggregator="plc",line="0",name="LAMP"';
  const input = 'aggregator="plc",line="1",name="IN"';
  assertEquals(shown, [
    `gpioagg_line_value{${lamp}} 1`,
    `gpioagg_line_output{${lamp}} 1`,
    `gpioagg_line_output{${input}} 0`,
    `gpioagg_line_present{${lamp}} 1`,
    `gpioagg_line_present{${input}} 0`,
    `gpioagg_line_edges_total{${lamp},cause="world"} 0`,
    `gpioagg_line_edges_total{${lamp},cause="guest"} 5`,
    `gpioagg_line_edges_total{${lamp},cause="rule"} 2`,
    `gpioagg_line_edges_total{${lamp},cause="operator"} 1`,
    `gpioagg_line_edges_total{${lamp},cause="follow"} 0`,
    ...["world", "guest", "rule", "operator", "follow"].map((cause) =>
      `gpioagg_line_edges_total{${input},cause="${cause}"} 0`
    ),
    `gpioagg_line_active_seconds_total{${lamp}} 12.25`,
  ]);
});

Deno.test("encodeMetrics() shows what a virtio-gpio device counted", () => {
  const counters = new GpioCounters(2);
  const times = new RequestTimes(2, () => 0);
  for (let i = 0; i < 3; i++) {
    counters.countRequest(0, MessageType.SetValue, i > 0);
    times.book(0, -100_000);
  }
  counters.countUnattributed(MessageType.GetLineNames, true);
  counters.events[EVENT_STRIDE + EventCount.Coalesced] = 4;
  counters.refusedChains[1] = 5;
  const { requests, unattributed, events, refusedChains } = counters;
  const shown = samples(served({
    eventsLeftOut: { refused: 8 },
    exposure: {
      requests,
      durations: times,
      device: { unattributed, events, refusedChains },
    },
  }));
  const lamp = 'aggregator="plc",line="0",name="LAMP"';
  const name = "gpioagg_request_duration_seconds";
  const buckets = shown.filter((line) => line.startsWith(`${name}_bucket`));
  assertEquals(buckets.at(0), `${name}_bucket{${lamp},le="0.000001"} 0`);
  assertEquals(buckets.slice(-2), [
    `${name}_bucket{${lamp},le="1"} 0`,
    `${name}_bucket{${lamp},le="+Inf"} 3`,
  ]);
  assertEquals(shown.filter((line) => !buckets.includes(line)), [
    ...ALWAYS,
    'gpioagg_events_left_out_total{aggregator="plc",event="refused"} 8',
    'gpioagg_refused_chains_total{aggregator="plc",queue="request"} 0',
    'gpioagg_refused_chains_total{aggregator="plc",queue="event"} 5',
    `gpioagg_requests_total{${lamp},kind="set_value",result="ok"} 2`,
    `gpioagg_requests_total{${lamp},kind="set_value",result="error"} 1`,
    'gpioagg_requests_of_no_line_total{aggregator="plc",kind="get_line_names",result="ok"} 1',
    `${name}_sum{${lamp}} 300`,
    `${name}_count{${lamp}} 3`,
    'gpioagg_interrupts_total{aggregator="plc",line="1",name="IN",outcome="coalesced"} 4',
  ]);
});

Deno.test("encodeMetrics() shows what pins inside QEMU counted, and changes that were lost", () => {
  const pins = {
    resets: 1,
    reports: 20,
    levels: Float64Array.of(0, 9),
    lostLevels: Float64Array.of(0, 2),
    lostRequests: Float64Array.of(3, 0),
  };
  const guests = served({}).guests!;
  assertEquals(
    samples(served({
      lines: [
        { ...guests.lines[0]!, refusals: 6 },
        { ...guests.lines[1]!, lostEdges: 4, mergedEdges: 5 },
      ],
      exposure: { ...guests.exposure, pins },
    })),
    [
      ...ALWAYS,
      'gpioagg_refusals_total{aggregator="plc",line="0",name="LAMP"} 6',
      'gpioagg_pin_levels_total{aggregator="plc",line="1",name="IN"} 9',
      'gpioagg_pin_reports_total{aggregator="plc"} 20',
      'gpioagg_pin_resets_total{aggregator="plc"} 1',
      'gpioagg_lost_changes_total{aggregator="plc",line="1",name="IN",where="kernel"} 4',
      'gpioagg_lost_changes_total{aggregator="plc",line="1",name="IN",where="lane"} 5',
      'gpioagg_lost_changes_total{aggregator="plc",line="1",name="IN",where="to_pin"} 2',
      'gpioagg_lost_changes_total{aggregator="plc",line="0",name="LAMP",where="from_pin"} 3',
    ],
  );
});

Deno.test("encodeMetrics() shows what USB adapters refused, and changes that were lost", () => {
  const usb = { invalid: 3, overflows: 0, lostEdges: Float64Array.of(0, 8) };
  const { exposure } = served({}).guests!;
  assertEquals(samples(served({ exposure: { ...exposure, usb } })), [
    ...ALWAYS,
    'gpioagg_usb_refused_transfers_total{aggregator="plc",reason="invalid"} 3',
    'gpioagg_usb_refused_transfers_total{aggregator="plc",reason="no_room"} 0',
    'gpioagg_lost_changes_total{aggregator="plc",line="1",name="IN",where="to_usb"} 8',
  ]);
});

Deno.test("encodeMetrics() tells rules that do not hold, and those that failed before", () => {
  const page = samples(served({
    lines: [
      { ...COUNTS, name: "LAMP", isRulePending: true, ruleFailures: 3 },
      { ...COUNTS, name: "FAN", ruleFailures: 2 },
      { ...COUNTS, name: "IN" },
    ],
    exposure: { requests: new GpioCounters(3).requests },
  }));
  assertEquals(page.filter((line) => line.includes("_rule_")), [
    'gpioagg_rule_pending{aggregator="plc",line="0",name="LAMP"} 1',
    'gpioagg_rule_pending{aggregator="plc",line="1",name="FAN"} 0',
    'gpioagg_rule_failures_total{aggregator="plc",line="0",name="LAMP"} 3',
    'gpioagg_rule_failures_total{aggregator="plc",line="1",name="FAN"} 2',
  ]);
});

Deno.test("encodeMetrics() writes a limited number of lines at a time", () => {
  const size = rounds(999, 333);
  const requests = new GpioCounters(size).requests.fill(1);
  const lines = Array.from({ length: size }, (_, i) => ({
    ...COUNTS,
    name: `L${i}`,
  }));
  let read = 0;
  // Each look at a line's counter is work of one piece.
  const counted = lines.map((line) => ({
    ...line,
    get refusals() {
      read++;
      return 1;
    },
  }));
  const all = Array.from(
    { length: 3 },
    () => served({ lines: counted, exposure: { requests } }),
  );
  const work = encodeMetrics(all, SERVICE);
  let most = 0;
  for (let end = false; !end;) {
    read = 0;
    end = work.next().done === true;
    most = Math.max(most, read);
  }
  assert(most > 0 && most <= 64, `${most} lines in one piece`);
});
