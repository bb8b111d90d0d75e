// Alerts to real Alertmanagers: every member of a cluster is told, burning alerts stay, and what a killed process began is ended by the next.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { openDatabase } from '../../collector/store/database.ts';
import { AlertState } from '../../collector/store/alert-state.ts';
import { AlertmanagerHints } from '../../alerts/notify/alertmanager-hints.ts';
import type { LinkedAlert } from '../../collector/event.ts';
import { incidentOf } from '../support/incidents.ts';
import { freePorts, start, until, type Running } from '../support/processes.ts';
import { receive, type Receiver } from '../support/receiver.ts';

const { alertmanager } = inject('servers');
const KILLS = Number(process.env.RESTARTS ?? 8);

describe.skipIf(alertmanager === undefined)('Alertmanagers', () => {
  let folder: string;
  let hook: Receiver;
  let gossip: number[];
  let ports: number[];
  const members: Running[] = [];
  const urlOf = (i: number): string => `http://127.0.0.1:${ports[i]}`;

  async function startMember(i: number): Promise<void> {
    mkdirSync(join(folder, `am${i}`), { recursive: true });
    members[i] = start(
      alertmanager!,
      [
        `--config.file=${join(folder, 'am.yml')}`,
        `--storage.path=${join(folder, `am${i}`)}`,
        `--web.listen-address=127.0.0.1:${ports[i]}`,
        `--cluster.listen-address=127.0.0.1:${gossip[i]}`,
        `--cluster.advertise-address=127.0.0.1:${gossip[i]}`,
        '--cluster.settle-timeout=1s',
        '--cluster.peer-timeout=2s',
        '--cluster.gossip-interval=50ms',
        '--cluster.pushpull-interval=1s',
        ...gossip.filter((port) => port !== gossip[i]).map((port) => `--cluster.peer=127.0.0.1:${port}`),
      ],
      // Its default template is found from there (see servers.ts).
      { cwd: join(dirname(alertmanager!), '..', '..') },
    );
    await until(`Alertmanager ${i}`, async () => (await fetch(`${urlOf(i)}/-/ready`).catch(() => undefined))?.ok === true);
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hopscope-am-'));
    hook = await receive();
    const free = await freePorts(6);
    [ports, gossip] = [free.slice(0, 3), free.slice(3)];
    writeFileSync(
      join(folder, 'am.yml'),
      `route: { receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h }\n` +
        `receivers: [{ name: hook, webhook_configs: [{ url: "${hook.url}/" }] }]\n`,
    );
    await Promise.all([0, 1, 2].map(startMember));
  });
  afterAll(async () => {
    await Promise.all(members.map((member) => member.stop()));
    await hook.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const burningAt = async (i: number): Promise<string[]> => {
    const alerts = (await (await fetch(`${urlOf(i)}/api/v2/alerts?active=true`)).json()) as {
      annotations: { incident: string };
    }[];
    return alerts.map(({ annotations }) => annotations.incident).sort();
  };
  const isEverywhere = async (incidents: string[]): Promise<boolean> => {
    const all = await Promise.all([0, 1, 2].map(burningAt));
    return all.every((one) => JSON.stringify(one) === JSON.stringify(incidents));
  };
  const sender = (store: string, incident: string): Running =>
    start(process.execPath, [
      join(import.meta.dirname, '..', 'support', 'alert-sender.ts'),
      store,
      incident,
      ...[0, 1, 2].map(urlOf),
    ]);

  it(`none is stuck after ${KILLS} processes that were killed while it burnt`, { timeout: 240_000 }, async () => {
    const store = join(folder, 'alerts.db');
    for (let i = 0; i < KILLS; i++) {
      const running = sender(store, `inc_${i}`);
      // The new process has ended what the last one began, and begun its own.
      await until(`incident ${i} at all members`, () => isEverywhere([`inc_${i}`]));
      await running.stop('SIGKILL');
    }
    const last = sender(store, 'none');
    await until('all ends', () => isEverywhere([]));
    await last.stop('SIGKILL');
    const db = openDatabase(store);
    expect(new AlertState(db).all()).toEqual([]);
    db.close();
  });

  it('three copies of what they tell us are one hint', { timeout: 120_000 }, async () => {
    const incident = incidentOf({ id: 'inc_copies' });
    incident.place = { ...incident.place, interface: incident.id };
    const linked: LinkedAlert[] = [];
    const hints = new AlertmanagerHints({ incidents: () => [incident], link: (_id, alert) => linked.push(alert) > 0 });
    hook.received.length = 0;
    const running = sender(join(folder, 'copies.db'), incident.id);
    await until('it burns', () => isEverywhere([incident.id]));
    await until('the first notification', () => hook.received.length > 0);
    // The one that has told dies at once; another, which may not know of it, tells again after its turn.
    await members[0].stop('SIGKILL');
    await startMember(0);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const payloads = hook.received.map(({ body }) => JSON.parse(body.toString()) as object);
    // What a cluster sends at most, in any order, and late.
    for (const payload of [...payloads, ...payloads.reverse(), ...payloads]) hints.take(payload);
    expect(linked.filter(({ status }) => status === 'firing')).toHaveLength(1);
    expect(hints.counts.repeated).toBeGreaterThanOrEqual(2);
    await running.stop();
  });
});
