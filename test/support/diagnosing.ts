// Pipeline and diagnosis in memory, without threads or sockets: datagrams of a simulated fabric go in, incidents come out.

import { stringify } from 'yaml';
import { planFor } from '../../alerts/remediation/plan.ts';
import { writeAddressWords } from '../../collector/address.ts';
import { Admission } from '../../collector/admission.ts';
import { parseConfig } from '../../collector/config.ts';
import { viewOf } from '../../collector/decode/bytes.ts';
import { Diagnosis, incidentBookOf } from '../../collector/diagnosis.ts';
import { Identify } from '../../collector/identify/identify.ts';
import { Inventory } from '../../collector/identify/inventory.ts';
import type { OwnerMap } from '../../collector/identify/owner-map.ts';
import { pipelineOver, type Pipeline } from '../../collector/pipeline.ts';
import { capacityOf, HashSecret, SharedState, thresholdsOf } from '../../collector/shared-state.ts';
import { Timeline } from '../../collector/timeline.ts';
import { FABRIC_EPOCH_UNIX_MS, type FabricDatagram } from './fabric-datagrams.ts';

export class Diagnosing {
  readonly diagnosis: Diagnosis;
  readonly #pipeline: Pipeline;
  readonly #source = new Uint32Array(4);

  /** `settings` as in the configuration file; `maps` own addresses before its inventory does. */
  constructor(settings: object, maps: readonly OwnerMap[] = []) {
    const config = parseConfig(stringify(settings));
    const state = SharedState.allocate(capacityOf(config), thresholdsOf(config), HashSecret.fixed());
    this.#pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
    const timeline = new Timeline(FABRIC_EPOCH_UNIX_MS);
    const identify = new Identify(maps, new Inventory(config.inventory));
    this.diagnosis = new Diagnosis({
      state,
      config,
      timeline,
      ownerAt: (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs),
      incidents: incidentBookOf(
        config,
        timeline,
        (incident) => planFor(incident, config.remediation),
        () => undefined,
      ),
    });
  }

  /** Takes a datagram 1 ns after it left its switch, from the address that `scenarioSettings` gives the node. */
  receive({ atNs, node, bytes }: FabricDatagram): void {
    writeAddressWords(`10.0.9.${node + 1}`, this.#source, 0);
    this.#pipeline.arrive(atNs + 1);
    this.#pipeline.receive(viewOf(bytes), 0, bytes.length, this.#source, 32_766, 0);
    this.#pipeline.settle();
  }
}
