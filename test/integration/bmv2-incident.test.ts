// A real switch, a queue that is too slow for what is sent into it, and a whole collector: where BMv2 is on the path.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CongestionEvent, Incident } from '../../collector/event.ts';
import {
  bmv2Missing,
  COLLECTOR_ADDRESS,
  HOST,
  NODE,
  REPORT_PORT,
  startBmv2Fabric,
  SWITCHES,
  type Bmv2Fabric,
} from '../support/bmv2.ts';
import { metricOf } from '../support/collector.ts';
import { ready, receiverCommand } from '../support/namespaces.ts';
import { until, type Running } from '../support/processes.ts';

const missing = bmv2Missing();
const CLI = join(import.meta.dirname, '..', '..', 'collector', 'cli.ts');
const UDP_PORT = 5002;
const HTTP_PORT = 9733;

describe.skipIf(missing !== undefined)(`congestion on BMv2${missing === undefined ? '' : ` (${missing})`}`, () => {
  let fabric: Bmv2Fabric;
  let collector: Running;
  const folder = mkdtempSync(join(tmpdir(), 'bmv2-collector-'));

  beforeAll(async () => {
    fabric = await startBmv2Fabric();
    await fabric.apply();
    const config = {
      ingest: { address: COLLECTOR_ADDRESS, port: REPORT_PORT, sources: [{ addresses: ['10.99.0.0/24'], profile: 'hopscope' }] },
      nodes: SWITCHES.map((name) => ({ id: NODE[name].nodeId, name })),
      inventory: [
        { address: HOST.h1.address, namespace: 'analytics', workload: 'backup' },
        { address: HOST.h2.address, namespace: 'core5g', workload: 'amf' },
        { address: HOST.h3.address, namespace: 'core5g', workload: 'upf' },
      ],
      // Software takes hundreds of microseconds for a packet, and many times that when the machine is busy.
      congestion: { openWait: '100ms', closeWait: '50ms', fabricBudget: '100ms', silentAfter: '1s' },
      store: { path: join(folder, 'hopscope.db') },
    };
    writeFileSync(join(folder, 'hopscope.yaml'), JSON.stringify(config));
    collector = fabric.collector.start([process.execPath, CLI, 'start', '--config', join(folder, 'hopscope.yaml')]);
    await until('the collector', () => ask('/readyz').then(() => true));
    const receiver = fabric.hosts.h3.start(receiverCommand(5001, UDP_PORT));
    await ready(receiver, () => receiver.output().includes('listening'));
  }, 180_000);
  afterAll(async () => {
    await collector.stop();
    await fabric.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** GET of the collector, which listens in a namespace of its own. */
  const ask = (path: string): Promise<string> =>
    fabric.collector.run([process.execPath, '--eval', GET, `http://127.0.0.1:${HTTP_PORT}${path}`]);

  it('becomes one incident with its culprit and its victim', { timeout: 60_000 }, async () => {
    const { 'leaf-2': leaf } = fabric.switches;
    await leaf.setDepth(1, 200);
    await leaf.setRate(1, 250);
    const udp = { protocol: 'udp', destination: HOST.h3.address, destinationPort: UDP_PORT } as const;
    await Promise.all([
      fabric.send('h2', { ...udp, payloadBytes: 200, count: 150, intervalMs: 20 }),
      fabric.send('h1', { ...udp, payloadBytes: 1000, count: 1500, intervalMs: 1 }),
    ]);
    const incidents = await until('the incident', async () => {
      const { incidents: listed } = JSON.parse(await ask('/api/v1/incidents')) as { incidents: Incident[] };
      const whole = await Promise.all(listed.map(async ({ id }) => JSON.parse(await ask(`/api/v1/incidents/${id}`)) as Incident));
      return whole.some((one) => sustainedOf(one)?.state === 'closed') && whole;
    });
    const [incident, ...others] = incidents.filter(({ type }) => type === 'congestion');
    expect(others).toEqual([]);
    const event = sustainedOf(incident)!;
    expect(event.queue).toMatchObject({ node: 'leaf-2', interface: '1', queue: 0 });
    expect(event.culprits[0]).toMatchObject({ namespace: 'analytics', workload: 'backup' });
    expect(event.culprits[0].buildUpShare).toBeGreaterThan(0.8);
    expect(event.victims.map(({ workload }) => workload)).toContain('amf');
    expect(event.confidence).toBeGreaterThan(0.5);
    // 200 packets at 250 a second.
    expect(event.peakWaitNs).toBeGreaterThan(300e6);
    expect(event.evidence.reportLossRatio).toBe(0);
    console.log(incident.story.text);
    const metrics = await ask('/metrics');
    expect(metricOf(metrics, 'hopscope_reports_refused_total')).toBe(0);
    expect(metricOf(metrics, 'hopscope_datagrams_rejected_total')).toBe(0);
  });
});

const sustainedOf = ({ events }: Incident): CongestionEvent | undefined =>
  events.find((event): event is CongestionEvent => event.kind === 'sustained');

const GET = `
fetch(process.argv[1]).then(async (response) => {
  process.stdout.write(await response.text());
  process.exitCode = response.ok ? 0 : 1;
});
`;
