// A simulated fabric in real time: runs along with the wall clock and sends its reports as real UDP datagrams, evenly paced.
// Rule: traffic goes to loopback only; this is a rehearsal, not a load generator.

import { createSocket, type Socket } from 'node:dgram';
import { Exporter } from './exporter.ts';
import { Simulator } from './simulator.ts';
import type { Scenario } from './scenario.ts';

const STEP_MS = 20;
/** Datagrams per step: 4,000 a second at most, so that a small receive buffer holds them. */
const DATAGRAMS_PER_STEP = 80;

export class LiveFabric {
  readonly #socket: Socket = createSocket('udp4');
  readonly #simulator: Simulator;
  readonly #exporter: Exporter;
  readonly #port: number;
  readonly #startedMs = performance.now();
  readonly #queue: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `port` is where the collector listens on 127.0.0.1. */
  constructor(scenario: Scenario, seed: number, port: number) {
    this.#port = port;
    this.#exporter = new Exporter(
      scenario.topology,
      scenario.flows,
      { reportsPerDatagram: 8, epochUnixNs: BigInt(Date.now()) * 1_000_000n, clockSpreadNs: 50_000, seed },
      (datagram) => this.#queue.push(datagram),
    );
    this.#simulator = new Simulator(scenario.topology, scenario.flows, seed, (hop) => this.#exporter.observe(hop));
  }

  /** Reports sent so far, those that still wait for their turn included. */
  get reports(): number {
    return this.#exporter.reports;
  }

  start(): void {
    this.#timer = setInterval(() => this.#step(), STEP_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #step(): void {
    this.#simulator.run((performance.now() - this.#startedMs) * 1e6);
    this.#exporter.flush();
    for (const datagram of this.#queue.splice(0, DATAGRAMS_PER_STEP)) this.#socket.send(datagram, this.#port, '127.0.0.1');
  }
}
