// Prometheus text out of the metric table, rendered by prom-client at scrape time; Node's process metrics beside it.

import { collectDefaultMetrics, Registry, type Metric as PromMetric } from 'prom-client';
import { METRICS, type Metric, type MetricSource } from '../metric.ts';

export class PrometheusExposition {
  readonly #registry = new Registry();
  readonly contentType = this.#registry.contentType;

  constructor(source: MetricSource) {
    for (const metric of METRICS) this.#registry.registerMetric(pulled(metric, source[metric.name]));
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The whole exposition as text. */
  render(): Promise<string> {
    return this.#registry.metrics();
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
    values: samples().map(({ labels, value, suffix }) => ({
      labels,
      value,
      ...(suffix === undefined ? {} : { metricName: metric.name + suffix }),
    })),
  });
  return { name: metric.name, get } as unknown as PromMetric;
}
