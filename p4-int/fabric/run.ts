// One run of a scenario from beginning to end: fabric, telemetry, and optionally the truth; datagrams come out in the order of their arrival.

import type { Scenario } from './scenario.ts';
import { Simulator, type FabricObserver } from './simulator.ts';
import type { Datagram } from './telemetry/datagram.ts';
import { Exporter } from './telemetry/exporter.ts';
import { Transport } from './telemetry/transport.ts';
import { GroundTruth } from './truth/ground-truth.ts';

export interface FabricRunOptions {
  scenario: Scenario;
  seed: number;
  /** Unix time when the fabric begins, ns: device clocks count from the epoch. */
  epochUnixNs: bigint;
  receive(datagram: Datagram): void;
  /** Where the truth is not asked for, it is not computed. */
  withTruth?: boolean;
}

/** Fabric time that goes by between two looks at what has arrived. */
const STEP_PS = 1e9;

export class FabricRun {
  readonly simulator: Simulator;
  readonly exporter: Exporter;
  readonly transport: Transport;
  readonly truth: GroundTruth | undefined;

  constructor(options: FabricRunOptions) {
    const { scenario, seed } = options;
    const observers: FabricObserver[] = [];
    this.simulator = new Simulator(scenario, seed, observers);
    this.transport = new Transport(this.simulator.topology, scenario, seed, (datagram) => options.receive(datagram));
    this.exporter = new Exporter(this.simulator, options.epochUnixNs, (datagram) => this.transport.send(datagram));
    if (options.withTruth === true) {
      this.truth = new GroundTruth(this.simulator);
      observers.push(this.truth);
    }
    observers.push(this.exporter);
  }

  /** Lets the fabric run until `untilPs`, and hands on what has arrived by then. */
  advance(untilPs: number): void {
    for (let ps = this.simulator.nowPs; ps < untilPs;) {
      ps = Math.min(untilPs, ps + STEP_PS);
      this.simulator.run(ps);
      this.transport.advance(ps);
    }
  }

  /** Runs to the end of the scenario; everything that is under way then still arrives. */
  finish(): void {
    this.advance(this.simulator.scenario.duration);
    this.exporter.flush();
    this.transport.advance(Infinity);
    this.truth?.finish();
  }
}
