/**
 * From what the user wrote to the line that is meant, and to its source.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { sharingConflict } from "../../config/checks/host_lines.ts";
import {
  linePosition,
  type LineSpecification,
  lineTitle,
} from "../../config/specification.ts";
import type { EventLoop, TimeShare } from "../../reactor/event_loop.ts";
import { ChipLine } from "./chip_line.ts";
import { ChipPresence } from "./chip_presence.ts";
import { CombinedOutput } from "../sharing/combined_output.ts";
import { ConstLine } from "./const_line.ts";
import { FollowerLine } from "../sharing/follower_line.ts";
import { LineDirectory } from "../sharing/line_directory.ts";
import type { LaneEndpoint } from "../lane/lane_line.ts";
import { type FdStore, voteFdNames } from "../restart/fd_store.ts";
import { PersistedVote } from "../restart/persisted_vote.ts";
import type { LineSource } from "../line_source.ts";
import {
  CONSUMER_PREFIX,
  findOrigin,
  isChipSource,
  type LocatedLine,
  locateIfThere,
  locator,
  prefixed,
  wantedText,
  writtenLine,
} from "./locate.ts";
import { SharedInput } from "../sharing/shared_input.ts";
import { SimLine } from "./sim_line.ts";

/** Longest consumer label of the uAPI. */
const CONSUMER_LENGTH = 31;

/** A host line that is in use. */
interface HostLine {
  /** Its chip and offset in words; undefined while its chip is away. */
  address: string | undefined;
  /** Its first user. */
  readonly specification: LineSpecification;
  /** Aggregators that use it. */
  readonly owners: Set<string>;
  /** Opens it for one more user; undefined if it has one user only. */
  openMore: OpenMore | undefined;
}

/** Opens a line that is shared for one more user. */
type OpenMore = (
  specification: LineSpecification,
  owner: string,
) => LineSource;

/** Makes line sources; knows which lines this process has taken already. */
export class SourceFactory implements Disposable {
  /** Directory for lines that follow others. */
  readonly directory = new LineDirectory();
  readonly #loop: EventLoop;
  readonly #presence: ChipPresence;
  readonly #store: FdStore | undefined;
  /** By hostLine, those that are there. */
  readonly #hostLines = new Map<string, HostLine>();
  /** Those with several users, as they are written, also while they are away. */
  readonly #wanted = new Map<string, HostLine>();
  /** Kept lines that wait until all their users have come again. */
  readonly #waiting = new Set<SharedInput | CombinedOutput>();

  /** Sources report through `loop`; `store` keeps requests across restarts. */
  constructor(loop: EventLoop, store?: FdStore) {
    this.#loop = loop;
    this.#store = store;
    this.#presence = new ChipPresence(loop);
  }

  /**
   * Takes the line that `specification` means, for the aggregator `owner`.
   *
   * @param share The owner's time, in which edges of its chip are served.
   * @throws {ConfigError} If the line is ambiguous, or taken by another SPEC.
   * @throws {Error} If the line is absent, busy or forbidden; the message
   * says where it is written.
   */
  open(
    specification: LineSpecification,
    owner: string,
    lanes: readonly LaneEndpoint[] = [],
    share?: TimeShare,
  ): LineSource {
    const { source } = specification;
    switch (source.kind) {
      case "sim":
        return new SimLine(specification, this.#loop);
      case "const":
        return new ConstLine(source.value);
      case "wire":
      case "copy":
      case "invert":
        return new FollowerLine(specification, this.directory);
      case "lane":
        return this.#openLaneLine(specification, source, owner, lanes);
      default: {
        const hostLine = hostLineText(locateIfThere(specification));
        return this.#openHostLine(
          specification,
          owner,
          hostLine,
          (host) => this.#openChipLine(specification, owner, host, share),
        );
      }
    }
  }

  /** All that an earlier process kept is taken over. */
  takenOver(): void {
    for (const line of this.#waiting) line.takenOver();
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    this.#presence[Symbol.dispose]();
  }

  #openLaneLine(
    specification: LineSpecification,
    { lane, slot, name, description, hostLine }: LaneSource,
    owner: string,
    lanes: readonly LaneEndpoint[],
  ): LineSource {
    const open = () => {
      const endpoint = lanes[lane];
      if (endpoint !== undefined) return endpoint.open(slot, name, description);
      throw new Error(`${lineTitle(specification)}: its lane has ended`);
    };
    // What a lane has alone, the lane keeps apart from other lines.
    return isShareable(specification)
      ? this.#openHostLine(specification, owner, hostLine, open)
      : open();
  }

  #openChipLine(
    specification: LineSpecification,
    owner: string,
    host: HostLine,
    share: TimeShare | undefined,
  ): ChipLine {
    const { source } = specification;
    if (!isChipSource(source)) throw new TypeError(`${source.kind} is no chip`);
    return prefixed(specification, () =>
      new ChipLine({
        locate: locator(source),
        specification,
        consumer: `${CONSUMER_PREFIX}${owner}`.slice(0, CONSUMER_LENGTH),
        loop: this.#loop,
        // Edges of a line with several users are on the account of none.
        share: isShareable(specification) ? this.#loop.share() : share,
        presence: this.#presence,
        ...(this.#store === undefined ? {} : { store: this.#store }),
        onLocated: (hostLine) => this.#move(host, hostLineText(hostLine)),
        onClosed: () => this.#move(host, undefined),
      }));
  }

  /** Opens a host line, or one more end of one that is shared. */
  #openHostLine(
    specification: LineSpecification,
    owner: string,
    hostLine: string | undefined,
    open: (host: HostLine) => LineSource,
  ): LineSource {
    const other = hostLine === undefined
      ? this.#wanted.get(writtenText(specification) ?? "")
      : this.#hostLines.get(hostLine);
    if (other !== undefined) return this.#openMore(other, specification, owner);
    const host: HostLine = {
      address: undefined,
      specification,
      owners: new Set([owner]),
      openMore: undefined,
    };
    const source = this.#shareable(host, owner, open(host), hostLine);
    if (hostLine !== undefined) this.#move(host, hostLine);
    return source;
  }

  /** The line is somewhere else now, or nowhere. */
  #move(host: HostLine, hostLine: string | undefined): void {
    if (
      host.address !== undefined && this.#hostLines.get(host.address) === host
    ) this.#hostLines.delete(host.address);
    host.address = hostLine;
    if (hostLine !== undefined) this.#hostLines.set(hostLine, host);
  }

  #openMore(
    host: HostLine,
    specification: LineSpecification,
    owner: string,
  ): LineSource {
    const conflict = host.owners.has(owner)
      ? { problem: "", hint: "A line belongs to an aggregator once" }
      : sharingConflict(host.specification, specification);
    if (conflict !== undefined || host.openMore === undefined) {
      throw new ConfigError(
        `${host.address ?? lineTitle(specification)} is taken by ` +
          `${lineTitle(host.specification)} already` +
          (conflict?.problem ?? ""),
        { ...linePosition(specification), hint: conflict?.hint ?? "" },
      );
    }
    host.owners.add(owner);
    return host.openMore(specification, owner);
  }

  /** Puts before its source what a line with several users needs. */
  #shareable(
    host: HostLine,
    owner: string,
    source: LineSource,
    hostLine: string | undefined,
  ): LineSource {
    const { shared, combine, activeLow } = host.specification;
    if (!isShareable(host.specification)) return source;
    const written = writtenText(host.specification);
    if (written !== undefined) this.#wanted.set(written, host);
    const onUnused = () => {
      this.#move(host, undefined);
      if (written !== undefined && this.#wanted.get(written) === host) {
        this.#wanted.delete(written);
      }
    };
    const leaver = (user: string) => () => host.owners.delete(user);
    if (shared === true) {
      const input = new SharedInput(
        source,
        () => {
          this.#waiting.delete(input);
          onUnused();
        },
        (task) => this.#loop.defer(task),
      );
      if (source.isKept === true) this.#waiting.add(input);
      host.openMore = (use, user) =>
        input.open({
          isInverted: use.activeLow !== activeLow,
          onClose: leaver(user),
        });
    } else if (combine !== undefined) {
      const output = new CombinedOutput(source, combine, () => {
        this.#waiting.delete(output);
        onUnused();
      }, this.#loop);
      if (source.isKept === true) this.#waiting.add(output);
      const store = this.#store;
      host.openMore = (use, user) =>
        output.open({
          user,
          keepsFound: use.initial === "as-is",
          kept: store === undefined
            ? undefined
            : keptVote(store, use, hostLine, user),
          onClose: leaver(user),
        });
    } else return source;
    return host.openMore(host.specification, owner);
  }
}

type LaneSource = Extract<LineSpecification["source"], { kind: "lane" }>;

/** Returns true if a line may have several users. */
export function isShareable({ shared, combine }: LineSpecification): boolean {
  return shared === true || combine !== undefined;
}

/** Opens the vote of one user, if there is a name for it. */
function keptVote(
  store: FdStore,
  { source }: LineSpecification,
  hostLine: string | undefined,
  user: string,
): PersistedVote | undefined {
  const origin = findOrigin(source);
  return origin === undefined ? undefined : PersistedVote.open(
    store,
    ...voteFdNames(writtenLine(origin), hostLine, user),
  );
}

/** A chip's line as it is written; undefined for a line of another kind. */
function writtenText({ source }: LineSpecification): string | undefined {
  const origin = findOrigin(source);
  return origin === undefined ? undefined : wantedText(origin);
}

function hostLineText(hostLine: LocatedLine | undefined): string | undefined {
  return hostLine && lineText(hostLine);
}

/** A host line in words. */
export function lineText({ chipPath, offset }: LocatedLine): string {
  return `line ${offset} of ${chipPath}`;
}
