// IPFIX (RFC 7011) as far as it carries telemetry: records with the head of a packet (in which IOAM or IFA may be), and the raw export of IOAM
// data (draft-spiegel-ippm-ioam-rawexport), whose elements are not registered: the profile names them.
// A record of any other kind is refused by itself. Its sequence counts records of all kinds, so that it says nothing about lost datagrams.
// Rule: the sets are walked before any is believed; a data set without its template cannot be read, and is refused.

import { DIALECTS, ReportFlag, type HopBatch } from '../hop.ts';
import { InnerType } from './cursor.ts';
import type { InbandStack } from './inband-stack.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import type { ReadIoamTrace } from './ioam.ts';
import { FieldRole, MAX_TEMPLATE_FIELDS, roleOf, TemplateTable, VARIABLE_LENGTH } from './ipfix-template.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal } from './reason.ts';
import type { Rows } from './report-row.ts';

const DIALECT = DIALECTS.indexOf('ipfix');
const HEADER_BYTES = 16;
const SET_HEADER_BYTES = 4;
const TEMPLATE_SET = 2;
const OPTIONS_TEMPLATE_SET = 3;
const FIRST_DATA_SET = 256;
const ENTERPRISE_BIT = 0x8000;
const MAX_RECORDS = 16_000;

/** The decoder over a batch: a message whose lengths contradict each other appends nothing and teaches nothing. */
export function ipfixOver(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport }: Rows,
  decodeInnerPacket: DecodeInnerPacket,
  readIoamTrace: ReadIoamTrace,
): DialectDecoder {
  const { firstHop, hopCount, warnings } = batch.reports;
  const templates = new TemplateTable();
  const { fieldCounts, roles, lengths } = templates;
  /** Where the fields of the record that is being read lie: offsets, and [0] of `bounds` its end. */
  const starts = new Uint32Array(MAX_TEMPLATE_FIELDS);
  const ends = new Uint32Array(MAX_TEMPLATE_FIELDS);
  let domain = 0;
  let records = 0;

  function decodeIpfix(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < HEADER_BYTES) return outcome.reject(Refusal.groupShort, 0);
    if (b.getUint16(start + 2) !== end - start) return outcome.reject(Refusal.headerLength, 2);
    for (let o = start + HEADER_BYTES; o < end; o += b.getUint16(o + 2)) {
      const isWhole = o + SET_HEADER_BYTES <= end && b.getUint16(o + 2) >= SET_HEADER_BYTES && o + b.getUint16(o + 2) <= end;
      if (!isWhole) return outcome.reject(Refusal.reportOverrun, o - start);
    }
    domain = b.getUint32(start + 12);
    outcome.hardwareId = domain;
    outcome.sequenceBits = 32;
    outcome.sequenceNumber = b.getUint32(start + 8);
    records = 0;
    appendDatagram(DIALECT, profile, 0);
    const before = batch.reports.length;
    for (let o = start + HEADER_BYTES; o < end;) {
      const next = o + b.getUint16(o + 2);
      const set = b.getUint16(o);
      if (set === TEMPLATE_SET) readTemplates(b, o + SET_HEADER_BYTES, next, profile);
      else if (set >= FIRST_DATA_SET) readData(b, o + SET_HEADER_BYTES, next, set, o - start, profile);
      else if (set !== OPTIONS_TEMPLATE_SET) refuse(Refusal.reportType, o - start);
      o = next;
    }
    outcome.framedReports = batch.reports.length - before + outcome.refusedReports;
  }

  /** Templates at [o, end), up to four octets of padding behind them; one that is cut, or has too many fields, is not learned. */
  function readTemplates(b: DataView, o: number, end: number, profile: SourceProfile): void {
    while (end - o >= 4) {
      const id = b.getUint16(o);
      const count = b.getUint16(o + 2);
      o += 4;
      if (id < FIRST_DATA_SET) return;
      if (count === 0) {
        templates.withdraw(outcome.senderKey, domain, id);
        continue;
      }
      const behind = behindFields(b, o, end, count);
      if (behind === 0) return;
      if (count <= MAX_TEMPLATE_FIELDS) learn(b, o, id, count, profile);
      o = behind;
    }
  }

  /** Offset behind `count` field specifiers at `o`; 0 when they are cut. */
  function behindFields(b: DataView, o: number, end: number, count: number): number {
    for (let field = 0; field < count; field++) {
      if (end - o < 4) return 0;
      o += (b.getUint16(o) & ENTERPRISE_BIT) !== 0 ? 8 : 4;
    }
    return o > end ? 0 : o;
  }

  function learn(b: DataView, first: number, id: number, count: number, profile: SourceProfile): void {
    const place = templates.place(outcome.senderKey, domain, id);
    fieldCounts[place] = count;
    let o = first;
    for (let field = 0; field < count; field++) {
      const hasEnterprise = (b.getUint16(o) & ENTERPRISE_BIT) !== 0;
      const element = b.getUint16(o) & ~ENTERPRISE_BIT;
      roles[place * MAX_TEMPLATE_FIELDS + field] = roleOf(hasEnterprise ? b.getUint32(o + 4) : 0, element, profile);
      lengths[place * MAX_TEMPLATE_FIELDS + field] = b.getUint16(o + 2);
      o += hasEnterprise ? 8 : 4;
    }
  }

  function readData(b: DataView, o: number, end: number, set: number, at: number, profile: SourceProfile): void {
    const place = templates.find(outcome.senderKey, domain, set);
    if (place < 0) return refuse(Refusal.template, at);
    const first = place * MAX_TEMPLATE_FIELDS;
    const least = leastBytesOf(first, fieldCounts[place]);
    // What is shorter than the shortest record is padding; a record without octets would never end.
    while (least > 0 && end - o >= least) {
      const next = locate(b, o, end, first, fieldCounts[place]);
      if (next === 0) return refuse(Refusal.reportOverrun, at);
      if (records >= MAX_RECORDS) return refuse(Refusal.reportType, at);
      readRecord(b, first, fieldCounts[place], at, profile);
      o = next;
    }
  }

  function leastBytesOf(first: number, count: number): number {
    let bytes = 0;
    for (let field = first; field < first + count; field++) bytes += lengths[field] === VARIABLE_LENGTH ? 1 : lengths[field];
    return bytes;
  }

  /** Finds the fields of the record at `o`; returns the offset behind it, or 0 when it reaches beyond `end`. */
  function locate(b: DataView, o: number, end: number, first: number, count: number): number {
    for (let field = 0; field < count; field++) {
      let length = lengths[first + field];
      if (length === VARIABLE_LENGTH) {
        if (o >= end) return 0;
        length = b.getUint8(o++);
        if (length === 0xff) {
          if (end - o < 2) return 0;
          length = b.getUint16(o);
          o += 2;
        }
      }
      starts[field] = o;
      o += length;
      if (o > end) return 0;
      ends[field] = o;
    }
    return o;
  }

  /** The record whose fields were found: a report when there is a packet or a trace in it. */
  function readRecord(b: DataView, first: number, count: number, at: number, profile: SourceProfile): void {
    let isReport = false;
    for (let field = 0; field < count; field++) {
      const role = roles[first + field];
      if (role !== FieldRole.skipped && role !== FieldRole.reportFlags) isReport = true;
    }
    if (!isReport) return refuse(Refusal.reportType, at);
    const row = appendReport(records++, flagsOf(b, first, count));
    stack.begin(0);
    for (let field = 0; field < count; field++) {
      warnings[row] |= readField(b, roles[first + field], starts[field], ends[field], row, profile);
    }
    hopCount[row] = batch.length - firstHop[row];
  }

  /** One field of a report. Traces of several fields are all of the same packet: the first one that is whole counts. */
  function readField(b: DataView, role: number, o: number, end: number, row: number, profile: SourceProfile): number {
    if (o === end) return 0;
    if (role === FieldRole.frame) return decodeInnerPacket(b, o, end, InnerType.ethernet, row, profile, true);
    if (role === FieldRole.ipPacket) {
      const type = b.getUint8(o) >>> 4 === 6 ? InnerType.ipv6 : InnerType.ipv4;
      return decodeInnerPacket(b, o, end, type, row, profile, true);
    }
    const isIncremental = role === FieldRole.ioamIncrementalTrace;
    if ((!isIncremental && role !== FieldRole.ioamPreallocatedTrace) || stack.isInt) return 0;
    readIoamTrace(b, o, end, end, isIncremental, row, profile);
    return stack.warnings;
  }

  /** Drop, queue and flow are the first three bits of the element. */
  function flagsOf(b: DataView, first: number, count: number): number {
    for (let field = 0; field < count; field++) {
      if (roles[first + field] !== FieldRole.reportFlags || starts[field] === ends[field]) continue;
      const bits = b.getUint8(starts[field]);
      return (
        ((bits & 0x80) !== 0 ? ReportFlag.dropped : 0) |
        ((bits & 0x40) !== 0 ? ReportFlag.congestedQueue : 0) |
        ((bits & 0x20) !== 0 ? ReportFlag.trackedFlow : 0)
      );
    }
    return 0;
  }

  function refuse(code: number, at: number): void {
    outcome.refuseReport(records++, code, at);
  }

  return decodeIpfix;
}
