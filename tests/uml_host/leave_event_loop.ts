/**
 * Waits for edges that never come and leaves, in both ways there are: then the
 * program must end by itself.
 *
 * @module
 */
import { type LineSelection, openChip } from "../../mod.ts";

using chip = openChip(Deno.args[0]!);
const lines: LineSelection[] = [
  { offset: 0, settings: { direction: "input", edge: "both" } },
];

const disposed = chip.requestLines({ lines });
const first = disposed.edgeEvents().next();
setTimeout(() => disposed.close(), 10);
console.log("disposed", (await first).done);

const request = chip.requestLines({ lines });
const stream = request.edgeEvents();
const second = stream.next();
setTimeout(() => stream.return(), 10);
console.log("returned", (await second).done);
