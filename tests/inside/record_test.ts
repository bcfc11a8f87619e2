import { inside } from "./inside.ts";

await inside(() => import("../process/record_test.ts"), [
  // Programs of others.
  "sigrok and GTKWave's tools read a record of several aggregators",
]);
