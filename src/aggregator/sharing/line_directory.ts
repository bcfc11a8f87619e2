/**
 * Directory in which following lines find those they follow.
 *
 * @module
 */
import { linesByReference } from "../../config/references/known_names.ts";
import type {
  LineReference,
  LineSpecification,
} from "../../config/specification.ts";
import type { FollowedSource } from "./followed_source.ts";

/** Interface of a line for those that follow it. */
interface FollowableLine {
  readonly name: string;
  readonly specification: Pick<LineSpecification, "name" | "source">;
  /** Makes the line one that can be followed. */
  followable(): FollowedSource;
}

/** A line that follows the line of a reference. */
interface Following {
  readonly reference: LineReference;
  /** Follows this line from now on, or none. */
  connect(followed: FollowedSource | undefined): void;
}

/** The lines of one aggregator. */
interface Followable {
  readonly byName: ReadonlyMap<string, FollowableLine>;
  readonly byNumber: readonly FollowableLine[];
}

/**
 * Directory in which following lines find those they follow, by name or number.
 */
export class LineDirectory {
  readonly #lines = new Map<string, Followable>();
  readonly #followers = new Set<Following>();

  /** The lines of an aggregator can be followed from now on. */
  add(aggregator: string, lines: readonly FollowableLine[]): void {
    this.#lines.set(aggregator, {
      byNumber: lines,
      byName: linesByReference(lines),
    });
    this.#reconnect(aggregator);
  }

  /** They cannot any more: who followed them follows nothing. */
  remove(aggregator: string): void {
    this.#lines.delete(aggregator);
    this.#reconnect(aggregator);
  }

  /** Returns true if there is such a line. */
  has(reference: LineReference): boolean {
    return this.#findLine(reference) !== undefined;
  }

  /** Returns the name of a line; undefined if there is no such line. */
  findName(reference: LineReference): string | undefined {
    return this.#findLine(reference)?.name;
  }

  /** Connects a follower now and whenever its line comes, until disposed. */
  register(follower: Following): Disposable {
    this.#followers.add(follower);
    follower.connect(this.#find(follower.reference));
    return { [Symbol.dispose]: () => this.#followers.delete(follower) };
  }

  #find(reference: LineReference): FollowedSource | undefined {
    return this.#findLine(reference)?.followable();
  }

  #findLine(
    { aggregator, line, lineNumber }: LineReference,
  ): FollowableLine | undefined {
    const lines = this.#lines.get(aggregator);
    return lineNumber === undefined
      ? lines?.byName.get(line)
      : lines?.byNumber[lineNumber];
  }

  #reconnect(aggregator: string): void {
    for (const follower of this.#followers) {
      if (follower.reference.aggregator !== aggregator) continue;
      follower.connect(this.#find(follower.reference));
    }
  }
}
