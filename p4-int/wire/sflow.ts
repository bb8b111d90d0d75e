// sFlow version 5 datagrams: flow, counter and discarded-packet samples. sflow_version_5.txt, sflow_drops.txt.
// Everything is XDR: big endian words, lengths in octets, contents filled to words.

import { padded, u32 } from './octets.ts';
import { recordsOctets, sflowAddress, type SflowCounterRecord, type SflowFlowRecord } from './sflow-records.ts';

/** The class (0 ifIndex, 1 VLAN, 2 physical entity) and index of a data source. */
export interface SflowDataSource {
  class: number;
  /** 24 bits in the compact samples, 32 in the expanded ones. */
  index: number;
}

/** Format 0: `value` is an ifIndex (0 unknown, 0x3fffffff internal); 1: a discard reason; 2: a number of interfaces. */
export interface SflowInterface {
  format: number;
  /** 30 bits in the compact sample, 32 in the expanded one. */
  value: number;
}

interface FlowSampleFields {
  sequence: number;
  source: SflowDataSource;
  /** One packet in so many. */
  samplingRate: number;
  /** Packets that could have been sampled. */
  samplePool: number;
  /** Samples lost in the agent. */
  drops: number;
  input: SflowInterface;
  output: SflowInterface;
  records: readonly SflowFlowRecord[];
}

interface CounterSampleFields {
  sequence: number;
  source: SflowDataSource;
  records: readonly SflowCounterRecord[];
}

export type SflowSample =
  /** Format 1. */
  | ({ kind: 'flow' } & FlowSampleFields)
  /** Format 3. */
  | ({ kind: 'expandedFlow' } & FlowSampleFields)
  /** Format 2. */
  | ({ kind: 'counters' } & CounterSampleFields)
  /** Format 4. */
  | ({ kind: 'expandedCounters' } & CounterSampleFields)
  /** Format 5; the ifIndexes are 0 where unknown. */
  | {
      kind: 'discarded';
      sequence: number;
      source: SflowDataSource;
      /** Discard records that the agent lost. */
      drops: number;
      inputIfIndex: number;
      outputIfIndex: number;
      /** ICMP unreachable codes 0 to 15, and 256 and up (sflow_drops.txt). */
      reason: number;
      records: readonly SflowFlowRecord[];
    }
  | { kind: 'unknown'; enterprise: number; format: number; body: Uint8Array };

export interface SflowDatagram {
  /** IPv4 dotted, or IPv6 with colons. */
  agentAddress: string;
  subAgentId: number;
  sequence: number;
  /** Milliseconds since boot, modulo 2^32. */
  uptime: number;
  samples: readonly SflowSample[];
  /** Default 5. */
  version?: number;
}

/** The datagram. */
export function sflowDatagram(datagram: SflowDatagram): Buffer {
  return Buffer.concat([
    u32(datagram.version ?? 5),
    sflowAddress(datagram.agentAddress),
    u32(datagram.subAgentId),
    u32(datagram.sequence),
    u32(datagram.uptime),
    u32(datagram.samples.length),
    ...datagram.samples.map(sampleOctets),
  ]);
}

function sampleOctets(sample: SflowSample): Buffer {
  switch (sample.kind) {
    case 'flow':
      return opaque(1, [
        u32(sample.sequence),
        compactSource(sample.source),
        u32(sample.samplingRate),
        u32(sample.samplePool),
        u32(sample.drops),
        compactInterface(sample.input),
        compactInterface(sample.output),
        recordsOctets(sample.records),
      ]);
    case 'expandedFlow':
      return opaque(3, [
        u32(sample.sequence),
        expandedSource(sample.source),
        u32(sample.samplingRate),
        u32(sample.samplePool),
        u32(sample.drops),
        expandedInterface(sample.input),
        expandedInterface(sample.output),
        recordsOctets(sample.records),
      ]);
    case 'counters':
      return opaque(2, [u32(sample.sequence), compactSource(sample.source), recordsOctets(sample.records)]);
    case 'expandedCounters':
      return opaque(4, [u32(sample.sequence), expandedSource(sample.source), recordsOctets(sample.records)]);
    case 'discarded':
      return opaque(5, [
        u32(sample.sequence),
        expandedSource(sample.source),
        u32(sample.drops),
        u32(sample.inputIfIndex),
        u32(sample.outputIfIndex),
        u32(sample.reason),
        recordsOctets(sample.records),
      ]);
    case 'unknown':
      return opaque(sample.enterprise * 0x1000 + sample.format, [sample.body]);
  }
}

function opaque(format: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([u32(format), u32(body.length), padded(body, 4)]);
}

function compactSource(source: SflowDataSource): Buffer {
  return u32(source.class * 0x100_0000 + (source.index & 0xff_ffff));
}

function expandedSource(source: SflowDataSource): Buffer {
  return Buffer.concat([u32(source.class), u32(source.index)]);
}

function compactInterface(one: SflowInterface): Buffer {
  return u32(one.format * 0x4000_0000 + (one.value & 0x3fff_ffff));
}

function expandedInterface(one: SflowInterface): Buffer {
  return Buffer.concat([u32(one.format), u32(one.value)]);
}
