// Flows that come at random and have sizes as published: the background of a data centre.

import { exponential, randomStream } from '../random.ts';
import type { TrafficOf } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';
import { drawFlowSize } from './flow-size.ts';
import type { Pair } from './pairs.ts';
import { portsOf } from './ports.ts';
import { HEADER_BYTES, TcpConnection } from './tcp.ts';

/** Draws that the mean of a capped distribution is taken over. */
const DRAWS = 20_000;

export function startFlows(simulator: Simulator, spec: TrafficOf<'flows'>, pairs: readonly Pair[]): void {
  const random = randomStream(simulator.seed, `traffic ${spec.name}`);
  const sizes = randomStream(simulator.seed, `sizes ${spec.name}`);
  const ports = portsOf(random);
  const draw = (): number => {
    for (;;) {
      const size = drawFlowSize(spec.sizes, sizes);
      if (size <= (spec.maxSize ?? Infinity)) return size;
    }
  };
  let sum = 0;
  for (let i = 0; i < DRAWS; i++) {
    const size = draw();
    sum += size + HEADER_BYTES * Math.ceil(size / (spec.packet - HEADER_BYTES));
  }
  const meanIntervalPs = ((sum / DRAWS) * 8e12) / spec.load;
  const timer = simulator.register({
    fire: () => {
      const pair = pairs[Math.floor(random() * pairs.length)];
      if (simulator.nowPs < pair.untilPs && simulator.nowPs >= pair.startPs) {
        new TcpConnection(simulator, pair, {
          congestionControl: spec.congestionControl,
          sourcePort: ports(),
          destinationPort: spec.destinationPort,
          size: draw(),
          packetBytes: spec.packet,
          initialSequence: Math.floor(random() * 2 ** 32),
        });
      }
      simulator.schedule(simulator.nowPs + exponential(random) * meanIntervalPs, timer);
    },
  });
  simulator.schedule(spec.start + exponential(random) * meanIntervalPs, timer);
}
