// Decodes one datagram into a fresh batch, for tests.

import { viewOf } from '../../collector/decode/bytes.ts';
import { decoderOver } from '../../collector/decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from '../../collector/decode/outcome.ts';
import { IDENTITY_PROFILE, type SourceProfile } from '../../collector/decode/profile.ts';
import { HopBatch } from '../../collector/hop.ts';
import { reportLines } from '../../collector/report-json.ts';

export const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
export const outcome = new DatagramOutcome();
/** Decodes into that batch and outcome. */
export const decodeDatagram = decoderOver(batch, outcome);

/** The JSON lines of one datagram, as `hopscope decode` prints them. */
export function linesOf(bytes: Uint8Array, profile: Partial<SourceProfile> = {}): any[] {
  batch.clear();
  decodeDatagram(viewOf(bytes), 0, bytes.length, { ...IDENTITY_PROFILE, ...profile });
  return reportLines(0, '192.0.2.1', batch, outcome);
}
