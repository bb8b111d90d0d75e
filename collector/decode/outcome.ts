// What became of one datagram: its header, and which of its reports were refused. Reused for every datagram.
// Rule: it holds numbers only; names and sentences are made at the edges.

import type { SourceProfile } from './profile.ts';

/** Decodes the UDP payload [start, end) of `b` into the batch that it was made for, and says in its outcome what became of it. */
export type DialectDecoder = (b: DataView, start: number, end: number, profile: SourceProfile) => void;

/** A UDP payload of 65,507 octets can frame (65,507 - 8) / 4 reports. */
export const MAX_REPORTS_PER_DATAGRAM = 16_384;
/** Hops with octets of their own cost at least four each; hops that were cut off are listed while there are fewer than so many. */
export const MAX_LISTED_HOPS = 16_384;
export const MAX_HOPS_PER_DATAGRAM = 2 * MAX_LISTED_HOPS;

export class DatagramOutcome {
  /** Refusal code of the whole datagram, 0 when it was framed well. */
  rejected = 0;
  /** Octet offset within the datagram where the fault lies. */
  rejectedAt = 0;
  /** First nibble of the datagram. */
  versionNibble = 0;
  /** Index into DIALECTS of what the bytes were taken for, even when they were refused; -1: of none. */
  dialect = -1;
  /** Index into UNKNOWN_DIALECTS plus one when the bytes are of a format that is not decoded; else 0. */
  unknownDialect = 0;

  /** Stands for the sender's address; set before a datagram is decoded, and kept. Templates are told apart by it. */
  senderKey = 0;

  /** True when the fixed header could be read, even if a report behind it was at fault: it used up a sequence number. */
  hasHeader = false;
  nodeId = 0;
  /**
   * Stands for the agent that a datagram names by its address, as an exporter's key does for the sender; 0 where none is named. The address
   * itself is in `agentWords`, as the four words that all addresses are.
   */
  agentKey = 0;
  readonly agentWords = new Uint32Array(4);
  hardwareId = 0;
  sequenceNumber = 0;
  /** 22 (report v2.0) or 32. */
  sequenceBits = 32;

  /** Reports that the datagram framed, refused ones included. */
  framedReports = 0;
  refusedReports = 0;
  readonly refusedIndex = new Uint16Array(MAX_REPORTS_PER_DATAGRAM);
  readonly refusedCode = new Uint8Array(MAX_REPORTS_PER_DATAGRAM);
  readonly refusedAt = new Uint16Array(MAX_REPORTS_PER_DATAGRAM);

  reset(): void {
    this.rejected = 0;
    this.rejectedAt = 0;
    this.unknownDialect = 0;
    this.dialect = -1;
    this.hasHeader = false;
    this.nodeId = 0;
    this.agentKey = 0;
    this.hardwareId = 0;
    this.sequenceNumber = 0;
    this.framedReports = 0;
    this.refusedReports = 0;
  }

  reject(code: number, at: number): void {
    this.rejected = code;
    this.rejectedAt = at;
    this.framedReports = 0;
    this.refusedReports = 0;
  }

  refuseReport(index: number, code: number, at: number): void {
    const i = this.refusedReports++;
    this.refusedIndex[i] = index;
    this.refusedCode[i] = code;
    this.refusedAt[i] = at;
  }
}
