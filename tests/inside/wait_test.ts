import { inside } from "./inside.ts";

await inside(() => import("../process/wait_test.ts"));
