// The packet inside a report for `hopscope decode --explain`: Ethernet, IP, tunnels, INT, down to what no table names.
// Rule: it shows what lies where and judges nothing; what deviates is for the decoder to say.

import type { FieldWalk } from './explain-fields.ts';
import { INT_METADATA, LAYOUTS, type WireField } from './wire-layout.ts';

const MAX_LAYERS = 12;
const IP_LAYER: Record<number, 'ipv4' | 'ipv6'> = { 0x0800: 'ipv4', 0x86dd: 'ipv6' };
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 44, 60]);
const VXLAN_PORTS: ReadonlySet<number> = new Set([4789, 8472, 6784, 4790]);
const TCP_TIMESTAMPS = [1, 1, 8, 10] as const;

/** DSCP and UDP port that announce INT. */
export interface IntMarkers {
  dscp: number;
  udpPort: number;
}

export class PacketWalk {
  readonly #walk: FieldWalk;
  readonly #markers: IntMarkers;
  #layers = 0;

  constructor(walk: FieldWalk, markers: IntMarkers) {
    this.#walk = walk;
    this.#markers = markers;
  }

  innerContents(type: number): void {
    this.#layers = 0;
    if (this.#walk.at >= this.#walk.end) return;
    const version = this.#walk.octet(this.#walk.at) >>> 4;
    // Some programs announce IP and send Ethernet.
    if (type === 4 && version === 4) this.network('ipv4', false);
    else if (type === 5 && version === 6) this.network('ipv6', false);
    else if (type >= 3 && type <= 5) this.ethernet();
  }

  ethernet(): void {
    const ethernet = this.#walk.take('ethernet', LAYOUTS.ethernet);
    if (ethernet !== undefined) this.#etherType(ethernet.EtherType);
  }

  #etherType(type: number): void {
    if (this.#layers++ > MAX_LAYERS) return;
    if (type === 0x8100 || type === 0x88a8 || type === 0x9100) {
      const vlan = this.#walk.take('vlan', LAYOUTS.vlan);
      if (vlan !== undefined) this.#etherType(vlan.EtherType);
    } else if (type === 0x8847 || type === 0x8848) {
      let label = this.#walk.take('mpls', LAYOUTS.mpls);
      for (let n = 0; label?.S === 0 && n < MAX_LAYERS; n++) label = this.#walk.take('mpls', LAYOUTS.mpls);
      if (label?.S === 1) this.#byNibble();
    } else if (type === 0x6558) this.ethernet();
    else if (IP_LAYER[type] !== undefined) this.network(IP_LAYER[type], false);
  }

  #byNibble(): void {
    const version = this.#walk.at < this.#walk.end ? this.#walk.octet(this.#walk.at) >>> 4 : 0;
    if (version === 4 || version === 6) this.network(version === 4 ? 'ipv4' : 'ipv6', false);
  }

  /** `isInt`: INT follows L4 whatever announces it. */
  network(kind: 'ipv4' | 'ipv6', isInt: boolean): void {
    if (this.#layers++ > MAX_LAYERS) return;
    const start = this.#walk.at;
    const header = this.#walk.take(kind, LAYOUTS[kind]);
    if (header === undefined) return;
    if (kind === 'ipv4') {
      this.#walk.rest('ipv4 options', Math.min(this.#walk.end, start + header.IHL * 4));
      if (header.FragmentOffset === 0) this.#protocol(header.Protocol, isInt || header.DSCP === this.#markers.dscp);
      return;
    }
    let next = header.NextHeader;
    for (let n = 0; EXTENSIONS.has(next) && n < MAX_LAYERS; n++) {
      const at = this.#walk.at;
      const extension = this.#walk.take('ipv6 extension', LAYOUTS.ipv6Extension);
      if (extension === undefined) return;
      const end = Math.min(this.#walk.end, at + (next === 44 ? 8 : (extension.HdrExtLen + 1) * 8));
      if (next === 0 || next === 60) this.#ipv6Options(end);
      this.#walk.rest('ipv6 extension', end);
      next = extension.NextHeader;
    }
    this.#protocol(next, header.DSCP === this.#markers.dscp);
  }

  #ipv6Options(end: number): void {
    while (this.#walk.at + 4 <= end) {
      const [type, length] = [this.#walk.octet(this.#walk.at), this.#walk.octet(this.#walk.at + 1)];
      const next = type === 0 ? this.#walk.at + 1 : this.#walk.at + 2 + length;
      if (type === 0x11 || type === 0x31) {
        const option = this.#walk.take('ioam', LAYOUTS.ioamOption)!;
        if (option.IOAMOptType <= 1 && this.#walk.at + 8 <= end) this.#walk.take('ioam trace', LAYOUTS.ioamTrace);
      }
      this.#walk.rest('option', Math.min(end, next));
    }
  }

  #protocol(protocol: number, isAnnounced: boolean): void {
    if (protocol === 4 || protocol === 41) return this.network(protocol === 4 ? 'ipv4' : 'ipv6', false);
    if (protocol === 132) return void this.#walk.take('sctp', LAYOUTS.sctp);
    if (protocol === 1 || protocol === 58) return void this.#walk.take('icmp', LAYOUTS.icmp);
    if (protocol === 47) return this.#gre();
    if (protocol === 6) {
      if (this.#walk.take('tcp', LAYOUTS.tcp) !== undefined && isAnnounced) this.#int();
      return;
    }
    if (protocol !== 17) return;
    const udp = this.#walk.take('udp', LAYOUTS.udp);
    if (udp === undefined) return;
    const isInt = isAnnounced || (this.#markers.udpPort !== 0 && udp.DestinationPort === this.#markers.udpPort);
    if (isInt && this.#int()) return;
    if (VXLAN_PORTS.has(udp.DestinationPort)) {
      if (this.#walk.take('vxlan', LAYOUTS.vxlan) !== undefined) this.ethernet();
    } else if (udp.DestinationPort === 6081) this.#geneve();
    else if (udp.DestinationPort === 2152) this.#gtpu();
  }

  #gre(): void {
    const gre = this.#walk.take('gre', LAYOUTS.gre);
    if (gre === undefined) return;
    const optional = [gre.C, gre.K, gre.S].filter((bit) => bit === 1).length * 4;
    this.#walk.rest('gre optional', Math.min(this.#walk.end, this.#walk.at + optional));
    this.#etherType(gre.Protocol);
  }

  #geneve(): void {
    const geneve = this.#walk.take('geneve', LAYOUTS.geneve);
    if (geneve === undefined) return;
    this.#walk.rest('geneve options', Math.min(this.#walk.end, this.#walk.at + geneve.OptLen * 4));
    this.#etherType(geneve.Protocol);
  }

  #gtpu(): void {
    const gtpu = this.#walk.take('gtpu', LAYOUTS.gtpu);
    if (gtpu === undefined || gtpu.MessageType !== 255) return;
    if (gtpu.E + gtpu.S + gtpu.PN > 0) {
      let type = this.#walk.take('gtpu', LAYOUTS.gtpuOptions)?.NextExtension ?? 0;
      for (let n = 0; type !== 0 && n < MAX_LAYERS && this.#walk.at + 4 <= this.#walk.end; n++) {
        const end = Math.min(this.#walk.end, this.#walk.at + this.#walk.octet(this.#walk.at) * 4);
        if (end === this.#walk.at) return;
        type = this.#walk.octet(end - 1);
        this.#walk.rest('gtpu extension', end);
      }
    }
    this.#byNibble();
  }

  /** Shim, metadata header and stack; true when there was INT. */
  #int(): boolean {
    if (this.#walk.at + 16 > this.#walk.end) return false;
    const first = this.#walk.octet(this.#walk.at);
    // Timestamps of TCP stand where the shim would, and begin as it does.
    if (TCP_TIMESTAMPS.every((octet, i) => this.#walk.octet(this.#walk.at + i) === octet)) return false;
    if (first === 1 || first === 3) return this.#olderInt();
    if (first >>> 4 !== 1 && first >>> 4 !== 3) return false;
    const shim = this.#walk.take('shim', LAYOUTS.shimV2)!;
    const end = Math.min(this.#walk.end, this.#walk.at + shim.Length * 4);
    const header = this.#walk.take('int', shim.Type === 3 ? LAYOUTS.intMx : LAYOUTS.intV2);
    if (header !== undefined && shim.Type === 1) this.#stack(INT_METADATA.v2, header.Instructions, header.HopML * 4, end);
    this.#walk.rest('int', end);
    return true;
  }

  #olderInt(): boolean {
    const start = this.#walk.at;
    const shim = this.#walk.take('shim', LAYOUTS.shimOlder)!;
    const end = Math.min(this.#walk.end, start + shim.Length * 4);
    // The last five bits of the second octet are the size of an entry in v0.5, and reserved in v1.0.
    const isV05 = this.#walk.octet(this.#walk.at) >>> 4 === 0 && (this.#walk.octet(this.#walk.at + 1) & 0x1f) !== 0;
    const header = this.#walk.take('int', isV05 ? LAYOUTS.intV05 : LAYOUTS.intV1)!;
    const entryBytes = (isV05 ? header.InsCnt : header.HopML) * 4;
    const stackEnd = isV05 ? Math.min(end, this.#walk.at + entryBytes * header.TotalHopCnt) : end;
    this.#stack(isV05 ? INT_METADATA.v05 : INT_METADATA.v1, header.Instructions, entryBytes, stackEnd);
    this.#walk.rest('int', end);
    return true;
  }

  #stack(metadata: readonly (readonly WireField[])[], instructions: number, entryBytes: number, end: number): void {
    for (let hop = 0; entryBytes > 0 && this.#walk.at < end && !this.#walk.isFull; hop++) {
      this.#walk.within(Math.min(end, this.#walk.at + entryBytes), () => {
        metadata.forEach((fields, bit) => {
          if ((instructions & (0x8000 >>> bit)) !== 0 && this.#walk.at < this.#walk.end) this.#walk.take(`entry ${hop}`, fields);
        });
      });
    }
  }
}
