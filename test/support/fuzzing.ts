// Mutated datagrams of every dialect, seeded; and what must hold of whatever a decoder makes of them.

import { viewOf } from '../../collector/decode/bytes.ts';
import { decoderOver } from '../../collector/decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from '../../collector/decode/outcome.ts';
import { IDENTITY_PROFILE, type SourceProfile } from '../../collector/decode/profile.ts';
import { HopBatch } from '../../collector/hop.ts';
import { readCapture } from '../../collector/ingest/capture.ts';
import { datagramOf } from '../../collector/ingest/frame.ts';
import { randomStream } from '../../p4-int/fabric/random.ts';
import { DIALECT_SAMPLES } from './dialect-samples.ts';
import { CAPTURES, capturePath, VECTORS } from './fixtures.ts';

/** Octets around a datagram: a read beyond its end finds something, and changes the result. */
const GUARD = 64;
const MAX_BYTES = 9000;
/** Numbers at which lengths and counts break. */
const EDGES_8 = [0, 1, 2, 3, 0x1f, 0x7f, 0x80, 0xfe, 0xff];
const EDGES_32 = [0, 1, 4, 7, 8, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff];

/** What all inputs are mutations of. */
export function seedDatagrams(): Uint8Array[] {
  const found = [
    ...VECTORS.map((vector) => Uint8Array.from(Buffer.from(vector.hex, 'hex'))),
    ...DIALECT_SAMPLES.map(({ bytes }) => Uint8Array.from(bytes)),
  ];
  for (const name of CAPTURES) {
    for (const frame of readCapture(capturePath(name))) {
      const datagram = datagramOf(frame.data, frame.linkType);
      if (datagram !== undefined) found.push(datagram.payload.slice());
    }
  }
  return found;
}

/** Profiles that open every door: all markers of in-band telemetry, and what only a profile reads. */
const PROFILES: readonly SourceProfile[] = [
  IDENTITY_PROFILE,
  { ...IDENTITY_PROFILE, strict: true },
  {
    ...IDENTITY_PROFILE,
    intUdpPort: 555,
    intGreProtocol: 0x4569,
    intMxStack: true,
    ifaProtocol: 131,
    intSourceOnlyBytes: new Map([[0x5453, 8]]),
    ipfixElements: DIALECT_SAMPLES.find(({ profile }) => profile.ipfixElements.size > 0)!.profile.ipfixElements,
    interfaces: new Map([[1, 1001]]),
  },
  { ...IDENTITY_PROFILE, reportVersion: 2, intDscp: 0 },
];

export class Fuzzer {
  readonly batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
  readonly outcome = new DatagramOutcome();
  readonly #decode = decoderOver(this.batch, this.outcome);
  readonly #random: () => number;
  readonly #pool: readonly Uint8Array[];
  readonly #bytes = new Uint8Array(GUARD + MAX_BYTES + GUARD);
  readonly #numbers = new DataView(this.#bytes.buffer);
  readonly #view = viewOf(this.#bytes);
  #length = 0;

  constructor(seed: number, pool: readonly Uint8Array[] = seedDatagrams()) {
    this.#random = randomStream(seed, 'mutation');
    this.#pool = pool;
  }

  /** The datagram that was tried last, in hexadecimal. */
  get hex(): string {
    return Buffer.from(this.#bytes.subarray(GUARD, GUARD + this.#length)).toString('hex');
  }

  get length(): number {
    return this.#length;
  }

  /** Makes the next input, as it will be tried. */
  mutate(): void {
    const base = this.#pool[this.#pick(this.#pool.length)];
    this.#bytes.fill(this.#pick(256));
    this.#length = Math.min(MAX_BYTES, base.length);
    this.#bytes.set(base.subarray(0, this.#length), GUARD);
    for (let changes = this.#pick(6); changes > 0 && this.#length > 0; changes--) this.#change();
    if (this.#random() < 0.3) this.#length = this.#pick(this.#length + 1);
  }

  /** Decodes the input; undefined when everything holds that must. */
  check(): string | undefined {
    this.batch.clear();
    const profile = PROFILES[this.#pick(PROFILES.length)];
    try {
      this.#decode(this.#view, GUARD, GUARD + this.#length, profile);
    } catch (error) {
      return `it throws ${(error as Error).message}`;
    }
    return violation(this.batch, this.outcome, this.#length);
  }

  /** One change: an octet, a number at a break, a piece repeated, taken out, or taken from another datagram. */
  #change(): void {
    const at = GUARD + this.#pick(this.#length);
    const kind = this.#random();
    if (kind < 0.3) this.#bytes[at] = EDGES_8[this.#pick(EDGES_8.length)];
    else if (kind < 0.5) this.#bytes[at] = this.#pick(256);
    else if (kind < 0.6) this.#numbers.setUint32(at, EDGES_32[this.#pick(EDGES_32.length)]);
    else if (kind < 0.65) this.#numbers.setUint16(at, this.#numbers.getUint16(at) + (this.#random() < 0.5 ? 1 : -1));
    else if (kind < 0.8) this.#insert(at, this.#bytes.slice(at, at + 4 * (1 + this.#pick(16))));
    else if (kind < 0.9) this.#remove(at, 4 * (1 + this.#pick(16)));
    else {
      const other = this.#pool[this.#pick(this.#pool.length)];
      const from = this.#pick(other.length + 1);
      this.#insert(at, other.subarray(from, from + 4 * (1 + this.#pick(32))));
    }
  }

  #insert(at: number, piece: Uint8Array): void {
    if (this.#length + piece.length > MAX_BYTES) return;
    this.#bytes.copyWithin(at + piece.length, at, GUARD + this.#length);
    this.#bytes.set(piece, at);
    this.#length += piece.length;
  }

  #remove(at: number, count: number): void {
    const taken = Math.min(count, GUARD + this.#length - at);
    this.#bytes.copyWithin(at, at + taken, GUARD + this.#length);
    this.#length -= taken;
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n);
  }
}

/** What is wrong with the rows that a datagram of so many octets left; undefined when nothing is. Without `expect`, which is too slow. */
export function violation(batch: HopBatch, outcome: DatagramOutcome, length: number): string | undefined {
  const { reports, links } = batch;
  const rows = batch.length + reports.length + links.length + batch.datagrams.length;
  if (outcome.rejected !== 0 && rows !== 0) return 'a rejected datagram left rows';
  if (outcome.rejected === 0 && reports.length + outcome.refusedReports !== outcome.framedReports) return 'reports do not add up';
  if (outcome.framedReports > Math.max(1, length)) return 'more reports than octets';
  if (links.length * 88 > length) return 'more interfaces than octets allow';
  let hops = 0;
  for (let report = 0; report < reports.length; report++) {
    if (reports.firstHop[report] !== hops) return 'hops of a report are not where they should be';
    hops += reports.hopCount[report];
  }
  if (hops !== batch.length) return 'a hop belongs to no report';
  if (batch.length > MAX_HOPS_PER_DATAGRAM) return 'more hops than the batch holds';
  for (let hop = 0; hop < batch.length; hop++) if (batch.report[hop] >= reports.length) return 'a hop names no report';
  return undefined;
}
