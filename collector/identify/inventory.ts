// Static owners from the configuration: an address or a CIDR belongs to a workload, whatever the time. Longest prefix wins.

import ipaddr from 'ipaddr.js';
import type { Owner } from '../event.ts';

/** One line of the inventory, already checked by the configuration. */
export interface InventoryEntry {
  /** Address or CIDR. */
  address: string;
  namespace: string;
  workload: string;
  slice?: string | undefined;
}

interface Prefix {
  network: ipaddr.IPv4 | ipaddr.IPv6;
  bits: number;
  owner: Owner;
}

export class Inventory {
  readonly #prefixes: Prefix[];
  /** Answers already given; addresses are few beside look-ups, and the bound keeps a scan from filling memory. */
  readonly #answers = new Map<string, Owner | undefined>();

  constructor(entries: readonly InventoryEntry[]) {
    this.#prefixes = entries
      .map((entry) => {
        const [network, bits] = entry.address.includes('/')
          ? ipaddr.parseCIDR(entry.address)
          : [ipaddr.parse(entry.address), ipaddr.parse(entry.address).kind() === 'ipv4' ? 32 : 128];
        const { namespace, workload, slice } = entry;
        const owner: Owner = {
          kind: 'workload',
          namespace,
          workload,
          ...(slice === undefined ? {} : { slice }),
          confidence: 0.9,
        };
        return { network, bits, owner };
      })
      .sort((a, b) => b.bits - a.bits);
  }

  /** Owner of an address in canonical text, or undefined. */
  ownerOf(address: string): Owner | undefined {
    if (this.#answers.has(address)) return this.#answers.get(address);
    const parsed = ipaddr.parse(address);
    const found = this.#prefixes.find(
      (p) => p.network.kind() === parsed.kind() && parsed.match([p.network, p.bits] as never),
    )?.owner;
    if (this.#answers.size >= 65_536) this.#answers.clear();
    this.#answers.set(address, found);
    return found;
  }
}
