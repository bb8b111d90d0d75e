// What the clocks of switches show: off by a constant, too fast or slow, jumping, jittering.

import { randomStream, type Random } from '../random.ts';
import type { TelemetrySpec } from '../scenario.ts';
import type { Topology } from '../topology.ts';
import { PS_PER_NS } from '../units.ts';

const WORD = 2 ** 32;

export class Clocks {
  readonly #offsetNs: Float64Array;
  readonly #rate: Float64Array;
  readonly #steps: readonly { node: number; atPs: number; byNs: number }[];
  readonly #jitterNs: number;
  readonly #random: Random;
  readonly #epochHigh: number;
  readonly #epochLow: number;
  readonly #hasWrap: boolean;

  /** `epochUnixNs`: Unix time when the fabric begins. */
  constructor(topology: Topology, telemetry: TelemetrySpec, seed: number, epochUnixNs: bigint) {
    const { offset, driftPpm, jitter, steps, wrapAfter } = telemetry.clocks;
    const random = randomStream(seed, 'clocks');
    const drawn = (): number => random() * 2 - 1;
    this.#offsetNs = Float64Array.from({ length: topology.switches }, () => Math.round((drawn() * offset) / PS_PER_NS));
    this.#rate = Float64Array.from({ length: topology.switches }, () => 1 + drawn() * driftPpm * 1e-6);
    this.#steps = steps.map(({ node, at, by }) => ({
      node: topology.switchNamed(node),
      atPs: at,
      byNs: Math.round(by / PS_PER_NS),
    }));
    this.#jitterNs = jitter / PS_PER_NS;
    this.#random = randomStream(seed, 'clock jitter');
    this.#hasWrap = wrapAfter !== undefined;
    const epoch = wrapAfter === undefined ? epochUnixNs : BigInt(WORD - Math.round(wrapAfter / PS_PER_NS));
    this.#epochHigh = Number(epoch >> 32n);
    this.#epochLow = Number(epoch & 0xffffffffn);
  }

  /** What the node's clock shows at fabric time `ps`, in ns since the fabric began; whole. */
  localNs(node: number, ps: number): number {
    let ns = (ps / PS_PER_NS) * this.#rate[node] + this.#offsetNs[node];
    for (const step of this.#steps) if (step.node === node && ps >= step.atPs) ns += step.byNs;
    if (this.#jitterNs > 0) ns += this.#random() * this.#jitterNs;
    return Math.floor(ns);
  }

  /** High and low word of the timestamp that such a local time is. */
  high(localNs: number): number {
    return this.#hasWrap ? 0 : this.#epochHigh + Math.floor((this.#epochLow + localNs) / WORD);
  }

  low(localNs: number): number {
    return ((this.#epochLow + localNs) % WORD) >>> 0;
  }
}
