// Changes of workloads at a real API server, where one is on the path (kube-apiserver and etcd), by an account that has the Role of
// docs/remediation.md and nothing else: what that Role allows is enough, and what it does not allow is refused.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig, KubernetesObjectApi } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { KubernetesExecutor } from '../../alerts/remediation/actions/kubernetes.ts';
import type { ActionKind, Lease } from '../../alerts/remediation/change.ts';
import { freePorts, start, until, type Running } from '../support/processes.ts';

const isOnPath = (name: string): boolean => {
  try {
    execFileSync('which', [name], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
};
const missing = ['kube-apiserver', 'etcd', 'openssl'].filter((name) => !isOnPath(name)).join(', ');
const ADDRESS = '10.244.1.21';

describe.skipIf(missing !== '')(`a real API server${missing === '' ? '' : ` (${missing} not on the path)`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'kubernetes-real-'));
  const path = (name: string): string => join(folder, name);
  const running: Running[] = [];
  let admin: KubernetesObjectApi;
  let ours: KubernetesObjectApi;
  let executor: KubernetesExecutor;

  beforeAll(async () => {
    const [client, peer, secure] = await freePorts(3);
    const local = (port: number): string => `http://127.0.0.1:${port}`;
    execFileSync('openssl', ['genrsa', '-out', path('sa.key'), '2048'], { stdio: 'pipe' });
    writeFileSync(path('tokens.csv'), 'admin-token,admin,admin,system:masters\nour-token,remediation,remediation\n');
    const etcd = [
      `--data-dir=${path('etcd')}`,
      `--listen-client-urls=${local(client)}`,
      `--advertise-client-urls=${local(client)}`,
      `--listen-peer-urls=${local(peer)}`,
      `--initial-advertise-peer-urls=${local(peer)}`,
      `--initial-cluster=default=${local(peer)}`,
    ];
    running.push(start('etcd', etcd));
    const server = [
      `--etcd-servers=${local(client)}`,
      `--secure-port=${secure}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--cert-dir=${path('certs')}`,
      `--service-account-key-file=${path('sa.key')}`,
      `--service-account-signing-key-file=${path('sa.key')}`,
      '--service-account-issuer=https://k.local',
      `--token-auth-file=${path('tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/24',
      '--disable-admission-plugins=ServiceAccount',
    ];
    running.push(start('kube-apiserver', server));
    const apiFor = (token: string): KubernetesObjectApi => {
      const config = new KubeConfig();
      config.loadFromOptions({
        clusters: [{ name: 'c', server: `https://127.0.0.1:${secure}`, skipTLSVerify: true }],
        users: [{ name: 'u', token }],
        contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
        currentContext: 'x',
      });
      return KubernetesObjectApi.makeApiClient(config);
    };
    [admin, ours] = [apiFor('admin-token'), apiFor('our-token')];
    const create = (object: object): Promise<unknown> => admin.create(object);
    const named = (name: string): object => ({ name, namespace: 'analytics' });
    await until(
      'the API server',
      () => create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'analytics' } }).then(() => true),
      90_000,
    );
    await create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'core5g' } });
    const spec = { selector: { matchLabels: { app: 'backup' } } };
    const container = { name: 'c', image: 'none' };
    const template = {
      metadata: { labels: { app: 'backup' }, annotations: { other: 'annotation' } },
      spec: { containers: [container] },
    };
    for (const namespace of ['analytics', 'core5g']) {
      const metadata = { name: 'backup', namespace };
      await create({ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { ...spec, template } });
    }
    await create({ apiVersion: 'v1', kind: 'Pod', metadata: named('backup-0'), spec: { containers: [container] } });
    // There is no kubelet that would say so.
    const status = { apiVersion: 'v1', kind: 'Pod', metadata: named('backup-0'), status: { phase: 'Running', podIP: ADDRESS } };
    const token = { authorization: 'Bearer admin-token', 'content-type': 'application/merge-patch+json' };
    execFileSync('curl', [
      ...['-sk', '-X', 'PATCH', '-d', JSON.stringify({ status: status.status })],
      ...Object.entries(token).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
      `https://127.0.0.1:${secure}/api/v1/namespaces/analytics/pods/backup-0/status`,
    ]);
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'remediation.md'), 'utf8');
    const [role] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)]
      .map(([, text]) => text)
      .filter((text) => text.includes('kind: Role'));
    await create(parse(role));
    await create({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: named('hopscope-remediation'),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'hopscope-remediation' },
      subjects: [{ kind: 'User', name: 'remediation', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    executor = new KubernetesExecutor({ client: ours, namespaces: ['analytics'], now: () => Date.now() });
  }, 180_000);
  afterAll(async () => {
    await Promise.all(running.reverse().map((one) => one.stop('SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  });

  const leaseOf = (action: ActionKind, namespace = 'analytics'): Lease => {
    const targets = [{ namespace, workload: 'backup', addresses: [ADDRESS] }];
    const change = { action, executor: 'kubernetes', targets, value: 50e6, culprit: `${namespace}/backup`, incidentId: 'inc_1' };
    return {
      id: 'abcd1234',
      generation: 1,
      change: { ...change, rule: 'r', predictedEffect: 0.9, leaseMs: 60_000 },
      state: 'planned',
      createdUnixMs: 0,
      expiresUnixMs: 0,
      expiresBootMs: 0,
      bootId: '',
      reapplied: 0,
      renewed: 0,
    };
  };
  const deployment = async (namespace = 'analytics'): Promise<any> => {
    const found: any = await admin.read({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'backup', namespace } });
    const { labels = {}, annotations = {} } = found.metadata;
    return { labels, annotations, template: found.spec.template.metadata.annotations };
  };

  it('limits and gives back, by the Role of the page alone', async () => {
    const before = await deployment();
    await executor.apply(leaseOf('limit-egress'), 60_000);
    expect((await deployment()).template).toEqual({ other: 'annotation', 'kubernetes.io/egress-bandwidth': '400M' });
    expect(await executor.held()).toEqual(new Map([['abcd1234', 1]]));
    await executor.remove('abcd1234');
    expect(await deployment()).toEqual(before);
    expect(await executor.held()).toEqual(new Map());
  });

  it('proposes by annotation and Event', async () => {
    await executor.apply(leaseOf('propose'), 60_000);
    expect((await deployment()).annotations['hopscope.io/proposal']).toContain('at most 400.0 Mbit/s');
    const { items } = await admin.list('v1', 'Event', 'analytics');
    expect(items).toMatchObject([{ reason: 'HarmsOthers', involvedObject: { kind: 'Pod', name: 'backup-0' } }]);
    await executor.remove('abcd1234');
    expect((await deployment()).annotations['hopscope.io/proposal']).toBeUndefined();
  });

  it('is refused what the Role does not allow', async () => {
    const elsewhere = new KubernetesExecutor({ client: ours, namespaces: ['core5g'], now: () => Date.now() });
    await expect(elsewhere.apply(leaseOf('limit-egress', 'core5g'), 60_000)).rejects.toThrow(/does not allow it: see the Role/);
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'backup-0', namespace: 'analytics' } };
    await expect(ours.delete(pod)).rejects.toMatchObject({ code: 403 });
    await expect(ours.list('v1', 'Secret', 'analytics')).rejects.toMatchObject({ code: 403 });
  });
});
