// One answer to "who owned this address then?": Kubernetes first, then the static inventory, then an honest unknown.

import { addressText } from '../address.ts';
import type { Owner } from '../event.ts';
import type { Inventory } from './inventory.ts';
import type { OwnerMap } from './owner-map.ts';

const UNKNOWN: Owner = { kind: 'unknown', namespace: 'unknown', workload: 'unknown', confidence: 0 };

/** What was asked and answered, for the identity health metric. */
export interface IdentifyCounts {
  resolved: number;
  unresolved: number;
}

export class Identify {
  readonly #maps: readonly OwnerMap[];
  readonly #inventory: Inventory;
  readonly counts: IdentifyCounts = { resolved: 0, unresolved: 0 };

  /** `maps` are asked in order before the inventory. */
  constructor(maps: readonly OwnerMap[], inventory: Inventory) {
    this.#maps = maps;
    this.#inventory = inventory;
  }

  /** Owner of the address at `words[offset]` at wall-clock time `unixMs`. */
  ownerAt(words: Uint32Array, offset: number, unixMs: number): Owner {
    const address = addressText(words, offset);
    for (const map of this.#maps) {
      const owner = map.ownerAt(address, unixMs);
      if (owner !== undefined) return this.#count(owner);
    }
    return this.#count(this.#inventory.ownerOf(address) ?? UNKNOWN);
  }

  #count(owner: Owner): Owner {
    if (owner.kind === 'unknown') this.counts.unresolved++;
    else this.counts.resolved++;
    return owner;
  }
}
