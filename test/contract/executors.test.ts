// Whoever carries changes out behaves alike: what is applied is in force and said to be, what is removed leaves everything as it was, and what
// cannot be done is refused in a sentence and leaves nothing. Switches (the strict server, and BMv2 by its own tests), the cluster, endpoints.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { KubeConfig, KubernetesObjectApi } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebhookDelivery } from '../../alerts/notify/delivery.ts';
import { Destinations } from '../../alerts/notify/destination.ts';
import { Poster } from '../../alerts/notify/post.ts';
import { webhookSender } from '../../alerts/notify/webhook.ts';
import { CommandExecutor } from '../../alerts/remediation/actions/command.ts';
import { KubernetesExecutor } from '../../alerts/remediation/actions/kubernetes.ts';
import { P4RuntimeDevice } from '../../alerts/remediation/actions/p4runtime.ts';
import type { Change, Lease } from '../../alerts/remediation/change.ts';
import type { Executor } from '../../alerts/remediation/executor.ts';
import { openDatabase } from '../../collector/store/database.ts';
import { Outbox } from '../../collector/store/outbox.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { until } from '../support/processes.ts';
import { receive, type Received, type Receiver } from '../support/receiver.ts';
import { remediationTarget, startStrictServer, type StrictServer } from '../support/p4runtime-server.ts';
import { WorkloadApi } from '../support/workload-api.ts';

const FLOW = { source: '10.0.0.1', destination: '10.0.1.1', protocol: 6, destinationPort: 80 };
const OTHER_FLOW = { ...FLOW, source: '10.0.0.2' };
const WORKLOAD = { namespace: 'analytics', workload: 'backup', addresses: ['10.244.1.21'] };
const BASE = { culprit: 'analytics/backup', incidentId: 'inc_1', rule: 'r', predictedEffect: 0.9, leaseMs: 60_000 };

function leaseOf(id: string, change: Omit<Change, keyof typeof BASE>): Lease {
  const now = Date.now();
  return {
    id,
    generation: 7,
    change: { ...BASE, ...change },
    state: 'planned',
    createdUnixMs: now,
    expiresUnixMs: now + 60_000,
    expiresBootMs: 60_000,
    bootId: 'boot',
    reapplied: 0,
    renewed: 0,
  };
}

interface Bench {
  executor: Executor;
  changes: Omit<Change, keyof typeof BASE>[];
  /** Everything there is, to compare with. */
  world(): unknown;
  /** From now on what is asked is refused. */
  refuse(): void;
  /** And is not any more. */
  relent(): void;
  close(): Promise<void>;
}

async function switchBench(): Promise<Bench & { server: StrictServer; clientOf(electionId: bigint): SwitchClient }> {
  let isRefusing = false;
  // The second of a batch: half of it is there then.
  let asked = 0;
  const server = await startStrictServer({
    refuse: () => (isRefusing && ++asked % 2 === 0 ? status.RESOURCE_EXHAUSTED : undefined),
  });
  const clients: SwitchClient[] = [];
  const clientOf = (electionId: bigint): SwitchClient => {
    const client = new SwitchClient(remediationTarget(server.address, electionId));
    clients.push(client);
    return client;
  };
  const client = clientOf(1_000_002n);
  await client.lead();
  const shipped = shippedProgram('postcards');
  await client.setPipeline(shipped.program.info, shipped.deviceConfig, shipped.cookie);
  const executor = 'leaf-1';
  return {
    server,
    clientOf,
    executor: new P4RuntimeDevice(client, shipped),
    changes: [
      { action: 'remark-dscp', executor, targets: [FLOW, OTHER_FLOW], value: 8 },
      { action: 'override-queue', executor, targets: [FLOW, OTHER_FLOW], value: 1 },
      { action: 'limit-rate', executor, targets: [FLOW, OTHER_FLOW], value: 1e6 },
      {
        action: 'shift-ecmp',
        executor,
        targets: [
          { group: 1, firstBucket: 0, lastBucket: 31, nexthop: 2 },
          { group: 1, firstBucket: 32, lastBucket: 63, nexthop: 3 },
        ],
        value: 50,
      },
    ],
    world: () =>
      JSON.parse(JSON.stringify(server.entries(), (_key, value) => (typeof value === 'bigint' ? String(value) : value))),
    refuse: () => (isRefusing = true),
    relent: () => (isRefusing = false),
    close: () => {
      for (const one of clients) one.close();
      server.stop();
      return Promise.resolve();
    },
  };
}

async function clusterBench(): Promise<Bench & { api: WorkloadApi }> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
  const api = new WorkloadApi();
  await api.start(join(folder, 'kubeconfig'));
  api.put('statefulsets', 'analytics', 'backup', { 'kubernetes.io/egress-bandwidth': '900M', other: 'annotation' });
  api.put('deployments', 'analytics', 'report');
  api.putPod('analytics', 'backup-0', '10.244.1.21');
  const config = new KubeConfig();
  config.loadFromFile(join(folder, 'kubeconfig'));
  const client = KubernetesObjectApi.makeApiClient(config);
  return {
    api,
    executor: new KubernetesExecutor({ client, namespaces: ['analytics'], now: () => Date.now() }),
    changes: [
      { action: 'limit-egress', executor: 'kubernetes', targets: [WORKLOAD], value: 50e6 },
      { action: 'propose', executor: 'kubernetes', targets: [WORKLOAD], value: 50e6 },
    ],
    world: () => [...api.objects].map(([key, { metadata, ...rest }]) => [key, { ...metadata, resourceVersion: undefined }, rest]),
    refuse: () => (api.refuses = 403),
    relent: () => (api.refuses = undefined),
    close: async () => {
      await api.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A receiver that does what it is asked, in the order of the events. */
async function endpointBench(): Promise<Bench & { hook: Receiver; outbox: Outbox; told: () => any[] }> {
  let isRefusing = false;
  const inForce = new Map<string, unknown>();
  const bodyOf = ({ body }: Received): any => JSON.parse(body.toString());
  const hook = await receive((received) => {
    const { type, data, expiresAt } = bodyOf(received);
    if (isRefusing && type === 'remediation.apply') return 503;
    if (type === 'remediation.apply' && Date.parse(expiresAt) > Date.now()) inForce.set(data.leaseId, data.change);
    if (type === 'remediation.undo') inForce.delete(data.leaseId);
    return 200;
  });
  const outbox = new Outbox(openDatabase(':memory:'));
  const settled: ((id: string, isDelivered: boolean) => void)[] = [];
  const delivery = new WebhookDelivery({
    endpoints: [{ name: 'onos', url: `${hook.url}/`, secrets: ['a secret of the test, long enough'] }],
    outbox,
    send: webhookSender(new Poster(new Destinations([{ network: '127.0.0.1', port: hook.port }]))),
    onSettled: ({ id }, isDelivered) => settled.forEach((listener) => listener(id, isDelivered)),
    now: () => Date.now(),
    notice: () => undefined,
  });
  delivery.start();
  const executor = new CommandExecutor({
    endpoint: 'onos',
    put: (event) => {
      outbox.put(event, Date.now());
      delivery.wake();
    },
    cancel: (id) => outbox.giveUp(id, 'expired', Date.now()),
    onSettled: (listener) => settled.push(listener),
    now: () => Date.now(),
  });
  return {
    hook,
    outbox,
    told: () => hook.received.map(bodyOf),
    executor: {
      ...executor,
      apply: (lease, remainingMs) => executor.apply(lease, remainingMs),
      held: () => executor.held(),
      // Nobody waits for an undo but this test.
      remove: async (id) => {
        await executor.remove(id);
        await until('the undo', () => outbox.pending().size === 0);
      },
    },
    changes: [
      { action: 'limit-egress', executor: 'onos', targets: [WORKLOAD], value: 50e6 },
      { action: 'limit-rate', executor: 'onos', targets: [FLOW], value: 50e6 },
    ],
    world: () => [...inForce],
    refuse: () => (isRefusing = true),
    relent: () => (isRefusing = false),
    close: async () => {
      await delivery.stop();
      await hook.close();
    },
  };
}

const BENCHES = [
  ['a switch', switchBench],
  ['the cluster', clusterBench],
  ['an endpoint', endpointBench],
] as const;

describe.each(BENCHES)('%s', (_name, open: () => Promise<Bench>) => {
  let bench: Bench;
  beforeEach(async () => (bench = await open()));
  afterEach(() => bench.close());

  it('puts each change into force, says so, and leaves everything as it was', async () => {
    for (const change of bench.changes) {
      const before = structuredClone(bench.world());
      const lease = leaseOf('abcd1234', change);
      await bench.executor.apply(lease, 60_000);
      expect(bench.world(), change.action).not.toEqual(before);
      const held = await bench.executor.held();
      if (held !== undefined) expect(held, change.action).toEqual(new Map([[lease.id, change.targets.length]]));
      await bench.executor.remove(lease.id);
      expect(bench.world(), change.action).toEqual(before);
      if (held !== undefined) expect(await bench.executor.held()).toEqual(new Map());
    }
  });

  it('does the same a second time, and undoes it once for all', async () => {
    const before = structuredClone(bench.world());
    const lease = leaseOf('abcd1234', bench.changes[0]);
    await bench.executor.apply(lease, 60_000);
    await bench.executor.apply({ ...lease, reapplied: 1 }, 30_000);
    await bench.executor.remove(lease.id);
    expect(bench.world()).toEqual(before);
  });

  it('undoes what is not there without a fault, and nothing else', async () => {
    const lease = leaseOf('abcd1234', bench.changes[0]);
    await bench.executor.apply(lease, 60_000);
    const inForce = structuredClone(bench.world());
    await bench.executor.remove('ffff0000');
    expect(bench.world()).toEqual(inForce);
    await bench.executor.remove(lease.id);
    await bench.executor.remove(lease.id);
  });

  it('says in a sentence what it cannot do, and can be undone then', { timeout: 30_000 }, async () => {
    const before = structuredClone(bench.world());
    const lease = leaseOf('abcd1234', bench.changes[0]);
    bench.refuse();
    const refusal = await bench.executor.apply(lease, 60_000).then(
      () => undefined,
      (error: Error) => error.message,
    );
    expect(refusal).toMatch(/^[^\n{}]{20,250}$/);
    bench.relent();
    await bench.executor.remove(lease.id);
    expect(bench.world()).toEqual(before);
  });
});

describe('a switch', () => {
  let bench: Awaited<ReturnType<typeof switchBench>>;
  beforeEach(async () => (bench = await switchBench()));
  afterEach(() => bench.close());
  const flowLease = (id: string, n: number): Lease =>
    leaseOf(id, { ...bench.changes[0], targets: [{ ...FLOW, source: `10.1.${n >> 8}.${n & 255}` }] });

  it('is rid of a hundred leases within ten seconds', { timeout: 30_000 }, async () => {
    const leases = Array.from({ length: 100 }, (_, i) => flowLease(`lease${i}`, i));
    for (const lease of leases) await bench.executor.apply(lease, 60_000);
    expect(bench.server.entries()).toHaveLength(100);
    const began = performance.now();
    for (const { id } of leases) await bench.executor.remove(id);
    const tookMs = performance.now() - began;
    expect(bench.server.entries()).toEqual([]);
    expect(tookMs).toBeLessThan(10_000);
    console.log(`a hundred leases undone in ${Math.round(tookMs)} ms`);
  });

  it('takes nothing from a process of an earlier start: one write is refused, and nothing is there', async () => {
    await bench.executor.apply(flowLease('new', 1), 60_000);
    const world = structuredClone(bench.world());
    // The one with a lower election id wakes up with its old plan.
    const old = new P4RuntimeDevice(bench.clientOf(1_000_000n), shippedProgram('postcards'));
    await expect(old.apply(flowLease('old', 2), 60_000)).rejects.toThrow(/another controller leads/);
    await expect(old.remove('new')).rejects.toThrow(/another controller leads/);
    expect(bench.world()).toEqual(world);
    // The successor has a higher one, and takes over what is there.
    const successor = new P4RuntimeDevice(bench.clientOf(1_000_004n), shippedProgram('postcards'));
    await successor.remove('new');
    expect(bench.world()).toEqual([]);
    await expect(bench.executor.apply(flowLease('late', 3), 60_000)).rejects.toThrow(/another controller leads/);
    expect(bench.world()).toEqual([]);
  });

  it('that the reaper has led meanwhile is led again by the main process, unless another one of it has begun', async () => {
    const clients = [bench.clientOf(1_000_006n)];
    const main = new P4RuntimeDevice(bench.clientOf(1_000_004n), shippedProgram('postcards'), () => clients.pop());
    await main.apply(flowLease('main', 1), 60_000);
    const reaper = new P4RuntimeDevice(bench.clientOf(1_000_005n), shippedProgram('postcards'));
    await reaper.remove('main');
    await main.apply(flowLease('again', 2), 60_000);
    expect(await main.held()).toEqual(new Map([['again', 1]]));
    // The next main process; this one has no further term.
    await new P4RuntimeDevice(bench.clientOf(1_000_008n), shippedProgram('postcards')).remove('again');
    await expect(main.apply(flowLease('late', 3), 60_000)).rejects.toThrow(/another controller leads/);
    expect(bench.world()).toEqual([]);
  });

  it('that was started again has nothing, and says so', async () => {
    await bench.executor.apply(flowLease('abcd', 1), 60_000);
    await bench.server.restart();
    await until('it answers again', async () => (await bench.executor.held())?.size === 0);
    await bench.executor.remove('abcd');
    await expect(bench.executor.apply(flowLease('abcd', 1), 60_000)).rejects.toThrow(/does not run the program/);
  });
});

describe('the cluster', () => {
  let bench: Awaited<ReturnType<typeof clusterBench>>;
  beforeEach(async () => (bench = await clusterBench()));
  afterEach(() => bench.close());
  const TEMPLATE = 'statefulsets/analytics/backup';
  const limit = (id: string, workload = 'backup'): Lease =>
    leaseOf(id, { ...bench.changes[0], targets: [{ ...WORKLOAD, workload }] });

  it('limits on the pod template, and remembers on the workload what was there', async () => {
    await bench.executor.apply(limit('abcd'), 60_000);
    expect(bench.api.template(TEMPLATE)).toEqual({ 'kubernetes.io/egress-bandwidth': '400M', other: 'annotation' });
    // Another process, without a store, undoes it.
    await bench.executor.remove('abcd');
    expect(bench.api.template(TEMPLATE)).toEqual({ 'kubernetes.io/egress-bandwidth': '900M', other: 'annotation' });
  });

  it('limits to less than a megabit, too', async () => {
    const lease = limit('abcd');
    await bench.executor.apply({ ...lease, change: { ...lease.change, value: 50_000 } }, 60_000);
    expect(bench.api.template(TEMPLATE)['kubernetes.io/egress-bandwidth']).toBe('400k');
  });

  it('takes off what was not there before', async () => {
    await bench.executor.apply(limit('abcd', 'report'), 60_000);
    expect(bench.api.template('deployments/analytics/report')).toEqual({ 'kubernetes.io/egress-bandwidth': '400M' });
    await bench.executor.remove('abcd');
    expect(bench.api.template('deployments/analytics/report')).toEqual({});
  });

  it('leaves to others what they have changed meanwhile, and says that it is not in force', async () => {
    await bench.executor.apply(limit('abcd'), 60_000);
    bench.api.template(TEMPLATE)['kubernetes.io/egress-bandwidth'] = '100M';
    expect(await bench.executor.held()).toEqual(new Map([['abcd', 0]]));
    await bench.executor.remove('abcd');
    expect(bench.api.template(TEMPLATE)['kubernetes.io/egress-bandwidth']).toBe('100M');
    expect(await bench.executor.held()).toEqual(new Map());
  });

  it('has one lease on a workload', async () => {
    await bench.executor.apply(limit('abcd'), 60_000);
    await expect(bench.executor.apply(limit('efgh'), 60_000)).rejects.toThrow(
      'StatefulSet analytics/backup has a lease already: abcd',
    );
  });

  it('writes nothing over what was changed since it was read', async () => {
    bench.api.beforePatch = () => (bench.api.objects.get(TEMPLATE)!.metadata.resourceVersion = 'newer');
    await expect(bench.executor.apply(limit('abcd'), 60_000)).rejects.toThrow(/says that it was changed meanwhile/);
    expect(bench.api.template(TEMPLATE)['kubernetes.io/egress-bandwidth']).toBe('900M');
  });

  it('is not believed when it says yes and keeps nothing', async () => {
    bench.api.isDishonest = true;
    await expect(bench.executor.apply(limit('abcd'), 60_000)).rejects.toThrow(
      /did not keep kubernetes\.io\/egress-bandwidth: 400M/,
    );
  });

  it.each([
    ['what has no template', { ...WORKLOAD, workload: 'a-job' }, /analytics\/a-job is no Deployment, StatefulSet, DaemonSet/],
    ['another namespace', { ...WORKLOAD, namespace: 'core5g' }, /core5g is none of the namespaces of the rules/],
    ['flows', FLOW, /workloads, and nothing else/],
  ])('does not change %s', async (_what, target, refusal) => {
    await expect(bench.executor.apply(leaseOf('a', { ...bench.changes[0], targets: [target] }), 60_000)).rejects.toThrow(refusal);
    expect(bench.api.patches).toBe(0);
  });

  it('proposes at the workload and by an Event on the pod that sends, and changes nothing else', async () => {
    const before = structuredClone(bench.api.template(TEMPLATE));
    await bench.executor.apply(leaseOf('abcd', bench.changes[1]), 60_000);
    expect(bench.api.template(TEMPLATE)).toEqual(before);
    expect(bench.api.objects.get(TEMPLATE)!.metadata.annotations['hopscope.io/proposal']).toBe(
      'at most 400.0 Mbit/s: it harms others (inc_1)',
    );
    expect(bench.api.events).toMatchObject([
      { reason: 'HarmsOthers', type: 'Warning', involvedObject: { kind: 'Pod', name: 'backup-0', uid: 'uid-backup-0' } },
    ]);
  });
});

describe('an endpoint', () => {
  let bench: Awaited<ReturnType<typeof endpointBench>>;
  beforeEach(async () => (bench = await endpointBench()));
  afterEach(() => bench.close());

  it('is told what, until when, of which generation, and by when it must have begun', async () => {
    const lease = leaseOf('abcd', bench.changes[0]);
    await bench.executor.apply(lease, 60_000);
    const [command] = bench.told();
    expect(command).toMatchObject({
      type: 'remediation.apply',
      sequence: expect.any(Number),
      data: { leaseId: 'abcd', idempotencyKey: 'abcd/0/0', generation: 7, change: { action: 'limit-egress', value: 50e6 } },
    });
    expect(Date.parse(command.expiresAt) - Date.parse(command.timestamp)).toBeLessThanOrEqual(8000);
    expect(Date.parse(command.data.until) - Date.parse(command.timestamp)).toBeLessThanOrEqual(60_000);
  });

  it('is never told what it was too late for: it hears of the undoing alone', { timeout: 30_000 }, async () => {
    bench.refuse();
    await expect(bench.executor.apply(leaseOf('abcd', bench.changes[0]), 2000)).rejects.toThrow(
      'onos did not take the command within 2 s',
    );
    const asked = bench.told().length;
    expect(asked).toBeGreaterThanOrEqual(2);
    bench.relent();
    await bench.executor.remove('abcd');
    expect(
      bench
        .told()
        .slice(asked)
        .map(({ type }) => type),
    ).toEqual(['remediation.undo']);
    expect(bench.outbox.deadLetters()).toMatchObject([{ type: 'remediation.apply', reason: 'expired' }]);
    expect(bench.outbox.replay({}, Date.now())).toEqual([]);
    expect(bench.world()).toEqual([]);
  });
});
