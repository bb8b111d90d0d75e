// Seeded mutations of every capture and vector: 200,000 inputs without a throw, a partial row or an impossible count.

import { expect, it } from 'vitest';
import { readCapture } from '../../../collector/ingest/capture.ts';
import { datagramOf } from '../../../collector/ingest/frame.ts';
import { viewOf } from '../../../collector/decode/bytes.ts';
import { MAX_HOPS_PER_DATAGRAM } from '../../../collector/decode/outcome.ts';
import { IDENTITY_PROFILE } from '../../../collector/decode/profile.ts';
import { randomStream } from '../../../p4-int/fabric/random.ts';
import { batch, decodeDatagram, outcome } from '../../support/decoding.ts';
import { capturePath, VECTORS } from '../../support/fixtures.ts';

const INPUTS = 200_000;
const SEED = 20_261_124;

function seeds(): Uint8Array[] {
  const found = VECTORS.map((vector) => Uint8Array.from(Buffer.from(vector.hex, 'hex')));
  for (const name of [
    'int-xd_report-v0.5_fabric-tna',
    'int-md-v2.1_report-v2.0_laofan13_congested',
    'int-mx_report-v2.0_asis',
    'int-md-v1.0_report-v1.0_onos',
    'int-md-v1.0_report-v1.0_onos_tcp',
  ]) {
    for (const frame of readCapture(capturePath(name))) {
      const datagram = datagramOf(frame.data, frame.linkType);
      if (datagram !== undefined) found.push(datagram.payload.slice());
    }
  }
  return found;
}

/** What must hold of any input whatever: checked without `expect`, which is too slow for this many. */
function violation(length: number): string | undefined {
  const { reports } = batch;
  if (outcome.rejected !== 0 && (batch.length !== 0 || reports.length !== 0)) return 'a rejected datagram left rows';
  if (outcome.rejected === 0 && reports.length + outcome.refusedReports !== outcome.framedReports) return 'reports do not add up';
  if (outcome.framedReports > Math.max(1, (length - 8) / 4)) return 'more reports than octets allow';
  let hops = 0;
  for (let report = 0; report < reports.length; report++) {
    if (reports.firstHop[report] !== hops) return 'hops of a report are not where they should be';
    hops += reports.hopCount[report];
  }
  if (hops !== batch.length) return 'a hop belongs to no report';
  if (batch.length > MAX_HOPS_PER_DATAGRAM) return 'more hops than the batch holds';
  for (let hop = 0; hop < batch.length; hop++) if (batch.report[hop] >= reports.length) return 'a hop names no report';
  return undefined;
}

it(`${INPUTS} mutated datagrams (seed ${SEED})`, { timeout: 120_000 }, () => {
  const random = randomStream(SEED, 'mutation');
  const pool = seeds();
  const pick = (n: number): number => Math.floor(random() * n);
  const guard = 64;
  let accepted = 0;
  for (let i = 0; i < INPUTS; i++) {
    const base = pool[pick(pool.length)];
    const length = random() < 0.3 ? pick(base.length + 1) : base.length;
    // The datagram lies in the middle of other bytes: a read beyond its end would find something and change the result.
    const bytes = new Uint8Array(guard + length + guard).fill(i & 0xff);
    bytes.set(base.subarray(0, length), guard);
    for (let changes = pick(6); changes > 0 && length > 0; changes--) {
      bytes[guard + pick(length)] = random() < 0.5 ? [0, 1, 0x7f, 0x80, 0xfe, 0xff][pick(6)] : pick(256);
    }
    batch.clear();
    decodeDatagram(viewOf(bytes), guard, guard + length, { ...IDENTITY_PROFILE, strict: (i & 1) === 1 });
    if (outcome.rejected === 0) accepted++;
    const wrong = violation(length);
    if (wrong !== undefined) {
      expect.fail(`input ${i}: ${wrong}: ${Buffer.from(bytes.subarray(guard, guard + length)).toString('hex')}`);
    }
  }
  expect(accepted).toBeGreaterThan(INPUTS / 20);
});

it('every prefix of every vector and capture gives a result', () => {
  for (const base of seeds()) {
    for (let length = 0; length <= base.length; length++) {
      batch.clear();
      decodeDatagram(viewOf(base), 0, length, IDENTITY_PROFILE);
      expect(violation(length)).toBeUndefined();
    }
  }
});

it('reads nothing behind the end of the datagram', () => {
  for (const base of seeds()) {
    const results = [0x00, 0xff].map((filler) => {
      const bytes = new Uint8Array(base.length + 128).fill(filler);
      bytes.set(base);
      batch.clear();
      decodeDatagram(viewOf(bytes), 0, base.length, IDENTITY_PROFILE);
      const r = batch.reports;
      return JSON.stringify([
        outcome.rejected,
        batch.length,
        [...batch.present.subarray(0, batch.length)],
        [...batch.nodeId.subarray(0, batch.length)],
        [...r.flowParts.subarray(0, r.length)],
        [...r.warnings.subarray(0, r.length)],
      ]);
    });
    expect(results[0]).toBe(results[1]);
  }
});
