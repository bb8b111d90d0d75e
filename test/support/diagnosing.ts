// The collector in memory for tests: datagrams of a simulated fabric go in, incidents come out.

import { stringify } from 'yaml';
import { parseConfig } from '../../collector/config.ts';
import { InMemoryCollector } from '../../collector/in-memory.ts';
import type { OwnerMap } from '../../collector/identify/owner-map.ts';
import { FABRIC_EPOCH_UNIX_MS, type FabricDatagram } from './fabric-datagrams.ts';

export class Diagnosing extends InMemoryCollector {
  /** `settings` as in the configuration file; `maps` own addresses before its inventory does. */
  constructor(settings: object, maps: readonly OwnerMap[] = []) {
    super({ config: parseConfig(stringify(settings)), epochUnixMs: FABRIC_EPOCH_UNIX_MS, maps });
  }

  /** Takes a datagram 1 ns after it left its switch, from the address that `scenarioSettings` gives the node. */
  take({ atNs, node, bytes }: FabricDatagram): void {
    this.receive(atNs + 1, bytes, `10.0.9.${node + 1}`, 32_766);
  }
}
