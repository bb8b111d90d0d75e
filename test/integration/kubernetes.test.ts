// Owners of addresses over time from a Kubernetes API that speaks real HTTP list and watch.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubernetesOwners } from '../../collector/identify/kubernetes.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { Diagnosing } from '../support/diagnosing.ts';
import { fabricDatagrams } from '../support/fabric-datagrams.ts';
import { KubernetesApi, type Pod } from '../support/kubernetes-api.ts';
import { until } from '../support/processes.ts';
import { noisyBackup } from '../support/stories.ts';

const folder = mkdtempSync(join(tmpdir(), 'hopscope-kubernetes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const kubeconfig = join(folder, 'kubeconfig');

const MINUTE = 60_000;
const T0 = Date.parse('2026-11-24T10:00:00Z');
const at = (minutes: number): string => new Date(T0 + minutes * MINUTE).toISOString();

function pod(name: string, uid: string, address: string | undefined, startedAtMinute: number, status: object = {}): Pod {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid,
      labels: { 'pod-template-hash': '5d4f' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name.split('-')[0]}-5d4f`, uid: 'r', controller: true },
      ],
    },
    spec: { nodeName: 'node-1' },
    status: {
      phase: 'Running',
      hostIP: '192.168.1.5',
      ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }] }),
      containerStatuses: [container({ running: { startedAt: at(startedAtMinute) } })],
      ...status,
    },
  };
}

function container(state: object): object {
  return { name: 'c', image: 'i', imageID: 'i', ready: true, restartCount: 0, state };
}

function ended(phase: 'Succeeded' | 'Failed', startedAtMinute: number, endedAtMinute: number): object {
  const terminated = { exitCode: 0, startedAt: at(startedAtMinute), finishedAt: at(endedAtMinute) };
  return { phase, containerStatuses: [container({ terminated })] };
}

let api: KubernetesApi;
let owners: KubernetesOwners;
let notices: string[];
let nowMs: number;

beforeEach(() => {
  api = new KubernetesApi();
  notices = [];
  nowMs = T0 + 30 * MINUTE;
});
afterEach(async () => {
  await owners.stop();
  await api.stop();
});

async function watch(): Promise<void> {
  owners = new KubernetesOwners({ kubeconfig, notice: (message) => notices.push(message), now: () => nowMs });
  await owners.start();
}
const ownerAt = (address: string, minutes: number): string | undefined => {
  const owner = owners.map.ownerAt(address, T0 + minutes * MINUTE);
  return owner && `${owner.kind} ${owner.namespace}/${owner.workload}`;
};
const known = (address: string, minutes: number, who: string): Promise<string> =>
  until(`${who} at ${address}`, () => {
    const owner = ownerAt(address, minutes);
    return owner === who && owner;
  });

it('pods from the list and from the watch own their addresses from their start on; the workload is the Deployment', async () => {
  api.put(pod('web-1', 'u1', '10.1.0.1', 5));
  await api.start(kubeconfig);
  await watch();
  await known('10.1.0.1', 6, 'pod shop/web');
  expect(ownerAt('10.1.0.1', 4)).toBeUndefined();
  expect(ownerAt('10.9.9.9', 6)).toBeUndefined();
  await until('the watch', () => api.watches > 0);
  api.put(pod('api-1', 'u2', '10.1.0.2', 20));
  await known('10.1.0.2', 21, 'pod shop/api');
  expect(await known('192.168.1.5', 21, 'node /node-1')).toBeDefined();
  expect(api.bookmarksAskedFor).toBe(true);
  expect(notices).toEqual(['Kubernetes API is reachable: pods are watched']);
});

it('a reused address belongs to each pod in its own time', async () => {
  await api.start(kubeconfig);
  await watch();
  await until('the watch', () => api.watches > 0);
  api.put(pod('old-1', 'u1', '10.1.0.1', 5));
  await known('10.1.0.1', 6, 'pod shop/old');
  nowMs = T0 + 12 * MINUTE;
  api.delete('shop', 'old-1');
  await until('its end', () => ownerAt('10.1.0.1', 13) === undefined);
  api.put(pod('new-1', 'u2', '10.1.0.1', 15));
  await known('10.1.0.1', 16, 'pod shop/new');
  expect(ownerAt('10.1.0.1', 11)).toBe('pod shop/old');
  expect(ownerAt('10.1.0.1', 13)).toBeUndefined();
});

it('a pod that Succeeded stops owning when its container ended, though the object keeps the address', async () => {
  await api.start(kubeconfig);
  await watch();
  await until('the watch', () => api.watches > 0);
  api.put(pod('job-1', 'u1', '10.1.0.1', 5));
  await known('10.1.0.1', 6, 'pod shop/job');
  api.put(pod('job-1', 'u1', '10.1.0.1', 5, ended('Succeeded', 5, 9)));
  await until('its end', () => ownerAt('10.1.0.1', 10) === undefined);
  expect(ownerAt('10.1.0.1', 8)).toBe('pod shop/job');
  // The next job gets the address while the old object is still listed with it.
  api.put(pod('other-1', 'u2', '10.1.0.1', 11));
  await known('10.1.0.1', 12, 'pod shop/other');
  api.put(pod('job-1', 'u1', '10.1.0.1', 5, { ...ended('Succeeded', 5, 9), message: 'touched again' }));
  api.bookmark();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(ownerAt('10.1.0.1', 12)).toBe('pod shop/other');
  expect(ownerAt('10.1.0.1', 8)).toBe('pod shop/job');
});

it('an address that is briefly missing changes nothing; a new one ends the old one', async () => {
  api.put(pod('web-1', 'u1', '10.1.0.1', 5));
  await api.start(kubeconfig);
  await watch();
  await known('10.1.0.1', 6, 'pod shop/web');
  await until('the watch', () => api.watches > 0);
  api.put(pod('web-1', 'u1', undefined, 5));
  api.put(pod('api-1', 'u2', '10.1.0.2', 6));
  await known('10.1.0.2', 7, 'pod shop/api');
  expect(ownerAt('10.1.0.1', 29)).toBe('pod shop/web');
  nowMs = T0 + 40 * MINUTE;
  api.put(pod('web-1', 'u1', '10.1.0.7', 5));
  await known('10.1.0.7', 41, 'pod shop/web');
  expect(ownerAt('10.1.0.1', 41)).toBeUndefined();
});

it('host-network pods own nothing: their address is the node', async () => {
  const host = pod('agent-1', 'u1', '192.168.1.5', 5);
  host.spec.hostNetwork = true;
  api.put(host);
  await api.start(kubeconfig);
  await watch();
  await known('192.168.1.5', 6, 'node /node-1');
});

it('a culprit is named as of packet time, though its address belongs to another pod when the question is asked', async () => {
  // The backup jobs of the fabric send a burst at 0.5 s. One second in they have Succeeded; later their addresses are used again.
  const story = noisyBackup(0.5e9, 1000e9);
  const second = 1 / 60;
  ['10.244.1.20', '10.244.1.21'].forEach((address, i) => {
    api.put(pod(`backup-${i}`, `b${i}`, address, -30, ended('Succeeded', -30, second)));
    api.put(pod(`innocent-${i}`, `i${i}`, address, 2 * second));
  });
  await api.start(kubeconfig);
  await watch();
  await known('10.244.1.21', 1, 'pod shop/innocent');

  const diagnosing = new Diagnosing({ ...scenarioSettings(story.scenario), inventory: [] }, [owners.map]);
  for (const datagram of fabricDatagrams(story.scenario, 9, 0.8e9)) diagnosing.take(datagram);
  // Asked ten minutes later, long after the addresses changed hands.
  diagnosing.diagnosis.poll(600e9);
  const [incident] = diagnosing.diagnosis.incidents.list();
  expect(incident.culprits[0]).toMatchObject({ kind: 'pod', namespace: 'shop', workload: 'backup' });
  expect(JSON.stringify(incident)).not.toContain('innocent');
});

it('without a kubeconfig says so in plain words, and the collector goes on without', async () => {
  await api.start(join(folder, 'unused'));
  const none = join(folder, 'none');
  writeFileSync(
    none,
    JSON.stringify({ apiVersion: 'v1', kind: 'Config', clusters: [], users: [], contexts: [], 'current-context': '' }),
  );
  owners = new KubernetesOwners({ kubeconfig: none, notice: (message) => notices.push(message), now: () => nowMs });
  await owners.start();
  expect(notices).toEqual([`Kubernetes is not watched: ${none} names no server by https; owners come from the inventory alone`]);
});

describe('a watch that breaks', () => {
  it('goes on from the bookmark when the server ends it', async () => {
    api.put(pod('web-1', 'u1', '10.1.0.1', 5));
    await api.start(kubeconfig);
    await watch();
    await known('10.1.0.1', 6, 'pod shop/web');
    await until('the watch', () => api.watches > 0);
    api.bookmark();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { lists } = api;
    api.endWatches();
    api.put(pod('api-1', 'u2', '10.1.0.2', 20));
    await known('10.1.0.2', 21, 'pod shop/api');
    expect(api.lists).toBe(lists);
  });

  it('with 410 lists again, and what vanished meanwhile is over, a namesake included', async () => {
    api.put(pod('gone-1', 'u1', '10.1.0.1', 5));
    api.put(pod('db-0', 'u2', '10.1.0.2', 5));
    await api.start(kubeconfig);
    await watch();
    await known('10.1.0.1', 6, 'pod shop/gone');
    await until('the watch', () => api.watches > 0);
    // Missed by the watch: one pod goes, one is made anew under its name with another address.
    const { lists } = api;
    api.endWatches();
    api.delete('shop', 'gone-1');
    api.delete('shop', 'db-0');
    api.put(pod('db-0', 'u3', '10.1.0.9', 25));
    api.compact();
    await until('a new list', () => api.lists > lists);
    await known('10.1.0.9', 26, 'pod shop/db');
    expect(ownerAt('10.1.0.1', 31)).toBeUndefined();
    expect(ownerAt('10.1.0.2', 26)).toBeUndefined();
    expect(ownerAt('10.1.0.2', 24)).toBe('pod shop/db');
  });

  it('an API that is away is said once, what is known stays, and it is found again', { timeout: 20_000 }, async () => {
    api.put(pod('web-1', 'u1', '10.1.0.1', 5));
    const port = await api.start(kubeconfig);
    await watch();
    await known('10.1.0.1', 6, 'pod shop/web');
    const before = owners.lastHeardUnixMs;
    await api.stop();
    await until('a notice', () => notices.some((notice) => notice.includes('is not reachable')));
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(notices.filter((notice) => notice.includes('is not reachable'))).toHaveLength(1);
    expect(ownerAt('10.1.0.1', 6)).toBe('pod shop/web');
    nowMs += MINUTE;
    const again = new KubernetesApi();
    again.put(pod('web-1', 'u1', '10.1.0.1', 5));
    again.put(pod('api-1', 'u2', '10.1.0.2', 20));
    await again.start(kubeconfig, port);
    await known('10.1.0.2', 21, 'pod shop/api');
    expect(owners.lastHeardUnixMs).toBeGreaterThan(before);
    expect(notices.filter((notice) => notice.includes('is reachable'))).toHaveLength(2);
    api = again;
  });
});
