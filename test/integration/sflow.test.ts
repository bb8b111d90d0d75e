// sFlow of a real agent into a whole collector: Open vSwitch samples packets between two hosts and tells the counters of its ports.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metricOf, startTestCollector, type TestCollector } from '../support/collector.ts';
import { EXPORTER_ADDRESS, openVswitchMissing, startOpenVswitch, type OpenVswitch } from '../support/open-vswitch.ts';
import { until } from '../support/processes.ts';

const missing = openVswitchMissing();

describe.skipIf(missing !== undefined)(`Open vSwitch${missing === undefined ? '' : ` (${missing})`}`, () => {
  let collector: TestCollector;
  let openVswitch: OpenVswitch;

  beforeAll(async () => {
    collector = await startTestCollector({
      ingest: { address: '0.0.0.0', port: 0 },
      nodes: [{ address: EXPORTER_ADDRESS, name: 'vswitch', interfaces: { '1000000': 'none' } }],
    });
    openVswitch = await startOpenVswitch({ collectorPort: collector.udpPort, sampling: 1 });
  }, 60_000);
  afterAll(async () => {
    await openVswitch.stop();
    await collector.stop();
  });

  it('gives hops of every packet, and the counters of every port, under the name of its agent', async () => {
    await openVswitch.sendTraffic();
    const { left0, trunkA } = openVswitch.ifIndexes;
    const bytes = (text: string, port: number): number =>
      metricOf(text, `fabric_interface_bytes_total{node="vswitch",interface="${port}",direction="receive"}`);
    const text = await until('counters of both ports', async () => {
      const now = await (await fetch(`${collector.base}/metrics`)).text();
      const isThere = [left0, trunkA].every((port) => now.includes(`node="vswitch",interface="${port}",direction="receive"`));
      return isThere && bytes(now, left0) > 10_000 && bytes(now, trunkA) > 1000 && now;
    });
    const m = (name: string): number => metricOf(text, name);
    // What came too late on a busy machine was dropped, and is in the books.
    expect(m('hopscope_dialect_datagrams_total{dialect="sflow-v5"}')).toBe(m('hopscope_datagrams_decoded_total'));
    expect(m('hopscope_datagrams_rejected_total')).toBe(0);
    expect(m('hopscope_reports_refused_total')).toBe(0);
    // Every packet was sampled: hundreds of them.
    expect(m('fabric_node_hops_total{node="vswitch"}')).toBeGreaterThan(200);
    expect(m('hopscope_hops_total')).toBe(m('hopscope_reports_decoded_total'));
    expect(m(`fabric_interface_speed_bytes{node="vswitch",interface="${left0}"}`)).toBe(10e9 / 8);
    expect(m(`fabric_interface_up{node="vswitch",interface="${left0}"}`)).toBe(1);
    expect(text).not.toContain('node="source-');
  });
});
