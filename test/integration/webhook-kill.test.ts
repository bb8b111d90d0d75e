// kill -9 in the middle of webhook delivery: nothing that was stored is lost, and repeats keep their id. KILLS=200 for the long run.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { randomStream } from '../../p4-int/fabric/random.ts';
import { start, until } from '../support/processes.ts';
import { receive } from '../support/receiver.ts';

const KILLS = Number(process.env.KILLS ?? 8);
/** At least; disks differ. */
const EVENTS_PER_ROUND = 10;

it(`kill -9 during delivery, ${KILLS} times`, { timeout: 60_000 + KILLS * 10_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-kill-'));
  const store = join(folder, 'hopscope.db');
  const random = randomStream(11, 'kill');
  let isKind = false;
  // The receiver takes most, fails some, and closes the connection on some after it has read the event: those come again.
  const hook = await receive(() => (isKind || random() < 0.7 ? 200 : random() < 0.5 ? 500 : undefined));
  const sender = (first: number, count: number) =>
    start(process.execPath, [
      join(import.meta.dirname, '..', 'support', 'webhook-sender.ts'),
      store,
      `${hook.url}/`,
      String(first),
      String(count),
    ]);
  const stored: number[] = [];
  let killedInFlight = 0;
  for (let round = 0; round < KILLS; round++) {
    // Beyond what the last process may have stored without being able to say so.
    const first = stored.length === 0 ? 0 : Math.max(...stored) + 1000;
    const running = sender(first, 1_000_000);
    await until('some events', () => running.output().split('\n').length > EVENTS_PER_ROUND);
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 150));
    const before = hook.received.length;
    expect(await running.stop('SIGKILL')).toBeNull();
    const lines = running.output().split('\n').slice(0, -1);
    expect(
      lines.every((line) => /^\d+$/.test(line)),
      running.output(),
    ).toBe(true);
    stored.push(...lines.map(Number));
    if (before > 0) killedInFlight++;
  }
  isKind = true;
  const last = sender(0, 0);
  await until('the rest', () => last.child.exitCode !== null, 120_000);
  expect(last.child.exitCode, last.output()).toBe(0);

  const verifier = new Webhook('a secret of the test, long enough', { format: 'raw' });
  const idOf = new Map<string, string>();
  const accepted = new Set<string>();
  let repeats = 0;
  for (const { body, headers } of hook.received) {
    const { type, data } = verifier.verify(body.toString(), headers as Record<string, string>) as {
      type: string;
      data: { id: string };
    };
    const id = headers['webhook-id'] as string;
    const key = `${type} ${data.id}`;
    if (idOf.has(key)) repeats++;
    expect(idOf.get(key) ?? id, key).toBe(id);
    idOf.set(key, id);
    accepted.add(key);
  }
  // Every incident whose opening was on disk was told; and every one that was told was closed, by itself or for it.
  for (const n of stored) {
    expect(accepted, `inc_${n}`).toContain(`incident.opened inc_${n}`);
    expect(accepted, `inc_${n}`).toContain(`incident.closed inc_${n}`);
  }
  expect(stored.length).toBeGreaterThanOrEqual(KILLS * EVENTS_PER_ROUND);
  expect(repeats).toBeGreaterThan(0);
  expect(killedInFlight).toBeGreaterThan(KILLS / 2);
  await hook.close();
  rmSync(folder, { recursive: true, force: true });
});
