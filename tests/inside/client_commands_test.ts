import { inside } from "./inside.ts";

await inside(() => import("../process/client_commands_test.ts"), [
  // A working directory of its own.
  "clients are told of whole paths, also where the service was not",
  // An output that a shell opens.
  "every text of help that a disk has no room for is told, in one line",
  // A process that is stopped.
  "create ends within its limit, though its service stands still",
]);
