import { inside } from "./inside.ts";

await inside(() => import("../process/client_commands_test.ts"), [
  // A working directory of its own.
  "clients are told of whole paths, also where the service was not",
  // A process that is stopped.
  "create ends within its limit, though its service stands still",
]);
