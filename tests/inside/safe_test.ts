import { inside } from "./inside.ts";

await inside(() => import("../uml_host/safe_test.ts"));
