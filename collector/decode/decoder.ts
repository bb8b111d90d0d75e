// Which dialect a datagram speaks, and the one entry to all decoders.
// Recognition is by bytes alone, and only where it is certain: the version nibble, then signatures of formats that stray in.
// Rule: all or nothing per datagram. A rejected datagram leaves the batch as it was.

import type { HopBatch } from '../hop.ts';
import { u16, u32 } from './bytes.ts';
import { looksLikeEthernet } from './inner-packet.ts';
import { IntStack } from './int-md.ts';
import type { DatagramOutcome } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, UNKNOWN_DIALECTS, type UnknownDialect } from './reason.ts';
import { decodeReportV05 } from './report-v05.ts';
import { decodeReportV20 } from './report-v20.ts';

type DialectDecoder = (
  b: Uint8Array,
  start: number,
  end: number,
  profile: SourceProfile,
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: IntStack,
) => void;

/** Decoders by version nibble; a hole is a version that is not built. */
const DECODERS: readonly (DialectDecoder | undefined)[] = [decodeReportV05, undefined, decodeReportV20];

const stack = new IntStack();
const V05_FIXED_BYTES = 12;

/**
 * Decodes the UDP payload [start, end) of `b`: appends its reports and hops to `batch` and describes the rest in `outcome`.
 * Never throws on any bytes; work and rows are bounded by the length.
 */
export function decodeDatagram(
  b: Uint8Array,
  start: number,
  end: number,
  profile: SourceProfile,
  batch: HopBatch,
  outcome: DatagramOutcome,
): void {
  outcome.reset();
  if (end - start < 4) return outcome.reject(Refusal.groupShort, 0);
  outcome.versionNibble = b[start] >>> 4;
  const stranger = strangerAt(b, start, end);
  if (stranger !== undefined) {
    outcome.unknownDialect = 1 + UNKNOWN_DIALECTS.indexOf(stranger);
    const hostInt = stranger === 'host-int-drop' || stranger === 'host-int-latency';
    return outcome.reject(hostInt ? Refusal.nextProtocol : Refusal.version, 0);
  }
  const hops = batch.length;
  const reports = batch.reports.length;
  DECODERS[b[start] >>> 4]!(b, start, end, profile, batch, outcome, stack);
  if (outcome.rejected !== 0) {
    batch.length = hops;
    batch.reports.length = reports;
  }
}

/** Name of the format at `start` when it is one that no decoder is built for. Called with at least four octets. */
function strangerAt(b: Uint8Array, start: number, end: number): UnknownDialect | undefined {
  const version = b[start] >>> 4;
  if (version === 1) return 'report-v1.0';
  if (version > 2) return 'unrecognised';
  if (version === 2) return undefined;
  // A v0.5 report without a node header shows its Ethernet frame 12 octets on: that settles it.
  if (looksLikeEthernet(b, start + V05_FIXED_BYTES, end)) return undefined;
  const word = u32(b, start);
  if (word === 5 && end - start >= 8 && (u32(b, start + 4) === 1 || u32(b, start + 4) === 2)) return 'sflow-v5';
  const half = u16(b, start);
  if (half === 5 && end - start >= 24) return 'netflow-v5';
  if (half === 9 && end - start >= 20) return 'netflow-v9';
  if (half === 10 && end - start >= 16 && u16(b, start + 2) === end - start) return 'ipfix';
  const nextProtocol = (word >>> 24) & 0x0f;
  if (nextProtocol === 3) return 'host-int-drop';
  if (nextProtocol === 4) return 'host-int-latency';
  return undefined;
}
