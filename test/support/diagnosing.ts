// Pipeline and diagnosis in memory, without threads or sockets: datagrams of a simulated fabric go in, incidents come out.

import { stringify } from 'yaml';
import { planFor } from '../../alerts/remediation/plan.ts';
import { parseConfig } from '../../collector/config.ts';
import { Diagnosis } from '../../collector/diagnosis.ts';
import { Identify } from '../../collector/identify/identify.ts';
import { Inventory } from '../../collector/identify/inventory.ts';
import type { OwnerMap } from '../../collector/identify/owner-map.ts';
import { Pipeline } from '../../collector/pipeline.ts';
import { capacityOf, SharedState, thresholdsOf } from '../../collector/shared-state.ts';
import { SourceDirectory } from '../../collector/source-directory.ts';
import { Timeline } from '../../collector/timeline.ts';
import { FABRIC_EPOCH_UNIX_MS, type FabricDatagram } from './fabric-datagrams.ts';

export class Diagnosing {
  readonly diagnosis: Diagnosis;
  readonly #pipeline: Pipeline;
  readonly #sources: SourceDirectory;

  /** `settings` as in the configuration file; `maps` own addresses before its inventory does. */
  constructor(settings: object, maps: readonly OwnerMap[] = []) {
    const config = parseConfig(stringify(settings));
    const state = new SharedState(capacityOf(config), thresholdsOf(config));
    this.#pipeline = new Pipeline(state);
    this.#sources = new SourceDirectory(config.ingest.sources);
    const identify = new Identify(maps, new Inventory(config.inventory));
    this.diagnosis = new Diagnosis({
      state,
      config,
      timeline: new Timeline(FABRIC_EPOCH_UNIX_MS),
      ownerAt: (words, offset, unixMs) => identify.ownerAt(words, offset, unixMs),
      planFor: (incident) => planFor(incident, config.remediation),
      onIncident: () => undefined,
    });
  }

  /** Takes a datagram 1 ns after it left its switch, from the address that `scenarioSettings` gives the node. */
  receive({ atNs, node, bytes }: FabricDatagram): void {
    this.#pipeline.receive(bytes, 0, bytes.length, this.#sources.sourceOfText(`10.0.9.${node + 1}`), 32_766, atNs + 1);
  }
}
