/**
 * A loop whose kernel has no room for one more descriptor to watch.
 *
 * @module
 */
import { OsError } from "../../ffi/os_error.ts";
import type { TimeShare } from "../../src/reactor/event_loop.ts";
import type { Reactor } from "../../src/reactor/reactor.ts";

const ENOSPC = 28;

/**
 * Lets one watch fail: the `nth` of the share whose connection is the first to
 * be watched from now on. All others succeed.
 */
export function refuseWatch(loop: Reactor, nth = 1): void {
  const watch = loop.watch.bind(loop);
  let count = 0;
  let first: TimeShare | undefined;
  loop.watch = (fd, events, onReady, share) => {
    first ??= share;
    if (share !== undefined && share === first && ++count === nth) {
      throw new OsError("epoll_ctl", ENOSPC, `fd ${fd}`);
    }
    return watch(fd, events, onReady, share);
  };
}
