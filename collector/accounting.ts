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
  sources: Record<string, string | number>[];
  /** Datagrams of senders that are not admitted, by network. */
  strangers: { network: string; datagrams: number }[];
}

/** Counts of all lanes together. */
export function countsOf(lanes: readonly Diagnosis[]): CounterSnapshot {
  const [first, ...others] = lanes.map(({ state }) => state.counters.read());
  for (const other of others) first.add(other);
  return first;
}

/** Sequence gaps of all exporters less what was dropped here. */
export function lostBeforeUs(lanes: readonly Diagnosis[], counts: CounterSnapshot, kernelDropped: number): number {
  let lost = 0;
  for (const { state } of lanes) for (const row of state.sources.keys.usedRows()) lost += state.sources.lost(row);
  const droppedHere =
    counts.datagramsDropped[DropPlace.late] +
    counts.datagramsDropped[DropPlace.rateLimit] +
    counts.datagramsDropped[DropPlace.internalError];
  return Math.max(0, lost - Math.round(kernelDropped * perMessageOf(counts)) - droppedHere);
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
      lostBeforeUs: lostBeforeUs(lanes, counts, kernelDropped),
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
    sources: lanes.flatMap(sourcesOf),
    strangers: lanes.flatMap(strangersOf),
  };
}

function sourcesOf({ state: { exporters } }: Diagnosis): Record<string, string | number>[] {
  const { keys } = exporters;
  return keys.usedRows().map((row) => ({
    address: addressText(keys.words, row * keys.layout.rowWords),
    ...Object.fromEntries(Object.entries(ExporterCount).map(([name, count]) => [name, exporters.counted(row, count)])),
  }));
}

function strangersOf({ state: { exporters } }: Diagnosis): { network: string; datagrams: number }[] {
  const { strangers } = exporters;
  return strangers.usedRows().map((row) => {
    const text = addressText(strangers.words, row * strangers.layout.rowWords);
    return { network: text.includes(':') ? `${text}/48` : `${text}/24`, datagrams: exporters.turnedAway(row) };
  });
}

/** Counts by name, zeros left out. */
function named(names: readonly string[], values: Float64Array): Counts {
  return Object.fromEntries(names.map((name, i) => [name, values[i]] as const).filter(([, value]) => value > 0));
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
