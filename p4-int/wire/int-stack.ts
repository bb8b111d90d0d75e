// The INT-MD metadata stack: one entry per hop in bit order, the newest hop first.

import { ones } from './octets.ts';
import { bitMask, bufferWord, interfacePair, queueWord, timestamp, word, type Known, type NodeMetadata } from './metadata.ts';

/** One hop's entry, from what its node knows. */
export interface IntHop extends NodeMetadata {
  /** INT v0.5 bit 6, 32 bits: queue id 8 and congestion status 24 as one number. */
  queueCongestion?: Known<number>;
  /** INT v1.0 and later, bit 15. `null` or absent: not used. */
  checksumComplement?: Known<number>;
  /** INT 2.x: octets behind the baseline metadata; absent = all ones of `domainSpecificWords`. */
  domainSpecific?: Uint8Array;
}

/** How wide this version writes what, in octets. */
export interface StackWidths {
  timestamp: 4 | 8;
  level2Interface: 2 | 4;
  /** What bit 6 means. */
  bit6: 'level2Interfaces' | 'queueCongestion';
  /** Whether bit 8 is the buffer (2.x); reserved before. */
  buffer: boolean;
  /** Whether bit 15 is the checksum complement; reserved in v0.5. */
  checksumComplement: boolean;
}

export const WIDTHS_V05: StackWidths = {
  timestamp: 4,
  level2Interface: 4,
  bit6: 'queueCongestion',
  buffer: false,
  checksumComplement: false,
};
export const WIDTHS_V10: StackWidths = { ...WIDTHS_V05, bit6: 'level2Interfaces', checksumComplement: true };
/** GEANT int-platforms: version 1 with 8-octet timestamps and level-2 ids of 2 octets. */
export const WIDTHS_GEANT: StackWidths = { ...WIDTHS_V10, timestamp: 8, level2Interface: 2 };
export const WIDTHS_V21: StackWidths = { ...WIDTHS_V10, timestamp: 8, buffer: true };

/** Words per entry of a bitmap, without domain-specific ones. */
export function entryWords(bitmap: number, widths: StackWidths): number {
  return (baselineOctets({}, bitmap, widths).length + complementOctets({}, bitmap, widths).length) / 4;
}

/**
 * The stack of these hops. `hops` is in path order (source first); the wire order is the reverse.
 * `sourceOnly` goes behind the domain-specific metadata of the source alone, in front of its checksum complement.
 */
export function stackOctets(
  hops: readonly IntHop[],
  bitmap: number,
  widths: StackWidths,
  domainSpecificWords = 0,
  sourceOnly: Uint8Array = Buffer.alloc(0),
): Buffer {
  const entries = hops.map((hop, index) => {
    const domainSpecific = hop.domainSpecific ?? ones(domainSpecificWords * 4);
    if (domainSpecific.length !== domainSpecificWords * 4) throw new Error('every hop has the same domain-specific words');
    return Buffer.concat([
      baselineOctets(hop, bitmap, widths),
      domainSpecific,
      index === 0 ? sourceOnly : Buffer.alloc(0),
      complementOctets(hop, bitmap, widths),
    ]);
  });
  return Buffer.concat(entries.reverse());
}

function baselineOctets(hop: IntHop, bitmap: number, widths: StackWidths): Buffer {
  const units: Buffer[] = [];
  const bits = widths.checksumComplement ? 15 : 16;
  for (let n = 0; n < bits; n++) if (bitmap & bitMask(n)) units.push(unitOctets(hop, n, widths));
  return Buffer.concat(units);
}

function complementOctets(hop: IntHop, bitmap: number, widths: StackWidths): Buffer {
  return widths.checksumComplement && bitmap & bitMask(15) ? word(hop.checksumComplement) : Buffer.alloc(0);
}

function unitOctets(hop: IntHop, bit: number, widths: StackWidths): Buffer {
  switch (bit) {
    case 0:
      return word(hop.nodeId);
    case 1:
      return interfacePair(hop.level1Interfaces, 2);
    case 2:
      return word(hop.hopLatency);
    case 3:
      return queueWord(hop.queue);
    case 4:
      return timestamp(hop.ingressTimestamp, widths.timestamp);
    case 5:
      return timestamp(hop.egressTimestamp, widths.timestamp);
    case 6:
      return widths.bit6 === 'queueCongestion'
        ? word(hop.queueCongestion)
        : interfacePair(hop.level2Interfaces, widths.level2Interface);
    case 7:
      return word(hop.egressTxUtilization);
    case 8:
      return widths.buffer ? bufferWord(hop.buffer) : ones(4);
    default:
      // Reserved bits are answered with ones by nodes that do not know them.
      return ones(4);
  }
}
