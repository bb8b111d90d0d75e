// The walk of `--explain` against the decoder, which shares no table with it: every octet is shown once, and what both name is the same.

import { describe, expect, it } from 'vitest';
import { viewOf } from '../../collector/decode/bytes.ts';
import { decodeCapture, type DecodeOptions } from '../../collector/decode-command.ts';
import { explain } from '../../collector/explain.ts';
import { DIALECTS } from '../../collector/hop.ts';
import { batch, decodeDatagram, outcome } from '../support/decoding.ts';
import { DIALECT_SAMPLES } from '../support/dialect-samples.ts';
import { capturePath, CAPTURES, FUZZ_FINDS } from '../support/fixtures.ts';
import { Fuzzer } from '../support/fuzzing.ts';

const MARKERS = { dscp: 0x17, udpPort: 0 };

describe.each(DIALECT_SAMPLES.map((sample) => [sample.name, sample] as const))('%s', (_name, sample) => {
  batch.clear();
  decodeDatagram(viewOf(sample.bytes), 0, sample.bytes.length, sample.profile);
  const fields = explain(sample.bytes, DIALECTS[outcome.dialect], MARKERS);
  const decoded = [...batch.nodeId.subarray(0, batch.length)];

  it('shows the octets in order, from the first on', () => {
    const places = fields.map(({ octet, bit }) => octet * 8 + bit);
    expect(places[0]).toBe(0);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(new Set(places).size).toBe(places.length);
  });

  it('names the nodes of the hops that have one, wherever it has a table for them', () => {
    const shown = fields.filter(({ field }) => field === 'NodeID' || field === 'SwitchID').map(({ value }) => Number(value));
    if (shown.length > 1) for (const id of decoded) expect(shown).toContain(id);
  });
});

it('never throws, and is bounded, whatever the bytes', () => {
  const fuzzer = new Fuzzer(3);
  for (let i = 0; i < 5000; i++) {
    fuzzer.mutate();
    const bytes = Buffer.from(fuzzer.hex, 'hex');
    const fields = explain(bytes, DIALECTS[i % DIALECTS.length], MARKERS);
    expect(fields.length).toBeLessThan(9000);
    expect(fields.every(({ octet }) => octet < bytes.length)).toBe(true);
  }
});

function linesOf(name: string, options: DecodeOptions): string[] {
  const lines: string[] = [];
  decodeCapture(
    capturePath(name),
    options,
    (text) => lines.push(...text.split('\n')),
    () => undefined,
  );
  return lines;
}

/** What the programs of the captures do otherwise than the letter says, as --explain tells it. */
const DEVIATIONS: Record<(typeof CAPTURES)[number], string[]> = {
  'int-xd_report-v0.5_fabric-tna': [],
  'int-md-v1.0_report-v1.0_onos': ['W_DQF_MISPLACED', 'W_VERSION_NIBBLE'],
  'int-md-v1.0_report-v1.0_onos_tcp': ['W_DQF_MISPLACED', 'W_INT_TRUNCATED', 'W_VERSION_NIBBLE'],
  'int-md-v2.1_report-v2.0_laofan13_congested': ['W_REPLEN_ZERO'],
  'int-mx_report-v2.0_asis': ['E_MD_MISPLACED', 'E_MD_SHORT', 'E_REPORT_OVERRUN'],
  'sflow-v5_open-vswitch': [],
};

it.each(CAPTURES)('%s: what deviates is told', (name) => {
  const lines = linesOf(name, { explain: true });
  const codes = lines.flatMap((line) => /(?:deviates|refused): ([EW]_[A-Z0-9_]+)/.exec(line)?.[1] ?? []);
  const told = [...new Set(codes)].sort();
  expect(told).toEqual(DEVIATIONS[name]);
});

it('a table has a row for each hop, with drop reasons in words', () => {
  const rows = linesOf('int-xd_report-v0.5_fabric-tna', { table: true, profile: 'sd-fabric' });
  expect(rows).toHaveLength(1 + 21);
  expect(rows[0]).toContain('latency ns');
  expect(rows.filter((row) => row.includes('denied by ACL')).length).toBeGreaterThan(0);
  expect(rows[1]).toContain('10.0.1.1:40001 > 10.0.3.2:5001');
});

it('a profile that is not there is answered with those that are', () => {
  expect(() => linesOf('int-xd_report-v0.5_fabric-tna', { profile: 'wat' })).toThrow(
    'there is no profile wat; there are bmv2, geant',
  );
});

describe('what once fooled the decoder', () => {
  const fieldsOf = (about: string, dialect: (typeof DIALECTS)[number]) =>
    explain(FUZZ_FINDS.find((find) => find.about.startsWith(about))!.bytes, dialect, MARKERS);

  it('TCP timestamps are no shim', () => {
    expect(fieldsOf('TCP timestamps', 'report-v2.0').map(({ header }) => header)).not.toContain('shim');
  });

  it('INT of ONOS with M set is v1.0', () => {
    expect(fieldsOf('ONOS with M set', 'report-v2.0').map(({ field }) => field)).toContain('HopML');
  });

  it('what XDR fills a record with is no record', () => {
    const records = fieldsOf('fill', 'sflow-v5').filter(({ header, field }) => header === 'record' && field === 'Enterprise');
    expect(records.map(({ value }) => value)).toEqual(['4413', '0']);
  });
});
