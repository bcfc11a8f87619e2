/**
 * A page of Prometheus metrics, to be asked.
 *
 * @module
 */

/** Labels with their values. */
export type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** Page of metrics. */
export class MetricsPage {
  /** As it was read. */
  readonly text: string;
  readonly #samples: readonly Sample[];

  /**
   * Reads a page.
   *
   * @throws {Error} If a line is neither a comment nor a sample.
   */
  constructor(text: string) {
    this.text = text;
    this.#samples = text.trimEnd().split("\n")
      .filter((line) => !line.startsWith("#")).map(parseSample);
  }

  /** The sum of all samples of a name that have these labels, among others. */
  sum(name: string, labels: Labels = {}): number {
    return this.#matching(name, labels)
      .reduce((sum, { value }) => sum + value, 0);
  }

  /**
   * Returns the number of samples that have a name and these labels, among
   * others.
   */
  count(name: string, labels: Labels = {}): number {
    return this.#matching(name, labels).length;
  }

  #matching(name: string, labels: Labels): readonly Sample[] {
    return this.#samples.filter((sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) =>
        sample.labels.get(label) === String(value)
      )
    );
  }
}

function parseSample(line: string): Sample {
  const [, name, labels, value] =
    /^([a-z_]+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined) throw new Error(`This is no sample: ${line}`);
  const pairs = (labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  return {
    name,
    labels: new Map([...pairs].map(([, label, text]) => [label!, text!])),
    value: Number(value),
  };
}
