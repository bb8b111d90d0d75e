// The packet path: datagrams in, the shared tables moved on. Runs on the ingest thread, or inline for replays and tests.
//
//   receive ─▶ admitted? in time? within its rate? ─▶ decode ─▶ sequence (duplicate? stop) ─▶ batch
//   settle  ─▶ batch ─▶ clock ─▶ flow ─▶ port ─▶ queue ─▶ path ─▶ slice, class, stitch, drop, link ─▶ counts published
//
// A batch holds what one system call brought, so that the cache misses of its reports overlap.
// Rule: no allocation, no string, no promise, no exception per report. Time is handed in.

import type { Admission } from './admission.ts';
import { decoderOver } from './decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from './decode/outcome.ts';
import { destinationPortOf, FLOW_WORDS, FlowPart, protocolOf } from './flow-key.ts';
import { HopBatch } from './hop.ts';
import { Count, DropPlace } from './memory/counters.ts';
import { ExporterCount } from './observe/exporter.ts';
import { classStage } from './observe/class.ts';
import { clockStage } from './observe/clock.ts';
import { dropStage } from './observe/drop.ts';
import { flowStage } from './observe/flow.ts';
import { linkStage } from './observe/link.ts';
import { heldBackStage } from './observe/held-back.ts';
import { pathStage } from './observe/path.ts';
import { portStage } from './observe/port.ts';
import { queueStage } from './observe/queue.ts';
import { Arrival, sequenceStage } from './observe/sequence.ts';
import { sliceStage } from './observe/slice.ts';
import { stitchStage } from './observe/stitch.ts';
import type { SharedState } from './shared-state.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const {
  bytesReceived: COUNT_BYTES_RECEIVED,
  datagramsDecoded: COUNT_DATAGRAMS_DECODED,
  datagramsReceived: COUNT_DATAGRAMS_RECEIVED,
  duplicates: COUNT_DUPLICATES,
  hopsDecoded: COUNT_HOPS_DECODED,
  linksDecoded: COUNT_LINKS_DECODED,
  messagesReceived: COUNT_MESSAGES_RECEIVED,
  reportsDecoded: COUNT_REPORTS_DECODED,
  reportsDuplicate: COUNT_REPORTS_DUPLICATE,
  reportsFramed: COUNT_REPORTS_FRAMED,
  telemetryOfTelemetry: COUNT_TELEMETRY_OF_TELEMETRY,
} = Count;
const {
  bytes: EXPORTER_BYTES,
  decoded: EXPORTER_DECODED,
  late: EXPORTER_LATE,
  rateLimited: EXPORTER_RATE_LIMITED,
  received: EXPORTER_RECEIVED,
  rejected: EXPORTER_REJECTED,
} = ExporterCount;
const {
  internalError: DROP_INTERNAL_ERROR,
  late: DROP_LATE,
  notAdmitted: DROP_NOT_ADMITTED,
  rateLimit: DROP_RATE_LIMIT,
} = DropPlace;

/** A batch is observed when it holds so many rows: enough for misses to overlap, few enough for the batch to stay in the cache. */
const FULL_REPORTS = 64;
const FULL_HOPS = 512;
/** What lay in the socket's buffer for longer is no news: it is counted, and makes room for what is. */
const LATE_MS = 200;
const UDP = 17;

/** Told about rejected datagrams; rate-limits by itself. */
export type RejectionWatcher = (outcome: DatagramOutcome, bytes: DataView, start: number, end: number) => void;

/** The packet path of one ingest thread, or of a replay. */
export interface Pipeline {
  /** What became of the datagram that was received last. */
  readonly outcome: DatagramOutcome;
  /** What is received from here on arrived at collector time `nowNs`. */
  arrive(nowNs: number): void;
  /** What is received from here on came as one message of the kernel. */
  message(): void;
  /**
   * Takes the UDP payload [start, end) of `b` that the address in `words` sent to local port `port`, and that lay in the socket's buffer
   * for `waitedMs`. After the next `settle` it is accounted for as decoded, rejected or dropped.
   */
  receive(b: DataView, start: number, end: number, words: Uint32Array, port: number, waitedMs: number): void;
  /** Observes what is left in the batch and lets the other threads see the counts. Call it when no more is at hand. */
  settle(): void;
}

/**
 * Builds the packet path over its tables. All of it are closures over typed arrays that are made here, once in a thread: see
 * docs/decisions/0008.
 */
export function pipelineOver(
  state: SharedState,
  admission: Admission,
  onRejected: RejectionWatcher = () => undefined,
  onFault: (error: unknown) => void = () => undefined,
): Pipeline {
  const { counters, exporters } = state;
  const { own } = counters;
  const { values, datagramsDropped, datagramsRejected, reportsRefused, warnings: warningCounts, unknownDialects, dialects } = own;
  const { maxRatePerSource } = admission;
  const outcome = new DatagramOutcome();
  const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM + FULL_HOPS, MAX_REPORTS_PER_DATAGRAM + FULL_REPORTS, FULL_REPORTS + 1);
  const { datagrams, reports, links, arrivalNs } = batch;
  const { sourceKey, dialect } = datagrams;
  const { flowParts, flowKey, warnings } = reports;
  const decode = decoderOver(batch, outcome);
  const observeSequence = sequenceStage(state.sources, arrivalNs);
  const observeClock = clockStage(state.nodes, batch);
  const observeFlow = flowStage(state.flows, batch);
  const observeQueue = queueStage(
    state.queues,
    batch,
    state.memory.thresholds,
    state.arrivals,
    state.edges,
    state.ports.keys.capacity,
  );
  const observePort = portStage(state.ports, batch, state.memory.thresholds.portRates);
  const { observe: observePath, latencyNs } = pathStage(state.paths, batch, state.moves, {
    hasPeer: (row) => state.ports.hasPeer(row),
    votePeer: (row, nodeTag, ingressInterfaceId) => state.ports.votePeer(row, nodeTag, ingressInterfaceId),
  });
  const observeHeldBack = heldBackStage(state.heldBack, batch, {
    bytesPerNs: (row) => state.ports.bytesPerNs(row),
    addPackets: (row, latencyNs, packets) => state.queues.hold(row, latencyNs, packets),
    addPortBytes: (row, bytes) => state.ports.addBytes(row, bytes),
    addFlowBytes: (row, bytes) => state.paths.addBytes(row, bytes),
    isFirst: (row, nodeTag) => state.paths.isFirst(row, nodeTag),
  });
  const observeSlice = sliceStage(state.slices, batch, state.memory.thresholds.sliceBudgetsNs, latencyNs);
  const observeClass = classStage(state.classes, batch, state.memory.thresholds.queueOfDscp);
  const observeStitch = stitchStage(state.stitch, batch, state.ports);
  const observeDrop = dropStage(state.drops, batch);
  const observeLink = linkStage(state.links, batch);
  counters.resume();

  function receive(b: DataView, start: number, end: number, words: Uint32Array, port: number, waitedMs: number): void {
    values[COUNT_DATAGRAMS_RECEIVED]++;
    values[COUNT_BYTES_RECEIVED] += end - start;
    const source = admission.sourceOf(words, arrivalNs);
    if (source === undefined) {
      exporters.turnAway(words, arrivalNs[0]);
      datagramsDropped[DROP_NOT_ADMITTED]++;
      return;
    }
    const exporter = source.row;
    exporters.count(exporter, EXPORTER_RECEIVED, 1);
    exporters.count(exporter, EXPORTER_BYTES, end - start);
    if (waitedMs > LATE_MS) {
      datagramsDropped[DROP_LATE]++;
      exporters.count(exporter, EXPORTER_LATE, 1);
      return;
    }
    if (maxRatePerSource !== Infinity && !exporters.spend(exporter, maxRatePerSource, arrivalNs[0])) {
      datagramsDropped[DROP_RATE_LIMIT]++;
      exporters.count(exporter, EXPORTER_RATE_LIMITED, 1);
      return;
    }
    const [hops, firstReport, link, datagram] = [batch.length, reports.length, links.length, datagrams.length];
    let arrival: number;
    try {
      outcome.senderKey = source.key;
      decode(b, start, end, source.profile);
      arrival = outcome.hasHeader ? observeSequence(words, outcome) : Arrival.fresh;
    } catch (error) {
      // A bug of ours must not take the thread: the datagram is counted as dropped, its rows are gone.
      datagramsDropped[DROP_INTERNAL_ERROR]++;
      takeBack(hops, firstReport, link, datagram);
      onFault(error);
      return;
    }
    if (outcome.rejected !== 0) {
      datagramsRejected[outcome.rejected]++;
      if (outcome.unknownDialect !== 0) unknownDialects[outcome.unknownDialect - 1]++;
      exporters.count(exporter, EXPORTER_REJECTED, 1);
      onRejected(outcome, b, start, end);
      return;
    }
    count(firstReport, hops, link, port);
    dialects[dialect[datagram]]++;
    exporters.count(exporter, EXPORTER_DECODED, 1);
    if (arrival === Arrival.duplicate) {
      values[COUNT_DUPLICATES]++;
      values[COUNT_REPORTS_DUPLICATE] += reports.length - firstReport;
      values[COUNT_DATAGRAMS_DECODED]++;
      takeBack(hops, firstReport, link, datagram);
      return;
    }
    sourceKey[datagram] = outcome.agentKey === 0 ? source.key : outcome.agentKey;
    if (
      reports.length >= FULL_REPORTS ||
      links.length >= FULL_REPORTS ||
      batch.length >= FULL_HOPS ||
      datagrams.length >= FULL_REPORTS
    )
      observe();
  }

  function takeBack(hops: number, firstReport: number, link: number, datagram: number): void {
    batch.length = hops;
    reports.length = firstReport;
    links.length = link;
    datagrams.length = datagram;
  }

  function observe(): void {
    const decoded = datagrams.length;
    try {
      observeClock();
      observeFlow();
      observePort();
      observeQueue();
      observePath();
      observeHeldBack();
      observeSlice();
      observeClass();
      observeStitch();
      observeDrop();
      if (links.length > 0) observeLink();
    } catch (error) {
      // The tables may be half moved on: nothing else is lost with this thread, and the next one says so by being there.
      datagramsDropped[DROP_INTERNAL_ERROR] += decoded;
      batch.clear();
      counters.publish();
      throw error;
    }
    values[COUNT_DATAGRAMS_DECODED] += decoded;
    batch.clear();
  }

  /** Counts the newest datagram's reports, from row `firstReport` on. */
  function count(firstReport: number, firstHop: number, firstLink: number, port: number): void {
    values[COUNT_REPORTS_FRAMED] += outcome.framedReports;
    values[COUNT_REPORTS_DECODED] += reports.length - firstReport;
    values[COUNT_HOPS_DECODED] += batch.length - firstHop;
    values[COUNT_LINKS_DECODED] += links.length - firstLink;
    for (let i = 0; i < outcome.refusedReports; i++) reportsRefused[outcome.refusedCode[i]]++;
    for (let report = firstReport; report < reports.length; report++) {
      for (let bits = warnings[report]; bits !== 0; bits &= bits - 1) warningCounts[31 - Math.clz32(bits & -bits)]++;
      const at = report * KEY_WORDS;
      const isToUs = destinationPortOf(flowKey, at) === port && (flowParts[report] & FlowPart.ports) !== 0;
      if (isToUs && protocolOf(flowKey, at) === UDP) values[COUNT_TELEMETRY_OF_TELEMETRY]++;
    }
  }

  return {
    outcome,
    arrive: (nowNs) => {
      arrivalNs[0] = nowNs;
    },
    message: () => {
      values[COUNT_MESSAGES_RECEIVED]++;
    },
    receive,
    settle: () => {
      if (datagrams.length > 0) observe();
      counters.publish();
    },
  };
}
