import { assertEquals } from "@std/assert";
import { readMetrics } from "./metrics.js";

Deno.test("counters of the service are summed, those of aggregators kept apart", () => {
  const { sums, aggregators } = readMetrics(`# HELP gpioagg_requests_total x
gpioagg_build_info{version="0.1.0",deno="2.9.6"} 1
gpioagg_requests_total{aggregator="press",line="0",kind="get_value",result="ok"} 5
gpioagg_requests_total{aggregator="press",line="1",kind="set_value",result="error"} 2
gpioagg_interrupts_total{aggregator="crane",line="0",outcome="delivered"} 3
gpioagg_respawns_total{aggregator="press"} 1
gpioagg_faults_total{aggregator="crane"} 4
gpioagg_refusals_total{aggregator="press",line="1",name="aggregator=\\"x"} 2
gpioagg_refusals_total{aggregator="press",line="2"} 1
`);
  assertEquals(sums, {
    requests: 7,
    errors: 2,
    interrupts: 3,
    "changes lost": 0,
  });
  assertEquals(Object.fromEntries(aggregators), {
    press: { respawns: 1, faults: 0, refusals: 3 },
    crane: { respawns: 0, faults: 4, refusals: 0 },
  });
});
