// Wide families as text: what is within the budget has series of its own, the rest is added up in one, and no total changes.

import { describe, expect, it } from 'vitest';
import { labelText, type WideFamily } from '../../collector/metric.ts';
import { SeriesText } from '../../collector/series-text.ts';

/** A counter with one series for each of `count` nodes, whose values are 1, 2, 3, ... */
function counter(count: number): WideFamily {
  const subjects = Array.from({ length: count }, (_, i) => ({ labels: labelText({ node: `n${i}` }), value: i + 1 }));
  return {
    name: 'fabric_node_hops_total',
    parts: [{ suffix: '', labels: '' }],
    skipsZero: false,
    subjects: () => subjects,
    add: (subject, values) => {
      values[0] += (subject as (typeof subjects)[number]).value;
    },
  };
}

/** A histogram of two buckets with sum and count for each of `count` queues. */
function histogram(count: number): WideFamily {
  const subjects = Array.from({ length: count }, (_, i) => ({ labels: labelText({ node: 'n', interface: i, queue: 0 }) }));
  return {
    name: 'fabric_hop_latency_seconds',
    parts: [
      { suffix: '_bucket', labels: ',le="0.1"' },
      { suffix: '_bucket', labels: ',le="+Inf"' },
      { suffix: '_sum', labels: '' },
      { suffix: '_count', labels: '' },
    ],
    skipsZero: false,
    subjects: () => subjects,
    add: (_subject, values) => [1, 2, 0.5, 2].forEach((value, part) => (values[part] += value)),
  };
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const total = (text: string): number => lines(text).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);

describe('budget', () => {
  it('is not touched: every series is there', () => {
    const series = new SeriesText(() => [counter(5)], { all: 100, perMetric: 100 });
    expect(lines(series.render())).toHaveLength(5);
    expect(series.folded.size).toBe(0);
  });

  it('of one metric: the rest is added up in one series that says so, and the total is exact', () => {
    const series = new SeriesText(() => [counter(100)], { all: 1000, perMetric: 10 });
    const text = series.render();
    expect(lines(text)).toHaveLength(10);
    expect(text).toContain('fabric_node_hops_total{node="overflow"} ');
    expect(total(text)).toBe((100 * 101) / 2);
    expect([...series.folded]).toEqual([['fabric_node_hops_total', 91]]);
    // The same are shown every time.
    expect(series.render()).toBe(text);
  });

  it('of all metrics together, histograms whole', () => {
    const series = new SeriesText(() => [histogram(10), counter(100)], { all: 50, perMetric: 40 });
    const text = series.render();
    expect(series.series).toBeLessThanOrEqual(50);
    expect(lines(text).filter((line) => line.startsWith('fabric_hop_latency_seconds_count'))).toHaveLength(10);
    expect(text).toContain('fabric_hop_latency_seconds_bucket{node="n",interface="0",queue="0",le="+Inf"} 2\n');
    expect(
      total(
        lines(text)
          .filter((line) => line.startsWith('fabric_node'))
          .join('\n'),
      ),
    ).toBe((100 * 101) / 2);
    expect(series.folded.has('fabric_node_hops_total')).toBe(true);
  });

  it('that one histogram would burst folds whole queues: all of its parts', () => {
    const series = new SeriesText(() => [histogram(50)], { all: 1000, perMetric: 40 });
    const text = series.render();
    expect(lines(text)).toHaveLength(40);
    expect(text).toContain('{node="overflow",interface="overflow",queue="overflow",le="+Inf"} 82\n');
    expect(text).toContain('fabric_hop_latency_seconds_count{node="overflow",interface="overflow",queue="overflow"} 82\n');
  });
});

it('names from outside cannot break a line', () => {
  expect(labelText({ node: 'a"b\\c\nd' })).toBe('node="a\\"b\\\\c\\nd"');
});
