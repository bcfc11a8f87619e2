/**
 * Signals of this isolate alone: the listeners of a process are those of all
 * isolates, and a signal would be for all of them.
 *
 * @module
 */

/** Signals that a test raises. */
export interface RaisedSignals extends Disposable {
  /** Calls the listeners of a signal; returns how many there are. */
  raise(signal: Deno.Signal): number;
}

/** Plays `Deno.addSignalListener` until disposed. */
export function playSignals(): RaisedSignals {
  const { addSignalListener, removeSignalListener } = Deno;
  const listeners = new Map<Deno.Signal, Set<() => void>>();
  Object.assign(Deno, {
    addSignalListener: (signal: Deno.Signal, listener: () => void) => {
      const all = listeners.get(signal) ?? new Set();
      listeners.set(signal, all.add(listener));
    },
    removeSignalListener: (signal: Deno.Signal, listener: () => void) =>
      void listeners.get(signal)?.delete(listener),
  });
  return {
    raise: (signal) => {
      const all = [...listeners.get(signal) ?? []];
      for (const listener of all) listener();
      return all.length;
    },
    [Symbol.dispose]: () =>
      void Object.assign(Deno, { addSignalListener, removeSignalListener }),
  };
}
