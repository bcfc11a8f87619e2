import { inside } from "./inside.ts";

await inside(() => import("../uml_host/replug_test.ts"));
