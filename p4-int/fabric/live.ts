// A simulated fabric beside the wall clock: its reports go out as real UDP datagrams, evenly paced. Where real time would be more than this machine or
// the receiver can take, fabric time goes slower, by a factor that is told.
// Rule: traffic goes to loopback only; this is a rehearsal, not a load generator.

import { createSocket, type Socket } from 'node:dgram';
import { FabricRun } from './run.ts';
import type { Scenario } from './scenario.ts';
import { Simulator } from './simulator.ts';
import type { Datagram } from './telemetry/datagram.ts';

const STEP_MS = 20;
/** Datagrams a second, so that a small receive buffer holds them. */
const MAX_DATAGRAMS_PER_SECOND = 4000;
/** Two seconds of them. */
const MAX_WAITING_DATAGRAMS = 2 * MAX_DATAGRAMS_PER_SECOND;
/** Events a second, so that the collector beside it has a core of its own. */
const MAX_EVENTS_PER_SECOND = 200_000;
/** Groups go out before they are full: so many more datagrams than full ones. */
const PARTIAL_GROUPS = 1.25;
/** How much of the scenario is tried out to see how dense it is. */
const TRIAL_EVENTS = 100_000;

export interface LiveOptions {
  scenario: Scenario;
  seed: number;
  /** Where the collector listens on 127.0.0.1. */
  port: number;
}

export class LiveFabric {
  /** Seconds of wall clock that a second of fabric time takes; at least 1. */
  readonly slowdown: number;
  readonly #socket: Socket = createSocket('udp4');
  readonly #run: FabricRun;
  readonly #port: number;
  readonly #queue: Buffer[] = [];
  #lastMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ scenario, seed, port }: LiveOptions) {
    this.#port = port;
    this.slowdown = slowdownOf(scenario, seed);
    const receive = ({ bytes }: Datagram): void => void this.#queue.push(bytes);
    this.#run = new FabricRun({
      scenario,
      seed,
      epochUnixNs: BigInt(Date.now()) * 1_000_000n,
      views: [{ telemetry: scenario.telemetry, receive }],
    });
  }

  /** Reports sent so far, those that still wait for their turn included. */
  get reports(): number {
    return this.#run.exporters[0].reports;
  }

  /** The pace in words. */
  get pace(): string {
    return this.slowdown === 1 ? 'in real time' : `${this.slowdown} times slower than real`;
  }

  start(): void {
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#step(), STEP_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #step(): void {
    const nowMs = performance.now();
    const passedPs = ((nowMs - this.#lastMs) * 1e9) / this.slowdown;
    this.#lastMs = nowMs;
    // More bursts than the trial foretold: the fabric stands still until its reports are out.
    if (this.#queue.length < MAX_WAITING_DATAGRAMS) {
      this.#run.advance(Math.round(this.#run.simulator.nowPs + passedPs));
      this.#run.flush();
    }
    const datagrams = Math.ceil((MAX_DATAGRAMS_PER_SECOND * STEP_MS) / 1000);
    for (const datagram of this.#queue.splice(0, datagrams)) this.#socket.send(datagram, this.#port, '127.0.0.1');
  }
}

/** By how much the scenario must be slowed, from a trial of its beginning; whole. */
function slowdownOf(scenario: Scenario, seed: number): number {
  let packets = 0;
  const trial = new Simulator(scenario, seed, [{ left: () => void packets++ }]);
  const stepPs = scenario.duration / 1000;
  while (trial.nowPs < scenario.duration && trial.events < TRIAL_EVENTS) trial.run(trial.nowPs + stepPs);
  const seconds = trial.nowPs / 1e12;
  const { group, dialect } = scenario.telemetry;
  const datagrams = packets / (dialect === 'report-v0.5' ? 1 : group / PARTIAL_GROUPS);
  return Math.max(1, Math.ceil(Math.max(trial.events / MAX_EVENTS_PER_SECOND, datagrams / MAX_DATAGRAMS_PER_SECOND) / seconds));
}
