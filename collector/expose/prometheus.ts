// Prometheus text out of the metric table: wide families by our own renderer, all others and Node's process metrics by prom-client, in
// one response.

import { collectDefaultMetrics, Registry, type Metric as PromMetric } from 'prom-client';
import { METRICS, WIDE, type Metric, type MetricSource } from '../metric.ts';

export class PrometheusExposition {
  readonly #registry = new Registry();
  readonly #wide: () => string;
  readonly #begin: () => void;
  readonly contentType = this.#registry.contentType;

  /** `wide` renders the families that WIDE names; all others come from `source`, whose `begin` is called before each rendering. */
  constructor({ source, begin }: { source: MetricSource; begin: () => void }, wide: () => string) {
    this.#wide = wide;
    this.#begin = begin;
    const isWide = new Set<string>(WIDE);
    for (const metric of METRICS) {
      if (!isWide.has(metric.name)) this.#registry.registerMetric(pulled(metric, source[metric.name as keyof MetricSource]));
    }
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The whole exposition as text. */
  async render(): Promise<string> {
    this.#begin();
    return this.#wide() + (await this.#registry.metrics());
  }
}

/**
 * A metric that computes its samples when the registry asks. The registry needs only a name and `get`; prom-client's own classes
 * keep a copy of every series, which the shared tables make needless.
 */
function pulled(metric: Metric, samples: MetricSource[keyof MetricSource]): PromMetric {
  const get = () => ({
    name: metric.name,
    help: metric.help,
    type: metric.type,
    aggregator: 'sum',
    values: samples(),
  });
  return { name: metric.name, get } as unknown as PromMetric;
}
