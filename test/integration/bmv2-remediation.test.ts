// The whole loop on real switches, where BMv2 is on the path: postcards, incident, change, effect, and the end of it by itself; and the
// reaper, when the collector is gone.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEntries } from '../../p4-int/runtime/plan.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { readSwitchFile } from '../../collector/switch-file.ts';
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
import { ready, receiverCommand } from '../support/namespaces.ts';
import { until, type Running } from '../support/processes.ts';

const missing = bmv2Missing();
const CLI = join(import.meta.dirname, '..', '..', 'collector', 'cli.ts');
const UDP_PORT = 5002;
const LEASE_S = 42;

describe.skipIf(missing !== undefined)(`remediation on BMv2${missing === undefined ? '' : ` (${missing})`}`, () => {
  let fabric: Bmv2Fabric;
  let collector: Running;
  let switches: string;
  const folder = mkdtempSync(join(tmpdir(), 'bmv2-remediation-'));
  const path = (name: string): string => join(folder, name);

  beforeAll(async () => {
    fabric = await startBmv2Fabric();
    switches = await fabric.apply();
    const config = {
      ingest: { address: COLLECTOR_ADDRESS, port: REPORT_PORT, sources: [{ addresses: ['10.99.0.0/24'], profile: 'hopscope' }] },
      nodes: SWITCHES.map((name) => ({ id: NODE[name].nodeId, name })),
      inventory: [
        { address: HOST.h1.address, namespace: 'analytics', workload: 'backup' },
        { address: HOST.h2.address, namespace: 'core5g', workload: 'amf' },
        { address: HOST.h3.address, namespace: 'core5g', workload: 'upf' },
      ],
      congestion: { openWait: '100ms', closeWait: '50ms', fabricBudget: '100ms', silentAfter: '1s' },
      store: { path: path('hopscope.db') },
      remediation: {
        switches,
        safety: path('safety.db'),
        audit: path('audit.jsonl'),
        killSwitch: path('stopped'),
        rules: [
          {
            name: 'backup-yields',
            mode: 'auto',
            action: 'limit-rate',
            value: '0.4M',
            switches: ['leaf-1', 'leaf-2'],
            namespaces: ['analytics'],
            lease: `${LEASE_S}s`,
          },
        ],
      },
    };
    writeFileSync(path('hopscope.yaml'), JSON.stringify(config));
    collector = fabric.collector.start([process.execPath, CLI, 'start', '--config', path('hopscope.yaml')]);
    const receiver = fabric.hosts.h3.start(receiverCommand(5001, UDP_PORT));
    await ready(receiver, () => receiver.output().includes('listening'));
  }, 180_000);
  afterAll(async () => {
    await collector.stop('SIGKILL');
    await fabric.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Audit records of a kind. */
  const records = (kind: string): any[] => {
    // Half a line may be on its way.
    const text = readFileSync(path('audit.jsonl'), 'utf8');
    const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
    return lines
      .map((line) => ({ ...JSON.parse(line).record, at: Date.parse(JSON.parse(line).at) }))
      .filter((one) => one.kind === kind);
  };
  const hopscope = (words: string[]): Promise<string> =>
    fabric.collector.run([process.execPath, CLI, ...words, '--config', path('hopscope.yaml')]);
  async function leaseEntries(): Promise<string[]> {
    const { target } = readSwitchFile(switches)[0];
    const client = new SwitchClient(target);
    try {
      const entries = await readEntries(client, shippedProgram('postcards').program);
      return entries.filter(({ cookie }) => cookie.startsWith('hopscope:lease:')).map(({ table }) => table);
    } finally {
      client.close();
    }
  }

  it('ends a congestion at its cause, sees that it helped, and takes itself off', { timeout: 180_000 }, async () => {
    const { 'leaf-2': leaf } = fabric.switches;
    await leaf.setDepth(1, 200);
    await leaf.setRate(1, 200);
    const udp = { protocol: 'udp', destination: HOST.h3.address, destinationPort: UDP_PORT } as const;
    // For as long as the fabric stands.
    void Promise.all([
      fabric.send('h2', { ...udp, payloadBytes: 200, count: 100 * 20, intervalMs: 50 }),
      fabric.send('h1', { ...udp, payloadBytes: 1000, count: 100 * 500, intervalMs: 2 }),
    ]).catch(() => undefined);
    const received = (): number => fabric.frames('leaf-2', 1, 'out').filter(({ bytes }) => bytes.length > 1000).length;
    const [made] = await until('the change', () => records('made').length > 0 && records('made'), 60_000).catch(
      (cause: unknown) => {
        throw new Error(`${collector.output()}\n${readFileSync(path('audit.jsonl'), 'utf8')}`, { cause });
      },
    );
    expect(await leaseEntries()).toEqual(['rate_limit']);
    const before = received();
    const beforeMs = Date.now();
    const told = await hopscope(['remediation', 'status']);
    expect(told).toContain(`lease ${made.lease}: active`);
    expect(told).toContain(
      `leaf-1: ${HOST.h1.address} → ${HOST.h3.address}:${UDP_PORT} (UDP): at most 0.4 Mbit/s, for ${LEASE_S} s`,
    );
    const [judged] = await until('the verdict', () => records('judged').length > 0 && records('judged'), 60_000);
    const duringRate = (received() - before) / ((Date.now() - beforeMs) / 1000);
    expect(judged).toMatchObject({ lease: made.lease, effect: 'effective' });
    expect(judged.achieved).toBeGreaterThan(0.5);
    // 0.4 Mbit/s are 48 packets of 1042 octets a second; nearly 200 a second came through before.
    expect(duringRate).toBeLessThan(100);
    const [undone] = await until('its end', () => records('undone').length > 0 && records('undone'), 60_000);
    expect(undone).toMatchObject({ lease: made.lease, why: 'its time is over' });
    expect(undone.at - records('making')[0].at).toBeLessThan((LEASE_S + 5) * 1000);
    expect(await leaseEntries()).toEqual([]);
    const afterMs = Date.now();
    const after = received();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const afterRate = (received() - after) / ((Date.now() - afterMs) / 1000);
    expect(afterRate).toBeGreaterThan(2 * duringRate);
    console.log(
      `packets per second of the culprit: ${duringRate.toFixed(0)} during the change, ${afterRate.toFixed(0)} after it; achieved ${judged.achieved.toFixed(2)} of ${judged.predicted.toFixed(2)} predicted`,
    );
    expect(await hopscope(['audit', 'verify'])).toContain('all as they were written');
  });
});
