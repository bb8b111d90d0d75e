// Appends the rows of a datagram and of one report to a batch, with everything that later code may read set to a known value.
// Shared by the dialects so that none of them can forget a column.

import { FLOW_WORDS, FlowWord } from '../flow-key.ts';
import { ReportFlag, type HopBatch } from '../hop.ts';
import type { DatagramOutcome } from './outcome.ts';
import type { SourceProfile } from './profile.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
/** What is reported whether or not its turn has come to be sampled. */
const FLAGS_PAST_SAMPLER = ReportFlag.congestedQueue | ReportFlag.dropped;
const { ports: WORD_PORTS, protocol: WORD_PROTOCOL, tunnel: WORD_TUNNEL } = FlowWord;

export interface Rows {
  /**
   * Appends a datagram row. `dialect` is an index into DIALECTS, `timestampWrapNs` is 0 for 64-bit timestamps. Header fields come from the
   * outcome.
   */
  readonly appendDatagram: (dialect: number, profile: SourceProfile, timestampWrapNs: number) => void;
  /** Appends a report row to the newest datagram and returns its index. */
  readonly appendReport: (indexInDatagram: number, flags: number) => number;
  /** Appends a row for the counters of an interface of the newest datagram's node and returns its index. */
  readonly appendLink: (interfaceId: number) => number;
}

export function rowsOver(batch: HopBatch, outcome: DatagramOutcome): Rows {
  const { datagrams, reports, links } = batch;
  const { dialect, nodeId, hardwareId, sequenceNumber, reportCount } = datagrams;
  const { timestampWrapNs, occupancyUnitBytes, portBytesPerNs, isFiltered, emptyLatencyNs } = datagrams;
  const {
    datagram,
    indexInDatagram,
    flags,
    representedPackets,
    vlanId,
    warnings,
    firstHop,
    hopCount,
    flowParts,
    flowKey,
    outerParts,
    packetLengthBytes,
  } = reports;

  /** Of the newest datagram's source. */
  let samplingRate = 1;

  function appendDatagram(dialectIndex: number, profile: SourceProfile, wrapNs: number): void {
    const row = datagrams.length++;
    dialect[row] = dialectIndex;
    nodeId[row] = outcome.nodeId;
    hardwareId[row] = outcome.hardwareId;
    sequenceNumber[row] = outcome.sequenceNumber;
    reportCount[row] = 0;
    timestampWrapNs[row] = wrapNs;
    occupancyUnitBytes[row] = profile.occupancyUnitBytes;
    portBytesPerNs[row] = profile.portBytesPerNs;
    isFiltered[row] = profile.changeFilter ? 1 : 0;
    emptyLatencyNs[row] = profile.emptyLatencyNs;
    samplingRate = profile.samplingRate;
  }

  function appendReport(index: number, reportFlags: number): number {
    const row = reports.length++;
    const datagramRow = datagrams.length - 1;
    reportCount[datagramRow]++;
    datagram[row] = datagramRow;
    indexInDatagram[row] = index;
    flags[row] = reportFlags;
    representedPackets[row] = (reportFlags & FLAGS_PAST_SAMPLER) === 0 ? samplingRate : 1;
    vlanId[row] = 0;
    warnings[row] = 0;
    firstHop[row] = batch.length;
    hopCount[row] = 0;
    flowParts[row] = 0;
    outerParts[row] = 0;
    flowKey[row * KEY_WORDS + WORD_PORTS] = 0;
    flowKey[row * KEY_WORDS + WORD_PROTOCOL] = 0;
    flowKey[row * KEY_WORDS + WORD_TUNNEL] = 0;
    packetLengthBytes[row] = 0;
    return row;
  }

  function appendLink(id: number): number {
    const row = links.length++;
    links.datagram[row] = datagrams.length - 1;
    links.interfaceId[row] = id;
    return row;
  }

  return { appendDatagram, appendReport, appendLink };
}
