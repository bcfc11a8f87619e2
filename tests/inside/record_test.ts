import { inside } from "./inside.ts";

await inside(() => import("../process/record_test.ts"), [
  // Programs of others.
  "sigrok and GTKWave's tools read a record of several aggregators",
  // Seconds each, for lines that other tests cover.
  "a record of a play is the file that was played",
  "a record that cannot be written or goes on without a service fails",
]);
