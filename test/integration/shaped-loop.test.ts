// The whole loop on a queue of the kernel: real packets through a token bucket, postcards of its measured backlog, an incident, a signed command to a
// receiver that shapes the culprit where it sends, the effect on the same queue, and the byte rates before, during and after.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespacesMissing, ready, receiverCommand, senderCommand, startApart, type Apart } from '../support/namespaces.ts';
import { until, type Running } from '../support/processes.ts';

const missing = namespacesMissing();
const CLI = join(import.meta.dirname, '..', '..', 'collector', 'cli.ts');
const SUPPORT = join(import.meta.dirname, '..', 'support');
const SECRET = 'a secret of the test, long enough';
const UDP_PORT = 5002;
const [HOOK_PORT, REPORT_PORT] = [9901, 32_766];
/** The queue drains at 3 Mbit/s; the culprit sends at more than 4. */
const RATE_BYTES = 375_000;
const LIMITED_BYTES = 125_000;
const LEASE_S = 45;
const ADDRESS = { culprit: '10.1.1.2', victim: '10.1.2.2', sink: '10.1.3.2' } as const;

describe.skipIf(missing !== undefined)(`a loop over a shaped queue${missing === undefined ? '' : ` (${missing})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'shaped-loop-'));
  const path = (name: string): string => join(folder, name);
  const spaces: Apart[] = [];
  const running: Running[] = [];
  let router: Apart;
  let hosts: Record<keyof typeof ADDRESS, Apart>;
  let collector: Running;

  beforeAll(async () => {
    const all = await Promise.all([0, 1, 2, 3].map(() => startApart(['sleep', 'infinity'], process.env)));
    spaces.push(...all);
    const [first, culprit, victim, sink] = all;
    [router, hosts] = [first, { culprit, victim, sink }];
    await Promise.all(spaces.map((one) => one.ip('link set lo up')));
    for (const [name, host] of Object.entries(hosts)) {
      const address = ADDRESS[name as keyof typeof ADDRESS];
      await router.ip(`link add ${name} type veth peer name eth0 netns ${host.pid}`);
      await router.ip(`addr add ${address.replace(/2$/, '1')}/24 dev ${name}`);
      await router.ip(`link set ${name} up`);
      await host.ip('link set eth0 up');
      await host.ip(`addr add ${address}/24 dev eth0`);
      await host.ip(`route add default via ${address.replace(/2$/, '1')}`);
    }
    await router.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    await router.run(`tc qdisc add dev sink root tbf rate ${RATE_BYTES * 8}bit burst 5kb limit 150kb`.split(' '));
    const config = {
      ingest: {
        address: '127.0.0.1',
        port: REPORT_PORT,
        sources: [{ addresses: ['127.0.0.1'], emptyLatency: '1us', occupancyUnit: 'bytes' }],
      },
      nodes: [{ id: 101, name: 'leaf-2' }],
      inventory: [
        { address: ADDRESS.culprit, namespace: 'analytics', workload: 'backup' },
        { address: ADDRESS.victim, namespace: 'core5g', workload: 'amf' },
        { address: ADDRESS.sink, namespace: 'core5g', workload: 'upf' },
      ],
      congestion: { openWait: '100ms', closeWait: '50ms', fabricBudget: '100ms', silentAfter: '1s' },
      store: { path: path('hopscope.db') },
      egress: { allow: [`127.0.0.1:${HOOK_PORT}`] },
      webhooks: [{ name: 'shaper', url: `http://127.0.0.1:${HOOK_PORT}/`, secret: { env: 'HOPSCOPE_SHAPER_SECRET' } }],
      remediation: {
        safety: path('safety.db'),
        audit: path('audit.jsonl'),
        killSwitch: path('stopped'),
        rules: [
          {
            name: 'backup-yields',
            mode: 'auto',
            action: 'limit-egress',
            endpoint: 'shaper',
            value: `${(LIMITED_BYTES * 8) / 1e6}M`,
            namespaces: ['analytics'],
            lease: `${LEASE_S}s`,
          },
        ],
      },
    };
    writeFileSync(path('hopscope.yaml'), JSON.stringify(config));
    const begin = async (apart: Apart, words: string[], says: string): Promise<Running> => {
      const one = apart.start(words);
      running.push(one);
      await ready(one, () => one.output().includes(says));
      return one;
    };
    await begin(hosts.sink, receiverCommand(5001, UDP_PORT), 'listening');
    const shaper = [join(SUPPORT, 'shaper.ts'), String(HOOK_PORT), SECRET, String(hosts.culprit.pid), ADDRESS.culprit];
    await begin(router, [process.execPath, ...shaper], 'shaping');
    const start = [process.execPath, CLI, 'start', '--config', path('hopscope.yaml')];
    collector = await begin(router, ['env', `HOPSCOPE_SHAPER_SECRET=${SECRET}`, ...start], 'listening for telemetry');
    const flow = (name: 'culprit' | 'victim', bytes: number): string =>
      [name, ADDRESS[name], ADDRESS.sink, UDP_PORT, bytes].join(',');
    const monitor = ['sink', RATE_BYTES, REPORT_PORT, flow('culprit', 1028), flow('victim', 228)].map(String);
    await begin(router, [process.execPath, join(SUPPORT, 'queue-monitor.ts'), ...monitor], 'monitoring');
  }, 60_000);
  afterAll(async () => {
    await Promise.all([...running.reverse(), ...spaces.map((one) => one.running)].map((one) => one.stop('SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  });

  const records = (kind: string): any[] => {
    const text = readFileSync(path('audit.jsonl'), 'utf8');
    const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
    return lines.map((line) => JSON.parse(line).record).filter((one) => one.kind === kind);
  };
  /** Octets that a link of the router has taken in so far. */
  const octetsFrom = async (name: string): Promise<number> => {
    const line = (await router.run(['cat', '/proc/net/dev'])).split('\n').find((one) => one.trim().startsWith(`${name}:`))!;
    return Number(line.trim().split(/[:\s]+/)[1]);
  };
  const rateOf = async (name: string, seconds: number): Promise<number> => {
    const [begin, beginMs] = [await octetsFrom(name), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return ((await octetsFrom(name)) - begin) / ((performance.now() - beginMs) / 1000);
  };

  it('limits the culprit where it sends, sees the queue recover, and gives everything back', { timeout: 180_000 }, async () => {
    const udp = { protocol: 'udp', destination: ADDRESS.sink, destinationPort: UDP_PORT } as const;
    running.push(
      hosts.victim.start(senderCommand({ ...udp, sourcePort: 7001, payloadBytes: 200, count: 20_000, intervalMs: 10 })),
      hosts.culprit.start(senderCommand({ ...udp, sourcePort: 7000, payloadBytes: 1000, count: 100_000, intervalMs: 2 })),
    );
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const before = await rateOf('culprit', 5);
    await until('the change', () => records('made').length > 0, 60_000).catch((cause: unknown) => {
      throw new Error(`${running.map((one) => one.output()).join('\n')}\n${readFileSync(path('audit.jsonl'), 'utf8')}`, {
        cause,
      });
    });
    const during = await rateOf('culprit', 5);
    const [judged] = await until('the verdict', () => records('judged').length > 0 && records('judged'), 60_000);
    expect(judged).toMatchObject({ effect: 'effective' });
    const [undone] = await until('its end', () => records('undone').length > 0 && records('undone'), 60_000);
    expect(undone).toMatchObject({ why: 'its time is over' });
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const after = await rateOf('culprit', 5);
    console.log(
      `octets per second of the culprit: ${before.toFixed(0)} before, ${during.toFixed(0)} during, ${after.toFixed(0)} after; ` +
        `achieved ${judged.achieved.toFixed(2)} of ${judged.predicted.toFixed(2)} predicted`,
    );
    expect(during).toBeLessThan(1.1 * LIMITED_BYTES);
    expect(before).toBeGreaterThan(1.2 * RATE_BYTES);
    expect(Math.abs(after - before) / before).toBeLessThan(0.05);
    expect(collector.output()).not.toContain('internal error');
  });
});
