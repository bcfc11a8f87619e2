import { inside } from "./inside.ts";

await inside(() => import("../uml_host/gpio_request_test.ts"));
