// Transfers of one size, or without an end: elephants, backups, shuffles.

import { randomStream } from '../random.ts';
import type { TrafficOf } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';
import type { Pair } from './pairs.ts';
import { portsOf } from './ports.ts';
import { TcpConnection } from './tcp.ts';

export function startBulk(simulator: Simulator, spec: TrafficOf<'bulk'>, pair: Pair): void {
  const random = randomStream(simulator.seed, `traffic ${spec.name} ${pair.index}`);
  const ports = portsOf(random);
  for (let i = 0; i < spec.connections; i++) {
    let startPs = pair.startPs;
    const timer = simulator.register({
      fire: () => {
        if (simulator.nowPs >= pair.untilPs) return;
        new TcpConnection(simulator, pair, {
          congestionControl: spec.congestionControl,
          sourcePort: spec.sourcePort === undefined ? ports() : spec.sourcePort + pair.index * spec.connections + i,
          destinationPort: spec.destinationPort,
          size: spec.size ?? Infinity,
          packetBytes: spec.packet,
          initialSequence: Math.floor(random() * 2 ** 32),
        });
        if (spec.repeatEvery !== undefined) simulator.schedule((startPs += spec.repeatEvery), timer);
      },
    });
    simulator.schedule(startPs, timer);
  }
}
