// The packet path allocates nothing per report. Per datagram V8 boxes a few doubles (the time of arrival, where a call is not inlined):
// less than a hundred octets, however many reports it holds.

import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../collector/config.ts';
import { Admission } from '../../collector/admission.ts';
import { viewOf } from '../../collector/decode/bytes.ts';
import { pipelineOver } from '../../collector/pipeline.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from '../../collector/shared-state.ts';
import { fabricDatagrams } from '../support/fabric-datagrams.ts';
import { vectorBytes } from '../support/fixtures.ts';
import { noisyBackup } from '../support/stories.ts';

/** Octets of heap that the pipeline takes per datagram over and over, in the leanest of several runs; and reports per datagram. */
function heapPerDatagram(datagrams: Buffer[]): { octets: number; reports: number } {
  const config = parseConfig('ingest: { sources: [{ addresses: [10.0.0.0/8], occupancyUnit: bytes, portRate: 10G }] }');
  const state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.fixed());
  const pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
  const source = Uint32Array.of(0, 0, 0xffff, 0x0a000001);
  const views = datagrams.map(viewOf);
  const nowNs = Float64Array.of(1e9);
  let sequence = 0;
  const turn = (): void => {
    for (let i = 0; i < datagrams.length; i++) {
      const bytes = datagrams[i];
      if (bytes[0] >>> 4 === 2) bytes.writeUInt32BE(((2 << 28) | (sequence++ & 0x3fffff)) >>> 0, 0);
      nowNs[0] += 1000;
      pipeline.arrive(nowNs[0]);
      pipeline.receive(views[i], 0, bytes.length, source, 32_766, 0);
      pipeline.settle();
    }
  };
  const turns = Math.ceil(40_000 / datagrams.length);
  for (let i = 0; i < 4 * turns; i++) turn();
  const reportsBefore = state.counters.read().of('reportsDecoded');
  let octets = Infinity;
  const runs = 8;
  for (let run = 0; run < runs; run++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < turns; i++) turn();
    const grown = process.memoryUsage().heapUsed - before;
    // A collection in between makes a run say nothing.
    if (grown >= 0) octets = Math.min(octets, grown / (turns * datagrams.length));
  }
  return { octets, reports: (state.counters.read().of('reportsDecoded') - reportsBefore) / (runs * turns * datagrams.length) };
}

describe('heap per datagram', () => {
  const grouped = fabricDatagrams(noisyBackup(0.05e9, 0.1e9).scenario, 1, 0.2e9).map((d) => d.bytes);
  const strange = ['bad-version', 'bad-report-overrun', 'v2-unknown-reptype-in-the-middle', 'edge-inner-truncated-l4'];

  it.each([
    ['of one report', [Buffer.from(vectorBytes('v2-single-postcard'))], 1],
    ['of eight reports', grouped, 7],
    ['that is refused, whole or in part', strange.map((name) => Buffer.from(vectorBytes(name))), 0.5],
  ])('%s', (_name, datagrams, atLeastReports) => {
    const { octets, reports } = heapPerDatagram(datagrams);
    expect(reports).toBeGreaterThan(atLeastReports - 0.5);
    expect(octets).toBeLessThan(100);
  });
});
