// The whole collector in one thread, without sockets and clocks: datagrams and their time of arrival go in, incidents come out. Replays, scores and
// tests stand on it; what decodes, observes and diagnoses is what runs live.

import { writeAddressWords } from './address.ts';
import { Admission } from './admission.ts';
import type { Config } from './config.ts';
import { viewOf } from './decode/bytes.ts';
import { Diagnosis, incidentBookOf } from './diagnosis.ts';
import type { FabricEvent, Incident, IncidentChange } from './event.ts';
import { Identify } from './identify/identify.ts';
import { Inventory } from './identify/inventory.ts';
import type { OwnerMap } from './identify/owner-map.ts';
import { planFor } from '../alerts/remediation/plan.ts';
import { pipelineOver, type Pipeline } from './pipeline.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from './shared-state.ts';
import { Timeline } from './timeline.ts';

/** How often the diagnosis looks, as in the live collector. */
const POLL_NS = 20e6;

export interface InMemoryOptions {
  config: Config;
  /** Wall-clock milliseconds at collector time 0, which is never the time of an arrival. */
  epochUnixMs: number;
  /** Owners of addresses that are asked before the inventory. */
  maps?: readonly OwnerMap[];
  onIncident?: ((incident: Incident, change: IncidentChange) => void) | undefined;
  /** Told of every new state of an event; `nowNs` is collector time. */
  onEvent?: ((event: FabricEvent, nowNs: number) => void) | undefined;
}

export class InMemoryCollector {
  readonly state: SharedState;
  readonly diagnosis: Diagnosis;
  readonly #pipeline: Pipeline;
  readonly #source = new Uint32Array(4);
  #polledNs = 0;

  constructor({ config, epochUnixMs, maps = [], onIncident, onEvent }: InMemoryOptions) {
    this.state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.fixed());
    this.#pipeline = pipelineOver(this.state, new Admission(this.state.exporters, config.ingest));
    const timeline = new Timeline(epochUnixMs);
    const identify = new Identify(maps, new Inventory(config.inventory));
    this.diagnosis = new Diagnosis({
      state: this.state,
      config,
      timeline,
      ownerAt: (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs),
      incidents: incidentBookOf(
        config,
        timeline,
        (incident) => planFor(incident, config.remediation),
        (incident, change) => onIncident?.(incident, change),
      ),
      onEvent,
    });
  }

  /** Takes a datagram; times must not go back. */
  receive(atNs: number, payload: Uint8Array, sourceAddress: string, destinationPort: number): void {
    writeAddressWords(sourceAddress, this.#source, 0);
    this.#pipeline.arrive(atNs);
    this.#pipeline.receive(viewOf(payload), 0, payload.length, this.#source, destinationPort, 0);
    this.#pipeline.settle();
  }

  /** Does what the collector's timer would have done before `nowNs`. */
  pollUntil(nowNs: number): void {
    for (; this.#polledNs < nowNs; this.#polledNs += POLL_NS) {
      const isBehind = this.diagnosis.poll(this.#polledNs);
      if (isBehind || !this.diagnosis.isIdle) continue;
      // Nothing would come of the polls until then.
      this.#polledNs = Math.max(this.#polledNs, Math.floor((nowNs - 1) / POLL_NS) * POLL_NS);
    }
  }

  /** Works off all that waits, and brings what is open up to date. */
  finish(): void {
    while (this.diagnosis.poll(this.#polledNs));
    this.diagnosis.refresh(this.#polledNs);
  }
}
