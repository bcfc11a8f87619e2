/**
 * Parts that all exposures of aggregators to guests have in common.
 *
 * @module
 */
import {
  type FdStore,
  sessionFdName,
} from "../../aggregator/restart/fd_store.ts";
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type {
  AggregatorSpecification,
  FileAccess,
} from "../../config/specification.ts";
import type { SessionPart, SessionStore } from "../../peer/session_store.ts";
import type { EventLoop, TimeShare } from "../../reactor/event_loop.ts";
import type { RequestTimes } from "../../virtio/gpio/request_times.ts";
import { listenFor } from "../sockets/file_access.ts";
import type { ExposureCounts, ServiceEvent } from "../messages/messages.ts";

/**
 * Socket files are for their owner and group; the directory decides the rest.
 */
export const SOCKET_MODE = 0o660;

/** Events of an exposure. */
interface ExposureEvents {
  /** Something happened. */
  report(event: ServiceEvent["event"], detail?: string): void;
  /** The given connection has ended: no other can be made. */
  over(): void;
}

/** An aggregator as guests see it. Disposing ends its use by guests. */
export interface Exposure extends Disposable {
  /** Presentation as text: `at /run/plc0.sock`. */
  readonly presentation: string;
  /** Its vhost-user socket, if it is in the file system. */
  readonly socketPath?: string;
  /** The file beside which the control socket is made, if any. */
  readonly controlBase?: string;
  /** Owner, group and mode of its sockets. */
  readonly access: FileAccess;
  /** Takes over the settings that may change under a guest. */
  changeRules(specification: AggregatorSpecification): void;
  /** Leaves what goes on in the next process: nothing is served from now on. */
  handOver?(): void;
  /** Ends the current session; absent where that is not possible. */
  endSession?(reason: string): void;
  /** Returns counters of what guests caused. */
  count(): ExposureCounts;
}

/** Surroundings of an exposure. */
export interface ExposureContext {
  readonly aggregator: Aggregator;
  readonly loop: EventLoop;
  /** The guests' time in the loop. */
  readonly share: TimeShare;
  readonly events: ExposureEvents;
  /** True to measure the duration of requests. */
  readonly isTimed: boolean;
  /** Keeps sessions of VMMs that cannot connect again. */
  readonly store: FdStore | undefined;
}

/** Durations of requests, if they are measured. */
export type Times = RequestTimes | undefined;

/** Makes a socket that is closed and removed with `resources`. */
export function listenAt(
  socketPath: string,
  access: FileAccess,
  resources: DisposableStack,
) {
  const { listener } = resources.use(
    listenFor(socketPath, access, SOCKET_MODE),
  );
  return { listener, socketPath, access };
}

/** Returns the store of what one aggregator's session has. */
export function sessionStore(
  store: FdStore | undefined,
  aggregator: string,
): SessionStore | undefined {
  if (store === undefined) return undefined;
  const fdName = (part: SessionPart) => sessionFdName(aggregator, part);
  return {
    take: (part) => store.take(fdName(part)),
    keep: (part, fd) => store.keep(fdName(part), fd),
    drop: (part) => store.drop(fdName(part)),
    report: (problem) => store.report(problem),
  };
}

/** Returns the durations of requests as they are counted. */
export function readDurations(
  times: Times,
): Pick<ExposureCounts, "durations"> {
  if (times === undefined) return {};
  const { buckets, sums } = times;
  return { durations: { buckets, sums } };
}
