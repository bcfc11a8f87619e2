/**
 * Uncaught errors.
 *
 * @module
 */
import { printableError } from "../text/printable.ts";

/**
 * Reports errors that were not caught in this isolate: guests are served on.
 *
 * **Ownership**: the caller's, to end it.
 */
export function reportUnexpected(
  report: (text: string) => void,
): DisposableStack {
  const stack = new DisposableStack();
  const reportOn = (kind: "error" | "unhandledrejection") => {
    const listener = (event: ErrorEvent | PromiseRejectionEvent) => {
      event.preventDefault();
      const thrown = "reason" in event ? event.reason : event.error;
      report(`internal error: ${printableError(thrown)}`);
    };
    const target: EventTarget = globalThis;
    target.addEventListener(kind, listener as EventListener);
    stack.defer(() =>
      target.removeEventListener(kind, listener as EventListener)
    );
  };
  reportOn("error");
  reportOn("unhandledrejection");
  return stack;
}
