// Seeded mutations of every dialect: 200,000 inputs without a throw, a partial row or an impossible count. `npm run fuzz` tries millions.

import { expect, it } from 'vitest';
import { viewOf } from '../../../collector/decode/bytes.ts';
import { IDENTITY_PROFILE } from '../../../collector/decode/profile.ts';
import { batch, decodeDatagram, outcome } from '../../support/decoding.ts';
import { DIALECT_SAMPLES } from '../../support/dialect-samples.ts';
import { FUZZ_FINDS } from '../../support/fixtures.ts';
import { Fuzzer, seedDatagrams, violation } from '../../support/fuzzing.ts';

const INPUTS = 200_000;
const SEED = 20_261_125;

it(`${INPUTS} mutated datagrams (seed ${SEED})`, { timeout: 120_000 }, () => {
  const fuzzer = new Fuzzer(SEED);
  let accepted = 0;
  for (let i = 0; i < INPUTS; i++) {
    fuzzer.mutate();
    const wrong = fuzzer.check();
    if (wrong !== undefined) expect.fail(`input ${i}: ${wrong}: ${fuzzer.hex}`);
    if (fuzzer.outcome.rejected === 0) accepted++;
  }
  expect(accepted).toBeGreaterThan(INPUTS / 20);
});

it.each(DIALECT_SAMPLES.map((sample) => [sample.name, sample] as const))(
  '%s: a good one has its hops and no warning',
  (_name, sample) => {
    batch.clear();
    decodeDatagram(viewOf(sample.bytes), 0, sample.bytes.length, sample.profile);
    expect([outcome.rejected, outcome.refusedReports, batch.length]).toEqual([0, 0, sample.hops]);
    expect([...batch.reports.warnings.subarray(0, batch.reports.length)].every((bits) => bits === 0)).toBe(true);
  },
);

it('finds of the fuzzer stay fixed', () => {
  for (const { bytes } of FUZZ_FINDS) {
    for (const strict of [false, true]) {
      batch.clear();
      decodeDatagram(viewOf(bytes), 0, bytes.length, { ...IDENTITY_PROFILE, strict, ifaProtocol: 131, intMxStack: true });
      expect(violation(batch, outcome, bytes.length)).toBeUndefined();
    }
  }
});

it('every prefix of every seed gives a result', () => {
  for (const base of seedDatagrams()) {
    for (let length = 0; length <= base.length; length++) {
      batch.clear();
      decodeDatagram(viewOf(base), 0, length, IDENTITY_PROFILE);
      expect(violation(batch, outcome, length)).toBeUndefined();
    }
  }
});

it('reads nothing behind the end of the datagram', () => {
  for (const base of seedDatagrams()) {
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
