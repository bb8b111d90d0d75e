// Exporters by address: their words, their stand-in key and the profile that the configuration gives them. Made once per address.
// Rule: bounded. A flood of spoofed addresses empties the cache now and then; it never fills memory.

import ipaddr from 'ipaddr.js';
import { writeAddressWords } from './address.ts';
import type { Config } from './config.ts';
import { IDENTITY_PROFILE, type SourceProfile } from './decode/profile.ts';
import { sourceKeyOf, type Source } from './pipeline.ts';

const MAX_CACHED = 4096;

type SourceConfig = Config['ingest']['sources'][number];

export class SourceDirectory {
  readonly #rules: { prefixes: [ipaddr.IPv4 | ipaddr.IPv6, number][]; profile: SourceProfile }[];
  readonly #cache = new Map<string, Source>();

  constructor(sources: readonly SourceConfig[]) {
    this.#rules = sources.map((entry) => ({ prefixes: entry.addresses.map(prefixOf), profile: profileOf(entry) }));
  }

  /** The source with this address in text form, as a kernel or a capture gives it. */
  sourceOf(address: string): Source {
    const known = this.#cache.get(address);
    if (known !== undefined) return known;
    const words = new Uint32Array(4);
    writeAddressWords(address, words, 0);
    const source = { words, key: sourceKeyOf(words, 0), profile: this.#profileFor(address) };
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    this.#cache.set(address, source);
    return source;
  }

  #profileFor(text: string): SourceProfile {
    const parsed = ipaddr.process(text.includes('%') ? text.slice(0, text.indexOf('%')) : text);
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
