// The published flow sizes are drawn as published: their means, and where their quantiles lie.

import { expect, it } from 'vitest';
import { randomStream } from '../../../p4-int/fabric/random.ts';
import { drawFlowSize, FLOW_SIZES, meanFlowSize, type FlowSizes } from '../../../p4-int/fabric/traffic/flow-size.ts';

/** Mean octets of a flow, as the distributions' collections have them. That of the cache (342) cannot be of its points: the last of them alone adds 2,500. */
const PUBLISHED_MEANS: Partial<Record<FlowSizes, number>> = {
  'web-search': 1.71e6,
  'data-mining': 12.7e6,
  hadoop: 120e3,
  storage: 41e3,
};

it.each(Object.keys(FLOW_SIZES) as FlowSizes[])('%s', (sizes) => {
  const random = randomStream(7, sizes);
  const drawn = Array.from({ length: 20_000 }, () => drawFlowSize(sizes, random));
  for (const [bytes, percent] of FLOW_SIZES[sizes]) {
    const below = drawn.filter((size) => size <= bytes).length / drawn.length;
    expect(Math.abs(below - percent / 100)).toBeLessThan(0.02);
  }
  const mean = meanFlowSize(sizes);
  const published = PUBLISHED_MEANS[sizes];
  console.log(`${sizes}: mean ${Math.round(mean)} octets, published ${published ?? 'none that fits'}`);
  if (published === undefined) return;
  expect(mean / published).toBeGreaterThan(0.98);
  expect(mean / published).toBeLessThan(1.02);
});
