/**
 * Sockets as services tell of them, before they are handed on to others with
 * more rights than a service has.
 *
 * @module
 */
import { fileStatus } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import {
  splitPath,
  untrustedDirectories,
  UntrustedPathError,
  writableByOthers,
} from "../../ffi/trusted_path.ts";
import { connectUnix, peerCredentials } from "../../ffi/unix_socket.ts";
import type { AggregatorState } from "../client/protocol.ts";

/** The service manager, which may listen for services. */
const MANAGER_PID = 1;
const HINT = "--trust-services includes it";

/** An aggregator as its service describes it. */
export interface ReportedAggregator {
  readonly state: AggregatorState;
  /** User of the service; undefined if that is not known. */
  readonly user: number | undefined;
}

/**
 * Returns the user of the service that listens at a socket; undefined if the
 * service manager does that for it, or there is none.
 */
export function serviceUser(path: string): number | undefined {
  try {
    using socket = connectUnix(path, { wait: false });
    const { pid, uid } = peerCredentials(socket.fd);
    return pid === MANAGER_PID ? undefined : uid;
  } catch (error) {
    // The next query reports why.
    if (!isOsError(error)) throw error;
    return undefined;
  }
}

/**
 * Returns why a file is not a socket, or, of a service that is not trusted, why
 * it may be another file later; undefined if neither is so.
 *
 * @param service Absent for a service that is trusted.
 */
export function socketProblem(
  path: string,
  service?: Pick<ReportedAggregator, "user">,
): string | undefined {
  try {
    const status = fileStatus(path, { followLinks: false });
    if (status !== undefined && status.kind !== "socket") {
      return `${path} is a ${status.kind}, not a socket`;
    }
    if (service === undefined || !path.startsWith("/")) return undefined;
    if (status === undefined) return `${path} is not there; ${HINT}`;
    return ownerProblem(path, status.uid, service) ?? wayProblem(path, service);
  } catch (error) {
    if (!isOsError(error)) throw error;
    // In a directory that this user may not search.
    return service && `${path} cannot be looked at (${error.code}); ${HINT}`;
  }
}

/** A service could tell of a socket that is not its own. */
function ownerProblem(
  path: string,
  owner: number,
  { user }: Pick<ReportedAggregator, "user">,
): string | undefined {
  // Root and this user itself can be trusted.
  if (user === owner || user === 0 || user === effectiveUserId()) {
    return undefined;
  }
  const service = user === undefined
    ? "whose user is not known"
    : `which is user ${user}`;
  return `${path} belongs to user ${owner}, not to its service, ${service}; ` +
    HINT;
}

/** Another user could exchange the socket. */
function wayProblem(
  path: string,
  { user }: Pick<ReportedAggregator, "user">,
): string | undefined {
  const { directory } = splitPath(path);
  let [first] = foreignDirectories(path);
  if (first === undefined && user !== 0 && user !== effectiveUserId()) {
    // Where all may add files, each may exchange its own.
    const status = fileStatus(directory);
    const reason = status && writableByOthers(status, { isStickySafe: false });
    if (reason !== undefined) first = { path: directory, reason };
  }
  if (first === undefined) return undefined;
  return `others can write to the directory ${first.path} (${first.reason}), ` +
    `and exchange ${path} for another file before it is mounted; ${HINT}`;
}

function foreignDirectories(path: string): { path: string; reason: string }[] {
  try {
    return untrustedDirectories(path);
  } catch (error) {
    if (!(error instanceof UntrustedPathError)) throw error;
    return [{ path: splitPath(path).directory, reason: error.message }];
  }
}
