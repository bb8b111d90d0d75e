// Every octet of a datagram by offset, field and value, for `hopscope decode --explain`: a walk over the tables of wire-layout, which shares nothing with
// the decoders, so that each checks the other. It shows what lies where and judges nothing; what deviates is for the decoder to say.

import { FieldWalk, type ExplainedField } from './explain-fields.ts';
import { PacketWalk, type IntMarkers } from './explain-packet.ts';
import type { Dialect } from './hop.ts';
import { DROP_METADATA, INT_METADATA, LAYOUTS } from './wire-layout.ts';

/** InType of a report v2.0: Ethernet (section 3.2). */
const IN_TYPE_ETHERNET = 3;

/** The fields of a datagram of this dialect. */
export function explain(bytes: Uint8Array, dialect: Dialect, intMarkers: IntMarkers): ExplainedField[] {
  const walk = new FieldWalk(bytes);
  const datagram = new DatagramWalk(walk, intMarkers);
  if (dialect === 'report-v0.5' || dialect === 'host-int') datagram.reportV05();
  else if (dialect === 'report-v1.0') datagram.reportV10();
  else if (dialect === 'report-v2.0') datagram.reportV20();
  else if (dialect === 'sflow-v5') datagram.sflow();
  else datagram.ipfix();
  walk.rest('left over', bytes.length);
  return walk.fields;
}

class DatagramWalk {
  readonly #walk: FieldWalk;
  readonly #packet: PacketWalk;

  constructor(walk: FieldWalk, markers: IntMarkers) {
    this.#walk = walk;
    this.#packet = new PacketWalk(walk, markers);
  }

  reportV05(): void {
    const head = this.#walk.take('report v0.5', LAYOUTS.reportV05);
    if (head === undefined) return;
    if (head.NProto === 1) this.#walk.take('drop', LAYOUTS.reportV05Drop);
    else if (head.NProto === 2) this.#walk.take('local', LAYOUTS.reportV05Local);
    else if (head.NProto === 3) this.#walk.take('drop summary', LAYOUTS.hostIntDrop);
    else if (head.NProto === 4 && this.#walk.octet(this.#walk.at) !== 0x45)
      this.#walk.take('sink', [{ name: 'NodeID', bits: 32, format: 'number' }]);
    if (head.NProto >= 3) this.#packet.network('ipv4', head.NProto === 4);
    else this.#packet.ethernet();
  }

  reportV10(): void {
    const head = this.#walk.take('report v1.0', LAYOUTS.reportV10);
    if (head === undefined) return;
    const end = Math.min(this.#walk.end, head.Length * 4);
    const metadata = [
      INT_METADATA.v1[1],
      INT_METADATA.v1[2],
      INT_METADATA.v1[3],
      INT_METADATA.v1[5],
      DROP_METADATA,
      INT_METADATA.v1[7],
    ];
    metadata.forEach((fields, bit) => {
      if ((head.RepMdBits & (0x20 >>> bit)) !== 0 && this.#walk.at < end) this.#walk.take('metadata', fields);
    });
    this.#walk.rest('metadata', end);
    if (head.NProt === 0) this.#packet.ethernet();
    else if (head.NProt <= 2) this.#packet.network(head.NProt === 1 ? 'ipv4' : 'ipv6', false);
  }

  reportV20(): void {
    if (this.#walk.take('group', LAYOUTS.reportV20Group) === undefined) return;
    for (let index = 0; this.#walk.at + 4 <= this.#walk.end && !this.#walk.isFull; index++) {
      const start = this.#walk.at;
      const head = this.#walk.take(`report ${index}`, LAYOUTS.reportV20Head)!;
      const toEnd = head.ReportLength === 0xff || (head.ReportLength === 0 && head.RepType === 1);
      const end = toEnd ? this.#walk.end : Math.min(this.#walk.end, start + 4 + head.ReportLength * 4);
      this.#walk.within(end, () => {
        if (head.RepType === 1) this.#mainContents(head.MDLength * 4);
        if (head.RepType <= 1) this.#packet.innerContents(head.InType);
      });
    }
  }

  sflow(): void {
    const head = this.#walk.take('sflow', LAYOUTS.sflow);
    if (head === undefined) return;
    this.#walk.take('agent', [
      head.AddressType === 2 ? { name: 'Address', bits: 128, format: 'ipv6' } : { name: 'Address', bits: 32, format: 'ipv4' },
    ]);
    const tail = this.#walk.take('sflow', LAYOUTS.sflowTail);
    for (let index = 0; tail !== undefined && index < tail.Samples && this.#walk.at + 8 <= this.#walk.end; index++) {
      if (this.#walk.isFull) return;
      const sample = this.#walk.take(`sample ${index}`, LAYOUTS.sflowSample)!;
      this.#walk.within(this.#walk.at + wholeWords(sample.Length), () => {
        if (sample.Enterprise !== 0 || (sample.Format !== 1 && sample.Format !== 2)) return;
        const found = this.#walk.take('sample', sample.Format === 1 ? LAYOUTS.sflowFlow : LAYOUTS.sflowCounters);
        for (let n = 0; found !== undefined && n < found.Records && this.#walk.at + 8 <= this.#walk.end; n++)
          this.#sflowRecord(sample.Format);
      });
    }
  }

  ipfix(): void {
    if (this.#walk.take('ipfix', LAYOUTS.ipfix) === undefined) return;
    while (this.#walk.at + 4 <= this.#walk.end && !this.#walk.isFull) {
      const start = this.#walk.at;
      const set = this.#walk.take('set', LAYOUTS.ipfixSet)!;
      if (set.Length < 4) return;
      this.#walk.rest('set', Math.min(this.#walk.end, start + set.Length));
    }
  }

  #mainContents(metadataBytes: number): void {
    const main = this.#walk.take('main', LAYOUTS.reportV20Main);
    if (main === undefined) return;
    const walkMetadata = (): void => {
      for (let bit = 0; bit < 16 && this.#walk.at < this.#walk.end; bit++) {
        if ((main.RepMdBits & (0x8000 >>> bit)) === 0) continue;
        if (bit === 15) this.#walk.take('metadata', DROP_METADATA);
        else if (bit < INT_METADATA.v2.length) this.#walk.take('metadata', INT_METADATA.v2[bit]);
        else this.#walk.take('metadata', [{ name: 'Reserved', bits: 32, format: 'hex' }]);
      }
    };
    this.#walk.within(this.#walk.at + metadataBytes, walkMetadata, 'metadata');
  }

  #sflowRecord(sampleFormat: number): void {
    const record = this.#walk.take('record', LAYOUTS.sflowSample)!;
    this.#walk.within(this.#walk.at + wholeWords(record.Length), () => {
      if (record.Enterprise !== 0 || record.Format !== 1 || sampleFormat !== 1) return;
      const raw = this.#walk.take('raw header', LAYOUTS.sflowRaw);
      if (raw === undefined) return;
      this.#walk.within(this.#walk.at + raw.HeaderLength, () => {
        if (raw.Protocol === 1) this.#packet.innerContents(IN_TYPE_ETHERNET);
      });
    });
  }
}

/** What XDR fills a length to (RFC 4506 section 3). */
function wholeWords(bytes: number): number {
  return (bytes + 3) & ~3;
}
