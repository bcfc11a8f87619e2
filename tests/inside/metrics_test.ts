import { inside } from "./inside.ts";

await inside(() => import("../process/metrics_test.ts"));
