import { inside } from "./inside.ts";

await inside(() => import("../process/record_test.ts"));
