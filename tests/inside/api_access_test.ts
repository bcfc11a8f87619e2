import { inside } from "./inside.ts";

await inside(() => import("../process/api_access_test.ts"));
