import { inside } from "./inside.ts";

await inside(() => import("../process/config_settings_test.ts"));
