import { inside } from "./inside.ts";

await inside(() => import("../process/api_access_test.ts"), [
  // Processes of other users.
  "sockets belong to whom they are set to, and the caller is known",
  // Seconds each, for lines that other tests cover.
  "another user may look where the mode lets him, and change nothing",
]);
