// Wide metric families as Prometheus text: no object and no string of labels is made per series, and the number of series is bounded.
// What is beyond the budget goes into one series per part whose labels all say "overflow", so that totals stay exact.
// Rule: what has a series keeps it while the tables do not change; families come in the order of their worth.

import { METRICS, type Metric, type WideFamily } from './metric.ts';

/** How many series may be shown. */
export interface SeriesBudget {
  all: number;
  perMetric: number;
}

const BY_NAME = new Map<string, Metric>(METRICS.map((metric) => [metric.name, metric]));

export class SeriesText {
  readonly #families: () => readonly WideFamily[];
  readonly #budget: SeriesBudget;
  /** Series in the newest text, and how many things (queues, nodes, ...) got none of their own, by metric. */
  series = 0;
  readonly folded = new Map<string, number>();

  constructor(families: () => readonly WideFamily[], budget: SeriesBudget) {
    this.#families = families;
    this.#budget = budget;
  }

  /** All families as they are now. */
  render(): string {
    this.series = 0;
    this.folded.clear();
    return this.#families()
      .map((family) => this.#renderFamily(family))
      .join('');
  }

  #renderFamily(family: WideFamily): string {
    const { name, help, type, labels } = BY_NAME.get(family.name)!;
    const { parts } = family;
    const subjects = family.subjects();
    const room = Math.floor(Math.min(this.#budget.perMetric, this.#budget.all - this.series) / parts.length);
    // The series of what is beyond the budget has its own place in it.
    const places = subjects.length <= room ? subjects.length : room - 1;
    const values = new Float64Array(parts.length);
    const beyond = new Float64Array(parts.length);
    let shown = 0;
    let hidden = 0;
    let text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    const write = (subjectLabels: string, numbers: Float64Array): void => {
      for (let part = 0; part < numbers.length; part++) {
        if (family.skipsZero && numbers[part] === 0) continue;
        text += `${name}${parts[part].suffix}{${subjectLabels}${parts[part].labels}} ${numbers[part]}\n`;
        this.series++;
      }
    };
    for (const subject of subjects) {
      if (shown >= places) {
        family.add(subject, beyond);
        hidden++;
        continue;
      }
      shown++;
      values.fill(0);
      family.add(subject, values);
      write(subject.labels, values);
    }
    if (hidden > 0) {
      this.folded.set(name, hidden);
      const own = labels.filter((label) => !parts.some((part) => part.labels.includes(`${label}=`)));
      write(own.map((label) => `${label}="overflow"`).join(','), beyond);
    }
    return text;
  }
}
