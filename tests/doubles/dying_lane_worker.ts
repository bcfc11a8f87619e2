/**
 * A lane's Worker that dies of an exception outside of any line's handler each
 * time that the file `flag` of its URL appears.
 *
 * @module
 */
import { Reactor } from "../../src/reactor/reactor.ts";
import "../../src/service/lanes/lane_worker.ts";

const LOOK_MS = 5;
const flag = new URL(import.meta.url).searchParams.get("flag")!;
const { turn } = Reactor.prototype;

Reactor.prototype.turn = function (maxWaitMs: number): void {
  let isWanted = true;
  try {
    Deno.removeSync(flag);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    isWanted = false;
  }
  if (isWanted) throw new Error("provoked");
  turn.call(this, Math.min(maxWaitMs, LOOK_MS));
};
