// Every octet of a datagram by offset, field and value, for `hopscope decode --explain`: a walk over the tables of wire-layout. It shows what lies where
// and judges nothing; what deviates is for the decoder to say.
// Rule: for people, and bounded: a walk that does not know what follows shows the rest as octets and ends.

import { DROP_METADATA, INT_METADATA, LAYOUTS, type WireField } from './wire-layout.ts';
import { ipv6Text } from './address.ts';
import type { Dialect } from './hop.ts';

/** One field: where it begins (octet, and bit within it), in which header, and its value as text. */
export interface ExplainedField {
  octet: number;
  bit: number;
  header: string;
  field: string;
  value: string;
}

const MAX_FIELDS = 4000;
const MAX_LAYERS = 12;
const IP_LAYER: Record<number, 'ipv4' | 'ipv6'> = { 0x0800: 'ipv4', 0x86dd: 'ipv6' };
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 44, 60]);
const VXLAN_PORTS: ReadonlySet<number> = new Set([4789, 8472, 6784, 4790]);

/** The fields of a datagram of this dialect. `intMarkers`: DSCP and UDP port that announce INT. */
export function explain(bytes: Uint8Array, dialect: Dialect, intMarkers: { dscp: number; udpPort: number }): ExplainedField[] {
  const walk = new Walk(bytes, intMarkers);
  if (dialect === 'report-v0.5' || dialect === 'host-int') walk.reportV05();
  else if (dialect === 'report-v1.0') walk.reportV10();
  else if (dialect === 'report-v2.0') walk.reportV20();
  else if (dialect === 'sflow-v5') walk.sflow();
  else walk.ipfix();
  walk.rest('left over', bytes.length);
  return walk.fields;
}

class Walk {
  readonly fields: ExplainedField[] = [];
  readonly #bytes: Uint8Array;
  readonly #markers: { dscp: number; udpPort: number };
  #at = 0;
  #end: number;
  #layers = 0;

  constructor(bytes: Uint8Array, markers: { dscp: number; udpPort: number }) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#markers = markers;
  }

  reportV05(): void {
    const head = this.take('report v0.5', LAYOUTS.reportV05);
    if (head === undefined) return;
    if (head.NProto === 1) this.take('drop', LAYOUTS.reportV05Drop);
    else if (head.NProto === 2) this.take('local', LAYOUTS.reportV05Local);
    else if (head.NProto === 3) this.take('drop summary', LAYOUTS.hostIntDrop);
    else if (head.NProto === 4 && this.#bytes[this.#at] !== 0x45)
      this.take('sink', [{ name: 'NodeID', bits: 32, format: 'number' }]);
    if (head.NProto >= 3) this.#network('ipv4', head.NProto === 4);
    else this.#ethernet();
  }

  reportV10(): void {
    const head = this.take('report v1.0', LAYOUTS.reportV10);
    if (head === undefined) return;
    const end = Math.min(this.#end, head.Length * 4);
    const metadata = [
      INT_METADATA.v1[1],
      INT_METADATA.v1[2],
      INT_METADATA.v1[3],
      INT_METADATA.v1[5],
      DROP_METADATA,
      INT_METADATA.v1[7],
    ];
    metadata.forEach((fields, bit) => {
      if ((head.RepMdBits & (0x20 >>> bit)) !== 0 && this.#at < end) this.take('metadata', fields);
    });
    this.rest('metadata', end);
    if (head.NProt === 0) this.#ethernet();
    else if (head.NProt <= 2) this.#network(head.NProt === 1 ? 'ipv4' : 'ipv6', false);
  }

  reportV20(): void {
    if (this.take('group', LAYOUTS.reportV20Group) === undefined) return;
    for (let index = 0; this.#at + 4 <= this.#bytes.length && this.fields.length < MAX_FIELDS; index++) {
      const start = this.#at;
      const head = this.take(`report ${index}`, LAYOUTS.reportV20Head)!;
      const toEnd = head.ReportLength === 0xff || (head.ReportLength === 0 && head.RepType === 1);
      const end = toEnd ? this.#bytes.length : Math.min(this.#bytes.length, start + 4 + head.ReportLength * 4);
      this.#within(end, () => {
        if (head.RepType === 1) this.#mainContents(head.MDLength * 4);
        if (head.RepType <= 1) this.#innerContents(head.InType);
      });
    }
  }

  sflow(): void {
    const head = this.take('sflow', LAYOUTS.sflow);
    if (head === undefined) return;
    this.take('agent', [
      head.AddressType === 2 ? { name: 'Address', bits: 128, format: 'ipv6' } : { name: 'Address', bits: 32, format: 'ipv4' },
    ]);
    const tail = this.take('sflow', LAYOUTS.sflowTail);
    for (let index = 0; tail !== undefined && index < tail.Samples && this.#at + 8 <= this.#bytes.length; index++) {
      if (this.fields.length >= MAX_FIELDS) return;
      const sample = this.take(`sample ${index}`, LAYOUTS.sflowSample)!;
      this.#within(Math.min(this.#bytes.length, this.#at + sample.Length), () => {
        if (sample.Enterprise !== 0 || (sample.Format !== 1 && sample.Format !== 2)) return;
        const found = this.take('sample', sample.Format === 1 ? LAYOUTS.sflowFlow : LAYOUTS.sflowCounters);
        for (let n = 0; found !== undefined && n < found.Records && this.#at + 8 <= this.#end; n++)
          this.#sflowRecord(sample.Format);
      });
    }
  }

  ipfix(): void {
    if (this.take('ipfix', LAYOUTS.ipfix) === undefined) return;
    while (this.#at + 4 <= this.#bytes.length && this.fields.length < MAX_FIELDS) {
      const start = this.#at;
      const set = this.take('set', LAYOUTS.ipfixSet)!;
      if (set.Length < 4) return;
      this.rest('set', Math.min(this.#bytes.length, start + set.Length));
    }
  }

  /** The fields of a header at the cursor, which then stands behind it; undefined when it is cut, and the rest is shown as octets. */
  take(header: string, layout: readonly WireField[]): Record<string, number> | undefined {
    const bits = layout.reduce((sum, field) => sum + field.bits, 0);
    if (this.#at + bits / 8 > this.#end || this.fields.length >= MAX_FIELDS) {
      this.rest(`${header}, cut`, this.#end);
      return undefined;
    }
    const values: Record<string, number> = {};
    let bit = this.#at * 8;
    for (const { name, bits: width, format } of layout) {
      const value = this.#number(bit, width);
      values[name] = Number(value);
      this.fields.push({ octet: bit >>> 3, bit: bit & 7, header, field: name, value: this.#text(value, width, format) });
      bit += width;
    }
    this.#at = bit >>> 3;
    return values;
  }

  /** What lies before `end` as octets. */
  rest(header: string, end: number): void {
    if (this.#at >= end) return;
    const octets = this.#bytes.subarray(this.#at, end);
    const hex = Buffer.from(octets.subarray(0, 16)).toString('hex');
    const value = `${hex}${octets.length > 16 ? '...' : ''} (${octets.length})`;
    this.fields.push({ octet: this.#at, bit: 0, header, field: 'octets', value });
    this.#at = end;
  }

  #within(end: number, walk: () => void): void {
    const outer = this.#end;
    this.#end = end;
    walk();
    this.rest('octets', end);
    this.#end = outer;
  }

  #mainContents(metadataBytes: number): void {
    const main = this.take('main', LAYOUTS.reportV20Main);
    if (main === undefined) return;
    const end = Math.min(this.#end, this.#at + metadataBytes);
    const outer = this.#end;
    this.#end = end;
    for (let bit = 0; bit < 16 && this.#at < end; bit++) {
      if ((main.RepMdBits & (0x8000 >>> bit)) === 0) continue;
      if (bit === 15) this.take('metadata', DROP_METADATA);
      else if (bit < INT_METADATA.v2.length) this.take('metadata', INT_METADATA.v2[bit]);
      else this.take('metadata', [{ name: 'Reserved', bits: 32, format: 'hex' }]);
    }
    this.rest('metadata', end);
    this.#end = outer;
  }

  #innerContents(type: number): void {
    this.#layers = 0;
    if (this.#at >= this.#end) return;
    const version = this.#bytes[this.#at] >>> 4;
    // Some programs announce IP and send Ethernet.
    if (type === 4 && version === 4) this.#network('ipv4', false);
    else if (type === 5 && version === 6) this.#network('ipv6', false);
    else if (type >= 3 && type <= 5) this.#ethernet();
  }

  #ethernet(): void {
    const ethernet = this.take('ethernet', LAYOUTS.ethernet);
    if (ethernet !== undefined) this.#etherType(ethernet.EtherType);
  }

  #etherType(type: number): void {
    if (this.#layers++ > MAX_LAYERS) return;
    if (type === 0x8100 || type === 0x88a8 || type === 0x9100) {
      const vlan = this.take('vlan', LAYOUTS.vlan);
      if (vlan !== undefined) this.#etherType(vlan.EtherType);
    } else if (type === 0x8847 || type === 0x8848) {
      let label = this.take('mpls', LAYOUTS.mpls);
      for (let n = 0; label?.S === 0 && n < MAX_LAYERS; n++) label = this.take('mpls', LAYOUTS.mpls);
      if (label?.S === 1) this.#byNibble();
    } else if (type === 0x6558) this.#ethernet();
    else if (IP_LAYER[type] !== undefined) this.#network(IP_LAYER[type], false);
  }

  #byNibble(): void {
    const version = this.#at < this.#end ? this.#bytes[this.#at] >>> 4 : 0;
    if (version === 4 || version === 6) this.#network(version === 4 ? 'ipv4' : 'ipv6', false);
  }

  /** `isInt`: INT follows L4 whatever announces it. */
  #network(kind: 'ipv4' | 'ipv6', isInt: boolean): void {
    if (this.#layers++ > MAX_LAYERS) return;
    const start = this.#at;
    const header = this.take(kind, LAYOUTS[kind]);
    if (header === undefined) return;
    if (kind === 'ipv4') {
      this.rest('ipv4 options', Math.min(this.#end, start + header.IHL * 4));
      if (header.FragmentOffset === 0) this.#protocol(header.Protocol, isInt || header.DSCP === this.#markers.dscp);
      return;
    }
    let next = header.NextHeader;
    for (let n = 0; EXTENSIONS.has(next) && n < MAX_LAYERS; n++) {
      const at = this.#at;
      const extension = this.take('ipv6 extension', LAYOUTS.ipv6Extension);
      if (extension === undefined) return;
      const end = Math.min(this.#end, at + (next === 44 ? 8 : (extension.HdrExtLen + 1) * 8));
      if (next === 0 || next === 60) this.#ipv6Options(end);
      this.rest('ipv6 extension', end);
      next = extension.NextHeader;
    }
    this.#protocol(next, header.DSCP === this.#markers.dscp);
  }

  #ipv6Options(end: number): void {
    while (this.#at + 4 <= end) {
      const [type, length] = [this.#bytes[this.#at], this.#bytes[this.#at + 1]];
      const next = type === 0 ? this.#at + 1 : this.#at + 2 + length;
      if (type === 0x11 || type === 0x31) {
        const option = this.take('ioam', LAYOUTS.ioamOption)!;
        if (option.IOAMOptType <= 1 && this.#at + 8 <= end) this.take('ioam trace', LAYOUTS.ioamTrace);
      }
      this.rest('option', Math.min(end, next));
    }
  }

  #protocol(protocol: number, isAnnounced: boolean): void {
    if (protocol === 4 || protocol === 41) return this.#network(protocol === 4 ? 'ipv4' : 'ipv6', false);
    if (protocol === 132) return void this.take('sctp', LAYOUTS.sctp);
    if (protocol === 1 || protocol === 58) return void this.take('icmp', LAYOUTS.icmp);
    if (protocol === 47) return this.#gre();
    if (protocol === 6) {
      if (this.take('tcp', LAYOUTS.tcp) !== undefined && isAnnounced) this.#int();
      return;
    }
    if (protocol !== 17) return;
    const udp = this.take('udp', LAYOUTS.udp);
    if (udp === undefined) return;
    const isInt = isAnnounced || (this.#markers.udpPort !== 0 && udp.DestinationPort === this.#markers.udpPort);
    if (isInt && this.#int()) return;
    if (VXLAN_PORTS.has(udp.DestinationPort)) {
      if (this.take('vxlan', LAYOUTS.vxlan) !== undefined) this.#ethernet();
    } else if (udp.DestinationPort === 6081) this.#geneve();
    else if (udp.DestinationPort === 2152) this.#gtpu();
  }

  #gre(): void {
    const gre = this.take('gre', LAYOUTS.gre);
    if (gre === undefined) return;
    const optional = [gre.C, gre.K, gre.S].filter((bit) => bit === 1).length * 4;
    this.rest('gre optional', Math.min(this.#end, this.#at + optional));
    this.#etherType(gre.Protocol);
  }

  #geneve(): void {
    const geneve = this.take('geneve', LAYOUTS.geneve);
    if (geneve === undefined) return;
    this.rest('geneve options', Math.min(this.#end, this.#at + geneve.OptLen * 4));
    this.#etherType(geneve.Protocol);
  }

  #gtpu(): void {
    const gtpu = this.take('gtpu', LAYOUTS.gtpu);
    if (gtpu === undefined || gtpu.MessageType !== 255) return;
    if (gtpu.E + gtpu.S + gtpu.PN > 0) {
      let type = this.take('gtpu', LAYOUTS.gtpuOptions)?.NextExtension ?? 0;
      for (let n = 0; type !== 0 && n < MAX_LAYERS && this.#at + 4 <= this.#end; n++) {
        const end = Math.min(this.#end, this.#at + this.#bytes[this.#at] * 4);
        if (end === this.#at) return;
        type = this.#bytes[end - 1];
        this.rest('gtpu extension', end);
      }
    }
    this.#byNibble();
  }

  /** Shim, metadata header and stack; true when there was INT. */
  #int(): boolean {
    if (this.#at + 16 > this.#end) return false;
    const first = this.#bytes[this.#at];
    if (first === 1 || first === 3) return this.#olderInt();
    if (first >>> 4 !== 1 && first >>> 4 !== 3) return false;
    const shim = this.take('shim', LAYOUTS.shimV2)!;
    const end = Math.min(this.#end, this.#at + shim.Length * 4);
    const header = this.take('int', shim.Type === 3 ? LAYOUTS.intMx : LAYOUTS.intV2);
    if (header !== undefined && shim.Type === 1) this.#stack(INT_METADATA.v2, header.Instructions, header.HopML * 4, end);
    this.rest('int', end);
    return true;
  }

  #olderInt(): boolean {
    const start = this.#at;
    const shim = this.take('shim', LAYOUTS.shimOlder)!;
    const end = Math.min(this.#end, start + shim.Length * 4);
    const isV05 = this.#bytes[this.#at] >>> 4 === 0 && this.#bytes[this.#at + 1] !== 0;
    const header = this.take('int', isV05 ? LAYOUTS.intV05 : LAYOUTS.intV1)!;
    const entryBytes = (isV05 ? header.InsCnt : header.HopML) * 4;
    const stackEnd = isV05 ? Math.min(end, this.#at + entryBytes * header.TotalHopCnt) : end;
    this.#stack(isV05 ? INT_METADATA.v05 : INT_METADATA.v1, header.Instructions, entryBytes, stackEnd);
    this.rest('int', end);
    return true;
  }

  #stack(metadata: readonly (readonly WireField[])[], instructions: number, entryBytes: number, end: number): void {
    for (let hop = 0; entryBytes > 0 && this.#at < end && this.fields.length < MAX_FIELDS; hop++) {
      this.#within(Math.min(end, this.#at + entryBytes), () => {
        metadata.forEach((fields, bit) => {
          if ((instructions & (0x8000 >>> bit)) !== 0 && this.#at < this.#end) this.take(`entry ${hop}`, fields);
        });
      });
    }
  }

  #sflowRecord(sampleFormat: number): void {
    const record = this.take('record', LAYOUTS.sflowSample)!;
    this.#within(Math.min(this.#end, this.#at + record.Length), () => {
      if (record.Enterprise !== 0 || record.Format !== 1 || sampleFormat !== 1) return;
      const raw = this.take('raw header', LAYOUTS.sflowRaw);
      if (raw === undefined) return;
      this.#layers = 0;
      this.#within(Math.min(this.#end, this.#at + raw.HeaderLength), () => {
        if (raw.Protocol === 1) this.#ethernet();
      });
    });
  }

  #number(bit: number, width: number): bigint {
    let value = 0n;
    for (let o = bit >>> 3; o < (bit + width + 7) >>> 3; o++) value = (value << 8n) | BigInt(this.#bytes[o]);
    const behind = (8 - ((bit + width) & 7)) & 7;
    return (value >> BigInt(behind)) & ((1n << BigInt(width)) - 1n);
  }

  #text(value: bigint, width: number, format: WireField['format']): string {
    if (format === 'hex') return `0x${value.toString(16).padStart(Math.ceil(width / 4), '0')}`;
    if (format === 'ipv4') return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
    if (format === 'ipv6')
      return ipv6Text(
        Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffff_ffffn)),
        0,
      );
    return value.toString();
  }
}
