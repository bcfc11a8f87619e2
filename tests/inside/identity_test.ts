import { inside } from "./inside.ts";

await inside(() => import("../uml_host/identity_test.ts"));
