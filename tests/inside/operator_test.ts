import { inside } from "./inside.ts";

await inside(() => import("../process/operator_test.ts"));
