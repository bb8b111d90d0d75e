// Exporters by address: their words, their stand-in key and the profile that the configuration gives them. Made once per address.
// Rule: bounded. A flood of spoofed addresses turns the cache over; it never fills memory, and a known exporter costs nothing.

import ipaddr from 'ipaddr.js';
import { addressText, writeAddressWords } from './address.ts';
import type { Config } from './config.ts';
import { IDENTITY_PROFILE, type SourceProfile } from './decode/profile.ts';
import { Arena, measure } from './memory/arena.ts';
import { KeyTable } from './memory/key-table.ts';
import { sourceKeyOf, type Source } from './pipeline.ts';

const MAX_KNOWN = 4096;

type SourceConfig = Config['ingest']['sources'][number];

export class SourceDirectory {
  readonly #rules: { prefixes: [ipaddr.IPv4 | ipaddr.IPv6, number][]; profile: SourceProfile }[];
  readonly #keys: KeyTable;
  readonly #known: Source[] = [];
  #asked = 0;

  constructor(sources: readonly SourceConfig[]) {
    const build = (arena: Arena): KeyTable => new KeyTable(arena, MAX_KNOWN, 4, 0);
    this.#keys = build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
    this.#rules = sources.map((entry) => ({ prefixes: entry.addresses.map(prefixOf), profile: profileOf(entry) }));
  }

  /** The source with this address in text form, as a capture gives it. */
  sourceOfText(address: string): Source {
    const words = new Uint32Array(4);
    writeAddressWords(address, words, 0);
    return this.sourceOf(words);
  }

  /** The source with this address in four words, as a socket gives it. Allocates only for an address that is new. */
  sourceOf(words: Uint32Array): Source {
    const { wanted } = this.#keys;
    for (let word = 0; word < 4; word++) wanted[word] = words[word];
    // Time is counted in questions: the least recently asked for makes room.
    const row = this.#keys.rowOf(++this.#asked);
    if (this.#keys.isNew) {
      const own = words.slice();
      this.#known[row] = { words: own, key: sourceKeyOf(own, 0), profile: this.#profileFor(addressText(own, 0)) };
    }
    return this.#known[row];
  }

  #profileFor(text: string): SourceProfile {
    const parsed = ipaddr.process(text);
    const matches = ([network, bits]: [ipaddr.IPv4 | ipaddr.IPv6, number]): boolean =>
      network.kind() === parsed.kind() && parsed.match([network, bits] as never);
    return this.#rules.find((rule) => rule.prefixes.some(matches))?.profile ?? IDENTITY_PROFILE;
  }
}

function prefixOf(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const parsed = ipaddr.parse(text);
  return [parsed, parsed.kind() === 'ipv4' ? 32 : 128];
}

function profileOf(entry: SourceConfig): SourceProfile {
  return {
    timestampUnitNs: entry.timestampUnit === 'us' ? 1000 : 1,
    occupancyUnitBytes: entry.occupancyUnit === 'unknown' ? 0 : entry.occupancyUnit === 'bytes' ? 1 : entry.occupancyUnitBytes!,
    portBytesPerNs: entry.portRate ?? 0,
    emptyLatencyNs: entry.emptyLatency ?? Infinity,
    intDscp: entry.intDscp,
    intUdpPort: entry.intUdpPort,
    strict: entry.strict,
  };
}
