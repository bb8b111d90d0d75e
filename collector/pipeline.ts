// The packet path: one datagram in, the shared tables moved on. Runs on the ingest thread, or inline for replays and tests.
//
//   receive ─▶ decode ─▶ sequence (duplicate? stop) ─▶ clock ─▶ flow ─▶ queue
//
// Rule: no allocation, no string, no promise, no exception per report. Time is handed in.

import { decodeDatagram } from './decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from './decode/outcome.ts';
import type { SourceProfile } from './decode/profile.ts';
import { FlowPart, HopBatch } from './hop.ts';
import { Arrival } from './observe/sequence.ts';
import type { SharedState } from './shared-state.ts';

/** An exporter as the packet path knows it: made once per address, then reused. */
export interface Source {
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

/** Told about rejected datagrams; rate-limits by itself. */
export type RejectionWatcher = (outcome: DatagramOutcome, bytes: Uint8Array, start: number, end: number) => void;

export class Pipeline {
  readonly state: SharedState;
  readonly outcome = new DatagramOutcome();
  readonly #batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
  readonly #onRejected: RejectionWatcher;

  constructor(state: SharedState, onRejected: RejectionWatcher = () => undefined) {
    this.state = state;
    this.#onRejected = onRejected;
  }

  /**
   * Takes the UDP payload [start, end) of `bytes` that came from `source` to local port `port` at collector time `nowNs`.
   * Afterwards it is accounted for as decoded, rejected or dropped.
   */
  receive(bytes: Uint8Array, start: number, end: number, source: Source, port: number, nowNs: number): void {
    const { counters } = this.state;
    counters.datagramsReceived[0]++;
    counters.bytesReceived[0] += end - start;
    counters.newestArrivalNs[0] = nowNs;
    try {
      this.#process(bytes, start, end, source, port, nowNs);
    } catch {
      // A bug of ours must not take the thread: the datagram is counted as dropped, its rows are gone with the batch.
      counters.datagramsDropped[0]++;
    }
    this.#batch.clear();
  }

  #process(bytes: Uint8Array, start: number, end: number, source: Source, port: number, nowNs: number): void {
    const { counters, sources, nodes, flows, queues } = this.state;
    const { outcome } = this;
    const batch = this.#batch;
    decodeDatagram(bytes, start, end, source.profile, batch, outcome);

    let arrival: number = Arrival.fresh;
    if (outcome.hasHeader) {
      arrival = sources.observe(
        source.words,
        0,
        outcome.nodeId,
        outcome.hardwareId,
        outcome.sequenceNumber,
        outcome.sequenceBits,
        nowNs,
      );
    }
    if (outcome.rejected !== 0) {
      counters.datagramsRejected[outcome.rejected]++;
      if (outcome.unknownDialect !== 0) counters.unknownDialects[outcome.unknownDialect - 1]++;
      this.#onRejected(outcome, bytes, start, end);
      return;
    }
    this.#count(port);
    if (arrival === Arrival.duplicate) {
      counters.duplicates[0]++;
    } else {
      nodes.observe(batch, source.key, nowNs);
      flows.observe(batch, nowNs);
      queues.observe(batch, nowNs);
    }
    counters.datagramsDecoded[0]++;
  }

  #count(port: number): void {
    const { counters } = this.state;
    const { outcome } = this;
    const batch = this.#batch;
    const r = batch.reports;
    counters.reportsFramed[0] += outcome.framedReports;
    counters.reportsDecoded[0] += r.length;
    counters.hopsDecoded[0] += batch.length;
    for (let i = 0; i < outcome.refusedReports; i++) counters.reportsRefused[outcome.refusedCode[i]]++;
    for (let report = 0; report < r.length; report++) {
      for (let bits = r.warnings[report]; bits !== 0; bits &= bits - 1) counters.warnings[31 - Math.clz32(bits & -bits)]++;
      if (r.destinationPort[report] === port && r.protocol[report] === 17 && (r.flowParts[report] & FlowPart.ports) !== 0) {
        counters.telemetryOfTelemetry[0]++;
      }
    }
  }
}
