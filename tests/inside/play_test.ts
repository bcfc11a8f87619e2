import { inside } from "./inside.ts";

await inside(() => import("../process/play_test.ts"));
