import { inside } from "./inside.ts";

await inside(() => import("../process/exposures_test.ts"));
