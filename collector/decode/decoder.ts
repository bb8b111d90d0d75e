// Which dialect a datagram speaks, and the one entry to all decoders.
// Recognition is by bytes alone, and only where it is certain: the version nibble, then signatures of formats that stray in.
// Rule: all or nothing per datagram. A rejected datagram leaves the batch as it was.

import type { HopBatch } from '../hop.ts';
import { baselineOver } from './baseline.ts';
import { Cursor, looksLikeEthernet } from './cursor.ts';
import { ifaOver } from './ifa.ts';
import { InbandStack } from './inband-stack.ts';
import { innerPacketOver } from './inner-packet.ts';
import { intMdOver } from './int-md.ts';
import { ioamOver } from './ioam.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, UNKNOWN_DIALECTS, type UnknownDialect } from './reason.ts';
import { rowsOver } from './report-row.ts';
import { reportV05Over } from './report-v05.ts';
import { reportV10Over } from './report-v10.ts';
import { reportV20Over } from './report-v20.ts';
import { tunnelsOver } from './tunnel.ts';

const V05_FIXED_BYTES = 12;

/**
 * The entry to all decoders, over the batch that they append to and the outcome that describes the rest. It never throws on any bytes;
 * work and rows are bounded by the length.
 *
 * Every part of a decoder is a closure over the batch's columns, made once in a thread. V8 then knows the columns as constants, and reading
 * or writing one costs three instructions; through an object it costs fourteen (seen in its code, Node 24).
 */
export function decoderOver(batch: HopBatch, outcome: DatagramOutcome): DialectDecoder {
  const stack = new InbandStack();
  const at = new Cursor();
  const readBaseline = baselineOver(batch);
  const int = intMdOver(batch, stack, readBaseline);
  const { readIoamOptions } = ioamOver(batch, at, stack);
  const decodeInnerPacket = innerPacketOver(batch, at, stack, {
    int,
    tunnels: tunnelsOver(batch, at, stack, int),
    readIoamOptions,
    decodeIfa: ifaOver(batch, stack),
  });
  const rows = rowsOver(batch, outcome);
  const decodeReportV05 = reportV05Over(batch, outcome, stack, rows, decodeInnerPacket);
  const decodeReportV10 = reportV10Over(batch, outcome, stack, rows, readBaseline, decodeInnerPacket);
  const decodeReportV20 = reportV20Over(batch, outcome, stack, rows, readBaseline, decodeInnerPacket);

  return function decodeDatagram(b: DataView, start: number, end: number, profile: SourceProfile): void {
    outcome.reset();
    if (end - start < 4) return outcome.reject(Refusal.groupShort, 0);
    const version = b.getUint8(start) >>> 4;
    outcome.versionNibble = version;
    const hops = batch.length;
    const reports = batch.reports.length;
    const datagrams = batch.datagrams.length;
    batch.datagramFirstHop = hops;
    if (version === 2) decodeReportV20(b, start, end, profile);
    else if (version === 1) decodeReportV10(b, start, end, profile);
    else {
      const stranger = strangerAt(b, start, end);
      if (stranger !== undefined) {
        outcome.unknownDialect = 1 + UNKNOWN_DIALECTS.indexOf(stranger);
        const isHostInt = stranger === 'host-int-drop' || stranger === 'host-int-latency';
        return outcome.reject(isHostInt ? Refusal.nextProtocol : Refusal.version, 0);
      }
      decodeReportV05(b, start, end, profile);
    }
    if (outcome.rejected !== 0) {
      batch.length = hops;
      batch.reports.length = reports;
      batch.datagrams.length = datagrams;
    }
  };
}

/** Name of the format at `start` when it is one that no decoder is built for; the version is neither 1 nor 2. Called with at least four octets. */
function strangerAt(b: DataView, start: number, end: number): UnknownDialect | undefined {
  const version = b.getUint8(start) >>> 4;
  if (version !== 0) return 'unrecognised';
  // A v0.5 report without a node header shows its Ethernet frame 12 octets on: that settles it.
  if (looksLikeEthernet(b, start + V05_FIXED_BYTES, end)) return undefined;
  const word = b.getUint32(start);
  if (word === 5 && end - start >= 8 && (b.getUint32(start + 4) === 1 || b.getUint32(start + 4) === 2)) return 'sflow-v5';
  const half = b.getUint16(start);
  if (half === 5 && end - start >= 24) return 'netflow-v5';
  if (half === 9 && end - start >= 20) return 'netflow-v9';
  if (half === 10 && end - start >= 16 && b.getUint16(start + 2) === end - start) return 'ipfix';
  const nextProtocol = (word >>> 24) & 0x0f;
  if (nextProtocol === 3) return 'host-int-drop';
  if (nextProtocol === 4) return 'host-int-latency';
  return undefined;
}
