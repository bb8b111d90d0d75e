// One run of a scenario from beginning to end: fabric, telemetry, and optionally the truth. The same fabric can be seen through several telemetries at
// once; datagrams of each come out in the order of their arrival.

import type { Scenario, TelemetrySpec } from './scenario.ts';
import { Simulator, type FabricObserver } from './simulator.ts';
import type { Datagram } from './telemetry/datagram.ts';
import { Exporter } from './telemetry/exporter.ts';
import { Transport } from './telemetry/transport.ts';
import { GroundTruth } from './truth/ground-truth.ts';

/** Unix time, in seconds and ns, when a fabric begins whose time is its own. */
export const FABRIC_EPOCH_UNIX_SECONDS = 1_790_000_000;
export const FABRIC_EPOCH_UNIX_NS = BigInt(FABRIC_EPOCH_UNIX_SECONDS) * 1_000_000_000n;

export interface FabricView {
  telemetry: TelemetrySpec;
  receive: (datagram: Datagram) => void;
}

export interface FabricRunOptions {
  scenario: Scenario;
  seed: number;
  /** Unix time when the fabric begins, ns: device clocks count from the epoch. */
  epochUnixNs: bigint;
  views: readonly FabricView[];
  /** Where the truth is not asked for, it is not computed. */
  withTruth?: boolean;
}

/** Fabric time that goes by between two looks at what has arrived. */
const STEP_PS = 1e9;

export class FabricRun {
  readonly simulator: Simulator;
  readonly exporters: readonly Exporter[];
  readonly truth: GroundTruth | undefined;
  readonly #transports: readonly Transport[];

  constructor({ scenario, seed, epochUnixNs, views, withTruth }: FabricRunOptions) {
    const observers: FabricObserver[] = [];
    this.simulator = new Simulator(scenario, seed, observers);
    this.#transports = views.map(({ telemetry, receive }) => new Transport(this.simulator.topology, telemetry, seed, receive));
    this.exporters = views.map(
      ({ telemetry }, i) =>
        new Exporter(this.simulator, telemetry, epochUnixNs, (datagram) => this.#transports[i].send(datagram)),
    );
    if (withTruth === true) {
      this.truth = new GroundTruth(this.simulator);
      observers.push(this.truth);
    }
    observers.push(...this.exporters);
  }

  /** Lets the fabric run until `untilPs`, and hands on what has arrived by then. */
  advance(untilPs: number): void {
    for (let ps = this.simulator.nowPs; ps < untilPs;) {
      ps = Math.min(untilPs, ps + STEP_PS);
      this.simulator.run(ps);
      for (const transport of this.#transports) transport.advance(ps);
    }
  }

  /** Sends what waits in the switches for its datagram to be full. */
  flush(): void {
    for (const exporter of this.exporters) exporter.flush();
    for (const transport of this.#transports) transport.advance(this.simulator.nowPs);
  }

  /** Runs to the end of the scenario; everything that is under way then still arrives. */
  finish(): void {
    this.advance(this.simulator.scenario.duration);
    for (const exporter of this.exporters) exporter.flush();
    for (const transport of this.#transports) transport.advance(Infinity);
    this.truth?.finish();
  }
}
