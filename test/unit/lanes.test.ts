// Several ingest threads: what is said of a queue, a node or a sender that two lanes hear of is said once, and adds up where adding makes sense.

import { beforeEach, expect, it } from 'vitest';
import { accountingOf } from '../../collector/accounting.ts';
import { Admission } from '../../collector/admission.ts';
import { parseConfig } from '../../collector/config.ts';
import { viewOf } from '../../collector/decode/bytes.ts';
import { Diagnosis, incidentBookOf } from '../../collector/diagnosis.ts';
import { queuePoints } from '../../collector/influx-points.ts';
import { PeakWaits } from '../../collector/peak-waits.ts';
import { pipelineOver } from '../../collector/pipeline.ts';
import { SeriesText } from '../../collector/series-text.ts';
import { wideSeries, type Lane } from '../../collector/series.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from '../../collector/shared-state.ts';
import { Timeline } from '../../collector/timeline.ts';
import { planFor } from '../../alerts/remediation/plan.ts';
import { Postcards } from '../support/postcards.ts';

const config = parseConfig('{ ingest: { allow: [10.0.0.0/8], sources: [{ addresses: [10.0.0.0/8], emptyLatency: 1us }] } }');
const timeline = new Timeline(Date.parse('2026-11-24T10:00:00Z'));
let lanes: Lane[];

beforeEach(() => {
  const incidents = incidentBookOf(
    config,
    timeline,
    (incident) => planFor(incident, config.remediation),
    () => undefined,
  );
  lanes = [0, 1].map((lane) => {
    const state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.fixed());
    const pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
    // The same congestion of one queue, as two sinks tell of it, and a sender of each lane's own.
    for (const from of [1, 10 + lane]) {
      for (let sequence = 0; sequence < 20; sequence++) {
        const card = new Postcards(1);
        card.head(7, sequence);
        card.report(0, 1, 3, 1e9 + sequence * 20_000, sequence < 15 ? 201_000 : 1_000);
        pipeline.arrive(1e9 + sequence * 20_000);
        pipeline.receive(viewOf(card.bytes), 0, card.bytes.length, Uint32Array.of(0, 0, 0xffff, 0x0a000000 + from), 32_766, 0);
      }
    }
    for (const stranger of [1, 2]) {
      const { bytes } = new Postcards(1);
      pipeline.receive(viewOf(bytes), 0, bytes.length, Uint32Array.of(0, 0, 0xffff, 0xcb007100 + stranger), 32_766, 0);
    }
    pipeline.settle();
    const diagnosis = new Diagnosis({
      state,
      config,
      timeline,
      ownerAt: () => ({ kind: 'unknown', namespace: 'unknown', workload: 'unknown', confidence: 0 }),
      incidents,
    });
    diagnosis.poll(2e9);
    return { diagnosis, peaks: new PeakWaits(state.queues) };
  });
});

it('every series is there once: counts add up, times and peaks do not', () => {
  const text = new SeriesText(wideSeries(lanes, timeline), { all: 10_000, perMetric: 10_000 }).render();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const names = lines.map((line) => line.slice(0, line.lastIndexOf(' ')));
  expect(new Set(names).size).toBe(names.length);
  const value = (name: string): number =>
    Number(
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')
        .at(-1),
    );
  const queue = '{node="7",interface="3",queue="0"}';
  const [one] = lanes.map(({ diagnosis }) => diagnosis.state.queues);
  expect(value(`fabric_hop_latency_seconds_count${queue}`)).toBe(4 * 20);
  expect(value(`fabric_queue_congested_seconds_total${queue}`)).toBe(one.congestedNs(1) / 1e9);
  expect(value(`fabric_queue_peak_wait_seconds${queue}`)).toBeCloseTo(200e-6, 9);
  expect(value('hopscope_reports_total{node="7"}')).toBe(80);
  expect(value('hopscope_sequence_received_total{node="7",hardware_id="0"}')).toBe(80);
});

it('one point a queue, one incident, one entry a sender and a network of strangers', () => {
  expect(queuePoints(lanes, 0)).toHaveLength(1);
  expect(lanes[0].diagnosis.incidents.list()).toHaveLength(1);
  const { datagrams, sources, strangers } = accountingOf(
    lanes.map(({ diagnosis }) => diagnosis),
    0,
  );
  expect(datagrams).toMatchObject({ received: 84, decoded: 80, dropped: { 'not-admitted': 4 }, unaccounted: 0, lostBeforeUs: 0 });
  expect(sources.map(({ address, received }) => [address, received])).toEqual([
    ['10.0.0.1', 40],
    ['10.0.0.10', 20],
    ['10.0.0.11', 20],
  ]);
  expect(strangers).toEqual([{ network: '203.0.113.0/24', datagrams: 4 }]);
});

it('what is dropped of one sender hides no loss of another', () => {
  const [{ diagnosis }] = lanes;
  const { exporters, sources } = diagnosis.state;
  // A sender whose datagrams make no gap, all of them cut by its rate limit.
  exporters.count(exporters.rowOf(Uint32Array.of(0, 0, 0xffff, 0x0a0000ff), 3e9), 5, 10_000);
  const lost = sources.keys.doubles.slice();
  const pipeline = pipelineOver(diagnosis.state, new Admission(exporters, config.ingest));
  const card = new Postcards(1);
  for (const sequence of [20, 200, 300, 301]) {
    card.head(7, sequence);
    pipeline.arrive(4e9);
    pipeline.receive(viewOf(card.bytes), 0, card.bytes.length, Uint32Array.of(0, 0, 0xffff, 0x0a000001), 32_766, 0);
  }
  pipeline.settle();
  expect(lost).not.toEqual(sources.keys.doubles);
  expect(accountingOf([diagnosis], 0).datagrams.lostBeforeUs).toBeGreaterThan(100);
});
