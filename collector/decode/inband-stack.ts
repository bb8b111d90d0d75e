// What the last header of in-band telemetry contained: INT-MD, IOAM trace or IFA, as it was found inside the packet of a report.
// The decoders of those headers fill it, the decoders of reports ask it where the reporter's own hop is. One for all reports.

import type { HopBatch } from '../hop.ts';
import { MAX_LISTED_HOPS } from './outcome.ts';

/** Widths of INT metadata: see decode/baseline. */
export const IntLayout = { v21: 0, geant: 1, v10: 2, v05: 3 } as const;

/** What INT overwrote in the packet: NPT of the v2.x shim; v0.5 keeps port, protocol and DSCP, the tunnel shims nothing. */
export const Overwritten = { dscp: 0, port: 1, protocol: 2, v05: 3, nothing: 4 } as const;

export class InbandStack {
  /** True when there was INT at all: what it overwrote can be restored, even if its stack is at fault. */
  isInt = false;
  hops = 0;
  /** Node id of the newest hop; `hasNodeIds` tells whether the header asked for node ids at all. */
  newestNodeId = 0;
  hasNodeIds = false;
  /** See IntLayout. */
  layout: number = IntLayout.v21;
  warnings = 0;
  /**
   * Octets at the end of the fragment that may be none of the packet: 3 where it is filled to whole words (Telemetry Report v2.0 section 3.4),
   * else 0.
   */
  fillBytes = 0;
  /** See Overwritten. */
  overwritten = 0;
  originalDscp = 0;
  originalPort = 0;
  originalProtocol = 0;

  /** A new fragment begins. See fillBytes. */
  begin(fillBytes: number): void {
    this.reset();
    this.fillBytes = fillBytes;
  }

  /** Another place in the same fragment is tried. */
  reset(): void {
    this.isInt = false;
    this.hops = 0;
    this.hasNodeIds = false;
    this.layout = IntLayout.v21;
    this.warnings = 0;
  }
}

/** Where octets of a stack up to `next` end for certain, in a fragment up to `end`: what is cut may end in fill. */
export function certainEnd(stack: InbandStack, next: number, end: number): number {
  return next > end ? end - stack.fillBytes : end;
}

/**
 * How many of `hops` stack entries of `hopBytes` octets at `first` are listed. Entries that were cut off cost no octets: only so many are
 * listed, or a small datagram would fill the batch with nothing.
 */
export function listedHops(batch: HopBatch, hops: number, hopBytes: number, first: number, end: number): number {
  const isListed = batch.length - batch.datagramFirstHop + hops <= MAX_LISTED_HOPS;
  return isListed ? hops : Math.min(hops, Math.ceil(Math.max(0, end - first) / hopBytes));
}
