// Whose datagrams are decoded, and how: the allow-list, the rate limit, and the profile that the configuration gives an address.
// Made once per address, then reused: the packet path compares four words.

import { writeAddressWords } from './address.ts';
import { AddressSet } from './address-set.ts';
import type { Config } from './config.ts';
import { IDENTITY_PROFILE, type SourceProfile } from './decode/profile.ts';
import type { ExporterTable } from './observe/exporter.ts';

type IngestConfig = Pick<Config['ingest'], 'port' | 'sources' | 'allow' | 'maxRatePerSource'>;

/** An exporter as the packet path knows it. */
export interface Source {
  /** Row in the exporter table; 0 when there is no room. */
  readonly row: number;
  /** Address as four words. */
  readonly words: Uint32Array;
  /** Stands for the address where a report carries no node id; never 0. */
  readonly key: number;
  readonly profile: SourceProfile;
}

/** Stands for the address in four words where a report carries no node id; never 0. */
export function sourceKeyOf(words: Uint32Array, at: number): number {
  return (words[at] ^ words[at + 1] ^ words[at + 2] ^ words[at + 3]) >>> 0 || 1;
}

/** The same for an address as text. */
export function sourceKeyOfText(text: string): number {
  const words = new Uint32Array(4);
  writeAddressWords(text, words, 0);
  return sourceKeyOf(words, 0);
}

export class Admission {
  /** Datagrams per second and sender; Infinity when there is no limit. */
  readonly maxRatePerSource: number;
  readonly #exporters: ExporterTable;
  readonly #allowed: AddressSet;
  /** Of this port: the first that matches wins. */
  readonly #rules: { addresses: AddressSet | undefined; profile: SourceProfile }[];
  /** By row of the exporter table. */
  readonly #known: (Source | undefined)[] = [];
  #last: Source | undefined;

  constructor(exporters: ExporterTable, config: IngestConfig) {
    this.#exporters = exporters;
    this.maxRatePerSource = config.maxRatePerSource ?? Infinity;
    this.#allowed = new AddressSet(config.allow);
    this.#rules = config.sources
      .filter((rule) => rule.port === undefined || rule.port === config.port)
      .map(({ addresses, profile }) => ({ addresses: addresses && new AddressSet(addresses), profile }));
  }

  /**
   * The source with this address, or undefined when it is not admitted. `arrivalNs[0]` is the
   * collector's time. Allocates only for an address that is new.
   */
  sourceOf(words: Uint32Array, arrivalNs: Float64Array): Source | undefined {
    const last = this.#last;
    if (last === undefined || !isSame(last.words, words)) return this.#lookUp(words, arrivalNs[0]);
    this.#exporters.touch(last.row, arrivalNs[0]);
    return last;
  }

  #lookUp(words: Uint32Array, nowNs: number): Source | undefined {
    const { keys } = this.#exporters;
    if (this.#allowed.length > 0 && !this.#isKnown(words) && !this.#allowed.has(words, 0)) return undefined;
    const row = this.#exporters.rowOf(words, nowNs);
    const known = row === 0 || keys.isNew ? undefined : this.#known[row];
    if (known !== undefined) return (this.#last = known);
    const own = words.slice();
    const rule = this.#rules.find(({ addresses }) => addresses?.has(own, 0) ?? true);
    const profile = rule?.profile ?? IDENTITY_PROFILE;
    const source: Source = { row, words: own, key: sourceKeyOf(own, 0), profile };
    this.#known[row] = source;
    return (this.#last = source);
  }

  /** Who has a row was let in once: the walk through a long allow-list is for strangers. */
  #isKnown(words: Uint32Array): boolean {
    const { keys } = this.#exporters;
    keys.wanted.set(words);
    return keys.find() !== 0;
  }
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];
}
