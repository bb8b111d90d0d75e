// The books: what became of every datagram and every report, over all lanes, as one answer that balances.
//
//   sent + duplicated on the way = received + dropped by the kernel + lost before us      (exact while the kernel coalesces nothing)
//   received = decoded + rejected{reason} + dropped{place}           framed reports = decoded + refused{reason}
//
// What was sent is known from sequence numbers alone, so "lost before us" is the gaps in them less what the kernel and we ourselves dropped.

import { addressText } from './address.ts';
import { REFUSALS } from './decode/reason.ts';
import type { Diagnosis } from './diagnosis.ts';
import { DROP_PLACES, DropPlace, type CounterSnapshot } from './memory/counters.ts';
import { ExporterCount } from './observe/exporter.ts';

type Counts = Record<string, number>;

/** The answer of `GET /api/v1/accounting`. */
export interface Accounting {
  datagrams: {
    received: number;
    decoded: number;
    /** Of the decoded: seen before, and not observed again. */
    duplicates: number;
    rejected: Counts;
    dropped: Counts;
    /** Messages that the kernel dropped; each stands for one datagram, unless it coalesced several: see the next. */
    kernelDropped: number;
    /** Datagrams in a message that arrived, on average: 1 where nothing was coalesced, and then the books are exact. */
    perMessage: number;
    /** Gaps in the sequence numbers that neither the kernel nor we account for; of exporters that count. */
    lostBeforeUs: number;
    /** Received less decoded, rejected and dropped: 0. */
    unaccounted: number;
  };
  reports: {
    framed: number;
    decoded: number;
    duplicates: number;
    refused: Counts;
    unaccounted: number;
    aboutOurPort: number;
  };
  /** By admitted sender. */
  sources: SenderBooks[];
  /** Datagrams of senders that are not admitted, by network. */
  strangers: { network: string; datagrams: number }[];
}

/** Counts of all lanes together. */
export function countsOf(lanes: readonly Diagnosis[]): CounterSnapshot {
  const [first, ...others] = lanes.map(({ state }) => state.counters.read());
  for (const other of others) first.add(other);
  return first;
}

/**
 * Sequence gaps of all exporters less what was dropped here. A sender that does not count makes no gap, so what was dropped of its datagrams is
 * not taken off; what the kernel drops bears no name, so that strangers' datagrams among it make this too small.
 */
export function lostBeforeUs(lanes: readonly Diagnosis[], kernelDropped: number, counts: CounterSnapshot): number {
  const bySender = new Map<string, { lost: number; droppedHere: number }>();
  const of = (words: Uint32Array, at: number): { lost: number; droppedHere: number } => {
    const address = addressText(words, at);
    const known = bySender.get(address) ?? { lost: 0, droppedHere: 0 };
    bySender.set(address, known);
    return known;
  };
  for (const { state } of lanes) {
    const { sources, exporters } = state;
    for (const row of sources.keys.usedRows())
      of(sources.keys.words, row * sources.keys.layout.rowWords).lost += sources.lost(row);
    for (const row of exporters.keys.usedRows()) {
      const dropped = exporters.counted(row, ExporterCount.late) + exporters.counted(row, ExporterCount.rateLimited);
      of(exporters.keys.words, row * exporters.keys.layout.rowWords).droppedHere += dropped;
    }
  }
  let lost = 0;
  for (const sender of bySender.values()) lost += Math.max(0, sender.lost - sender.droppedHere);
  return Math.max(0, lost - Math.round(kernelDropped * perMessageOf(counts)));
}

/** The kernel counts a coalesced message that finds no room as one drop (measured), however many datagrams it held. */
function perMessageOf(counts: CounterSnapshot): number {
  const messages = counts.of('messagesReceived');
  return messages === 0 ? 1 : counts.of('datagramsReceived') / messages;
}

/** The books as they are now. */
export function accountingOf(lanes: readonly Diagnosis[], kernelDropped: number): Accounting {
  const counts = countsOf(lanes);
  const received = counts.of('datagramsReceived');
  const decoded = counts.of('datagramsDecoded');
  const framed = counts.of('reportsFramed');
  const decodedReports = counts.of('reportsDecoded');
  return {
    datagrams: {
      received,
      decoded,
      duplicates: counts.of('duplicates'),
      rejected: named(REFUSALS, counts.datagramsRejected),
      dropped: named(DROP_PLACES, counts.datagramsDropped),
      kernelDropped,
      perMessage: perMessageOf(counts),
      lostBeforeUs: lostBeforeUs(lanes, kernelDropped, counts),
      unaccounted: received - decoded - sumOf(counts.datagramsRejected) - sumOf(counts.datagramsDropped),
    },
    reports: {
      framed,
      decoded: decodedReports,
      duplicates: counts.of('reportsDuplicate'),
      refused: named(REFUSALS, counts.reportsRefused),
      unaccounted: framed - decodedReports - sumOf(counts.reportsRefused),
      aboutOurPort: counts.of('telemetryOfTelemetry'),
    },
    sources: sourcesOf(lanes),
    strangers: strangersOf(lanes, counts.datagramsDropped[DropPlace.notAdmitted]),
  };
}

type SenderBooks = { address: string } & Record<keyof typeof ExporterCount, number>;

/** A sender that reports for many nodes is heard by several threads: its books are added up. */
function sourcesOf(lanes: readonly Diagnosis[]): SenderBooks[] {
  const byAddress = new Map<string, SenderBooks>();
  for (const { exporters } of lanes.map(({ state }) => state)) {
    for (const row of exporters.keys.usedRows()) {
      const address = addressText(exporters.keys.words, row * exporters.keys.layout.rowWords);
      const sender = byAddress.get(address) ?? {
        address,
        received: 0,
        bytes: 0,
        decoded: 0,
        rejected: 0,
        late: 0,
        rateLimited: 0,
      };
      for (const name of Object.keys(ExporterCount) as (keyof typeof ExporterCount)[]) {
        sender[name] += exporters.counted(row, ExporterCount[name]);
      }
      byAddress.set(address, sender);
    }
  }
  return [...byAddress.values()];
}

/** By network; what was counted for networks that the table has no room for any more is "others". */
function strangersOf(lanes: readonly Diagnosis[], turnedAway: number): { network: string; datagrams: number }[] {
  const byNetwork = new Map<string, number>();
  for (const { exporters } of lanes.map(({ state }) => state)) {
    const { strangers } = exporters;
    for (const row of strangers.usedRows()) {
      const text = addressText(strangers.words, row * strangers.layout.rowWords);
      const network = text.includes(':') ? `${text}/48` : `${text}/24`;
      byNetwork.set(network, (byNetwork.get(network) ?? 0) + exporters.turnedAway(row));
    }
  }
  const others = turnedAway - [...byNetwork.values()].reduce((sum, n) => sum + n, 0);
  if (others > 0) byNetwork.set('others', others);
  return [...byNetwork].map(([network, datagrams]) => ({ network, datagrams }));
}

/** Counts by name, zeros left out. */
function named(names: readonly string[], values: Float64Array): Counts {
  return Object.fromEntries(names.map((name, i) => [name, values[i]] as const).filter(([, value]) => value > 0));
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
