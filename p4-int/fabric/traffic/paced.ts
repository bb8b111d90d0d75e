// Packets at a rate that nobody slows down: constant or Poisson, always or in bursts.

import type { Flow } from '../flow.ts';
import { exponential, randomStream, type Random } from '../random.ts';
import type { TrafficOf } from '../scenario.ts';
import type { Simulator, Timer } from '../simulator.ts';
import type { Pair } from './pairs.ts';

type PacedSpec = TrafficOf<'constant' | 'poisson'>;

const EPHEMERAL_PORT = 49_152;
/** Shape of Pareto times: heavy-tailed, with a mean (Willinger et al., 1997). */
const PARETO_SHAPE = 1.5;

export function startPaced(simulator: Simulator, spec: PacedSpec, pair: Pair): void {
  new Paced(simulator, spec, pair);
}

class Paced implements Timer {
  readonly #simulator: Simulator;
  readonly #spec: PacedSpec;
  readonly #pair: Pair;
  readonly #random: Random;
  /** A stream of its own: how many packets a burst has does not move the next burst. */
  readonly #burstRandom: Random;
  readonly #timer: number;
  readonly #intervalPs: number;
  #flow: Flow | undefined;
  #sequence: number;
  #burstEndPs = Infinity;
  /** Time that the regular rhythm of bursts is at. */
  #rhythmPs: number;

  constructor(simulator: Simulator, spec: PacedSpec, pair: Pair) {
    this.#simulator = simulator;
    this.#spec = spec;
    this.#pair = pair;
    this.#random = randomStream(simulator.seed, `traffic ${spec.name} ${pair.index}`);
    this.#burstRandom = randomStream(simulator.seed, `bursts ${spec.name} ${pair.index}`);
    this.#timer = simulator.register(this);
    this.#intervalPs = (spec.packet * 8e12) / spec.rate;
    this.#sequence = Math.floor(this.#random() * 2 ** 32);
    this.#rhythmPs = pair.startPs;
    const first = pair.startPs + this.#random() * this.#intervalPs;
    if (spec.burst === undefined) simulator.schedule(first, this.#timer);
    else this.#scheduleBurst(pair.startPs);
  }

  fire(): void {
    const { nowPs, packets } = this.#simulator;
    if (nowPs >= this.#pair.untilPs) return;
    const { packet: bytes, protocol } = this.#spec;
    if (this.#flow === undefined || this.#spec.freshFlows) this.#flow = this.#newFlow();
    const packet = packets.add(this.#flow, bytes, nowPs);
    if (protocol === 'tcp') {
      packets.tcpSequence[packet] = this.#sequence;
      this.#sequence = (this.#sequence + bytes - 40) >>> 0;
    }
    this.#simulator.send(packet);
    const spread = this.#spec.kind === 'poisson' ? exponential(this.#random) : 1 + (this.#random() * 2 - 1) * this.#spec.jitter;
    const next = nowPs + this.#intervalPs * spread;
    if (next < this.#burstEndPs) this.#simulator.schedule(next, this.#timer);
    else this.#scheduleBurst(this.#burstEndPs);
  }

  #scheduleBurst(endedPs: number): void {
    const { every, on, draw, jitter, spread } = this.#spec.burst!;
    let startPs: number;
    let onPs = on;
    if (draw === 'regular') {
      startPs = this.#rhythmPs + this.#burstRandom() * jitter;
      onPs *= 1 + (this.#burstRandom() * 2 - 1) * spread;
      this.#rhythmPs += every;
    } else {
      const drawn = draw === 'exponential' ? exponential : pareto;
      startPs = endedPs + drawn(this.#burstRandom) * (every - on);
      onPs *= drawn(this.#burstRandom);
    }
    this.#burstEndPs = startPs + Math.max(onPs, 1);
    this.#simulator.schedule(startPs, this.#timer);
  }

  #newFlow(): Flow {
    const { spec, pair } = { spec: this.#spec, pair: this.#pair };
    const drawn = EPHEMERAL_PORT + Math.floor(this.#random() * (65_536 - EPHEMERAL_PORT));
    const flow = this.#simulator.newFlow({
      ...pair.forth,
      protocol: spec.protocol === 'tcp' ? 6 : 17,
      sourcePort: spec.sourcePort === undefined || spec.freshFlows ? drawn : spec.sourcePort + pair.index,
      destinationPort: spec.destinationPort,
      isEcnCapable: false,
    });
    return flow;
  }
}

/** A Pareto deviate of mean 1. */
function pareto(random: Random): number {
  return ((PARETO_SHAPE - 1) / PARETO_SHAPE) * (1 - random()) ** (-1 / PARETO_SHAPE);
}
