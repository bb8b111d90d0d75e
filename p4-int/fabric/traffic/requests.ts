// Questions and answers: one client and one server, or one aggregator that asks many at once (incast).

import { exponential, normal, randomStream, type Random } from '../random.ts';
import type { TrafficOf } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';
import type { Pair } from './pairs.ts';
import { portsOf } from './ports.ts';
import { TcpConnection } from './tcp.ts';

const INCAST_REQUEST_BYTES = 100;

/** `from` asks `to`, and gets an answer. */
export function startRequests(simulator: Simulator, spec: TrafficOf<'requests'>, pair: Pair): void {
  const random = randomStream(simulator.seed, `traffic ${spec.name} ${pair.index}`);
  const ports = portsOf(random);
  const meanIntervalPs = 1e12 / spec.perSecond;
  const timer = simulator.register({
    fire: () => {
      if (simulator.nowPs >= pair.untilPs) return;
      ask(simulator, spec, pair, { port: ports(), requestBytes: spec.request, waitPs: 0, random });
      simulator.schedule(simulator.nowPs + exponential(random) * meanIntervalPs, timer);
    },
  });
  simulator.schedule(pair.startPs + exponential(random) * meanIntervalPs, timer);
}

/** Every `every` the receiver asks all senders at once, and all answer. */
export function startIncast(simulator: Simulator, spec: TrafficOf<'incast'>, pairs: readonly Pair[]): void {
  const random = randomStream(simulator.seed, `traffic ${spec.name}`);
  const ports = portsOf(random);
  let rhythmPs = spec.start;
  const timer = simulator.register({
    fire: () => {
      for (const pair of pairs) {
        if (simulator.nowPs < pair.startPs || simulator.nowPs >= pair.untilPs) continue;
        const waitPs = Math.abs(normal(random)) * spec.jitter;
        ask(simulator, spec, reversed(pair), { port: ports(), requestBytes: INCAST_REQUEST_BYTES, waitPs, random });
      }
      simulator.schedule((rhythmPs += spec.every), timer);
    },
  });
  simulator.schedule(rhythmPs, timer);
}

interface Question {
  port: number;
  requestBytes: number;
  /** The server thinks so long. */
  waitPs: number;
  random: Random;
}

function ask(simulator: Simulator, spec: TrafficOf<'requests' | 'incast'>, pair: Pair, question: Question): void {
  const { congestionControl, packet: packetBytes, destinationPort, response } = spec;
  const { port, random } = question;
  const initialSequence = (): number => Math.floor(random() * 2 ** 32);
  const [first, second] = [initialSequence(), initialSequence()];
  const answer = simulator.register({
    fire: () =>
      void new TcpConnection(simulator, reversed(pair), {
        congestionControl,
        sourcePort: destinationPort,
        destinationPort: port,
        size: response,
        packetBytes,
        initialSequence: second,
      }),
  });
  new TcpConnection(simulator, pair, {
    congestionControl,
    sourcePort: port,
    destinationPort,
    size: question.requestBytes,
    packetBytes,
    initialSequence: first,
    onDone: () => simulator.schedule(simulator.nowPs + question.waitPs, answer),
  });
}

function reversed(pair: Pair): Pair {
  return { ...pair, from: pair.to, to: pair.from, forth: pair.back, back: pair.forth };
}
