// Published distributions of flow sizes, as inverse cumulative distributions that are linear between their points.
// Sources: traffic_gen of alibaba-edu/High-Precision-Congestion-Control and conf of HKUST-SING/TrafficGenerator, after the papers named at each.

import type { Random } from '../random.ts';

/** [octets, per cent of flows that are no larger], ascending. */
type Points = readonly (readonly [number, number])[];

export const FLOW_SIZES = {
  /** Web search: Alizadeh et al., Data Center TCP, SIGCOMM 2010. */
  'web-search': [
    [1, 0],
    [10e3, 15],
    [20e3, 20],
    [30e3, 30],
    [50e3, 40],
    [80e3, 53],
    [200e3, 60],
    [1e6, 70],
    [2e6, 80],
    [5e6, 90],
    [10e6, 97],
    [30e6, 100],
  ],
  /** Data mining: Greenberg et al., VL2, SIGCOMM 2009. */
  'data-mining': [
    [100, 0],
    [180, 10],
    [216, 20],
    [560, 30],
    [900, 40],
    [1.1e3, 50],
    [1.87e3, 60],
    [3.16e3, 70],
    [10e3, 80],
    [400e3, 90],
    [3.16e6, 95],
    [100e6, 98],
    [1e9, 100],
  ],
  /** Hadoop: Roy et al., Inside the Social Network's Network, SIGCOMM 2015. */
  hadoop: [
    [60, 0],
    [100, 1],
    [200, 2],
    [300, 5],
    [350, 15],
    [400, 20],
    [500, 30],
    [600, 40],
    [700, 50],
    [1e3, 60],
    [2e3, 67],
    [7e3, 70],
    [30e3, 72],
    [50e3, 82],
    [80e3, 87],
    [120e3, 90],
    [300e3, 95],
    [1e6, 97.5],
    [2e6, 99],
    [10e6, 100],
  ],
  /** Distributed storage: Li et al., HPCC, SIGCOMM 2019. */
  storage: [
    [1e3, 0],
    [4e3, 22.9],
    [8e3, 69.2],
    [16e3, 80.6],
    [32e3, 90.5],
    [64e3, 93.5],
    [128e3, 96.8],
    [256e3, 97.5],
    [2e6, 100],
  ],
  /** Cache followers: Roy et al., SIGCOMM 2015. */
  cache: [
    [50, 0],
    [75, 50],
    [250, 75],
    [350, 90],
    [1e3, 96.5],
    [10e3, 99.5],
    [1e6, 100],
  ],
} as const satisfies Record<string, Points>;

export type FlowSizes = keyof typeof FLOW_SIZES;

/** A size in octets, at least 1. */
export function drawFlowSize(sizes: FlowSizes, random: Random): number {
  const points: Points = FLOW_SIZES[sizes];
  const percent = random() * 100;
  const above = points.findIndex(([, share]) => share > percent);
  const [[lowBytes, lowShare], [highBytes, highShare]] = [points[above - 1], points[above]];
  return Math.max(1, Math.round(lowBytes + ((highBytes - lowBytes) * (percent - lowShare)) / (highShare - lowShare)));
}

/** Mean size in octets. */
export function meanFlowSize(sizes: FlowSizes): number {
  const points: Points = FLOW_SIZES[sizes];
  let mean = 0;
  for (let i = 1; i < points.length; i++) {
    mean += ((points[i][0] + points[i - 1][0]) / 2) * ((points[i][1] - points[i - 1][1]) / 100);
  }
  return mean;
}
