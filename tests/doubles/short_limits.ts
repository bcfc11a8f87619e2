/**
 * Preloaded by a program under test: its limits of 30 s, such as that of the start
 * of an isolated aggregator's process, are of 2 s.
 *
 * @module
 */
const LIMIT_MS = 30_000;
const SHORT_MS = 2000;

const { setTimeout: realTimeout } = globalThis;

globalThis.setTimeout = ((
  done: (...args: unknown[]) => void,
  ms?: number,
  ...args: unknown[]
) =>
  realTimeout(
    done,
    ms === LIMIT_MS ? SHORT_MS : ms,
    ...args,
  )) as typeof setTimeout;
