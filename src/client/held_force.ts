/**
 * A force of lines that ends with the connection that asked for it.
 *
 * @module
 */
import { checkedAnswer, ServiceError } from "./answers.ts";
import { type ApiAnswer, readLines } from "./http_request.ts";
import { untilEnded } from "./leased_aggregator.ts";
import { MESSAGES } from "./messages.ts";
import type { AggregatorState, LeaseMessage } from "./protocol.ts";

/**
 * Lines that are held at values as long as this object is not disposed, their
 * time is not over, and nothing else ends it.
 */
export class HeldForce implements Disposable {
  /** Aggregator when the force had begun. */
  readonly state: AggregatorState;
  /** Resolves with the reason once all of its lines are free. */
  readonly ended: Promise<string>;
  readonly #answer: ApiAnswer;

  private constructor(
    state: AggregatorState,
    answer: ApiAnswer,
    lines: AsyncIterator<string>,
  ) {
    this.state = state;
    this.#answer = answer;
    this.ended = untilEnded(lines);
  }

  /** @ignore What {@linkcode ServiceClient.force} takes over. */
  static async open(
    socketPath: string,
    answer: ApiAnswer,
  ): Promise<HeldForce> {
    const lines = readLines(answer.body);
    try {
      const first = await answer.inTime(lines.next());
      const message: LeaseMessage = checkedAnswer(
        socketPath,
        first.done ? "" : first.value,
        MESSAGES.LeaseMessage,
      );
      if ("ended" in message) {
        throw new ServiceError(answer.status, message.ended);
      }
      return new HeldForce(message.aggregator, answer, lines);
    } catch (error) {
      answer.close();
      throw error;
    }
  }

  /** Ends it: the service lets the lines go as soon as it notices. */
  [Symbol.dispose](): void {
    this.#answer.close();
  }
}
