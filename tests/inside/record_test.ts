import { inside } from "./inside.ts";

await inside(() => import("../process/record_test.ts"), [
  // A program of others.
  "sigrok reads a record of several aggregators",
]);
