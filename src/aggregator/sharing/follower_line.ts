/**
 * Lines that follow other lines, with no hardware between: wires from one
 * aggregator's output to another's input, copies, and inverted copies.
 *
 * @module
 */
import type {
  LineReference,
  LineSpecification,
} from "../../config/specification.ts";
import type { Value } from "../../line/value.ts";
import { Direction, Edges, FAILED } from "../../line/port.ts";
import { invertValue } from "../level.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import type { FollowedSource } from "./followed_source.ts";
import type { Follower } from "./followers.ts";
import type { LineDirectory } from "./line_directory.ts";

/** Converts the followed line to a line's value. */
type View = (followed: FollowedSource) => number;

/** Converts the value that the followed line had. */
type EdgeView = (value: number) => number;

/** A line that follows another one: always an input to its own guest. */
export class FollowerLine implements LineSource, Follower {
  /** Empty, but for one that stands for the followed line itself. */
  readonly name: string;
  readonly direction = Direction.Input;
  readonly description: string;
  /** The line that is followed. */
  readonly reference: LineReference;
  readonly #view: View;
  readonly #edgeView: EdgeView | undefined;
  /** The value while there is no line to follow. */
  readonly #alone: number;
  readonly #registration: Disposable;
  #followed: FollowedSource | undefined;
  #following: Disposable | undefined;
  #listener: SourceListener | undefined;
  #edges: Edges = Edges.None;
  #value: number = FAILED;
  /** Edges were not asked for yet: a new follower may have missed some. */
  #isFresh = true;

  /** Makes the line of a specification whose source is a reference. */
  constructor(specification: LineSpecification, directory: LineDirectory) {
    const { reference, view, edgeView, alone, title } = readFollowing(
      specification,
    );
    this.reference = reference;
    this.#view = view;
    this.#edgeView = edgeView;
    this.#alone = alone;
    const hasNumber = reference.lineNumber !== undefined;
    this.name = (hasNumber && directory.findName(reference)) || "";
    this.description = `${title} ${reference.aggregator}.${
      this.name || reference.line
    }`;
    this.#registration = directory.register(this);
  }

  /** Follows this line from now on, or none. */
  connect(followed: FollowedSource | undefined): void {
    if (followed === this.#followed) return;
    this.#following?.[Symbol.dispose]();
    this.#followed = followed;
    this.#following = followed?.follow(this);
    this.followedChanged();
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.GetValue:
        return this.peek();
      case SourceOperation.SetEdges:
        this.#isFresh = false;
        this.#edges = argument as Edges;
        this.#value = this.peek();
        return 0;
      case SourceOperation.Input:
        return 0;
      case SourceOperation.Deactivate:
      case SourceOperation.Release:
        this.#isFresh = false;
        this.#edges = Edges.None;
        return 0;
      case SourceOperation.Output:
      case SourceOperation.SetValue:
        return FAILED;
    }
  }

  get shown(): number {
    return this.peek();
  }

  peek(): number {
    const followed = this.#followed;
    return followed === undefined ? this.#alone : this.#view(followed);
  }

  followedChanged(told?: number): void {
    const value = this.peek();
    const before = this.#value;
    // Edges of a kept line may have come and gone, also before a session that
    // goes on asked for them again: its value does not tell.
    if (told !== undefined && this.#edgeView !== undefined && before >= 0) {
      this.#value = value;
      const seen = this.#edgeView(told);
      if (this.#wants(seen)) this.#listener?.edge(seen);
      else if (value !== before) this.#listener?.moved?.(value);
      return;
    }
    if (value === before) return;
    this.#value = value;
    this.#listener?.moved?.(value);
    if (value < 0) return;
    if (before < 0) this.#listener?.restored();
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#edges & edge) !== 0) this.#listener?.edge(value);
  }

  /** Returns true if the edge to a value is asked for, or may still be. */
  #wants(value: number): boolean {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    return this.#isFresh || (this.#edges & edge) !== 0;
  }

  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.#registration[Symbol.dispose]();
    this.#following?.[Symbol.dispose]();
    this.#following = undefined;
    this.#followed = undefined;
  }
}

function readFollowing(
  { source, activeLow, bias }: LineSpecification,
): {
  reference: LineReference;
  view: View;
  /** Absent where edges of an input are not seen. */
  edgeView?: EdgeView;
  alone: number;
  title: string;
} {
  const flip = (value: number) =>
    value < 0 ? value : invertValue(value as Value);
  switch (source.kind) {
    case "wire": {
      // What is on the wire is the other side's value; it is not driven: the
      // bias does, as it would a wire of copper.
      const own = activeLow ? flip : (value: number) => value;
      const idle = own(bias === "pull-up" ? 1 : 0);
      return {
        reference: source.to,
        view: (line) => line.isDriven ? own(line.value) : idle,
        alone: idle,
        title: "wire to",
      };
    }
    case "copy":
      return {
        reference: source.of,
        view: (line) => line.value,
        edgeView: (value) => value,
        alone: FAILED,
        title: "copy of",
      };
    case "invert":
      return {
        reference: source.of,
        view: (line) => flip(line.value),
        edgeView: flip,
        alone: FAILED,
        title: "opposite of",
      };
    default:
      throw new TypeError(`A ${source.kind} line follows no other`);
  }
}
