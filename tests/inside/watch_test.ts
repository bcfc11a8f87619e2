import { inside } from "./inside.ts";

await inside(() => import("../uml_host/watch_test.ts"));
