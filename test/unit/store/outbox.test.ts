// The outbox on disk: order, bounds, debts, one process at a time.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { Outbox } from '../../../collector/store/outbox.ts';

const pathOf = (): string => join(mkdtempSync(join(tmpdir(), 'hopscope-outbox-')), 'folder', 'outbox.db');
const event = (id: string, groupKey = id, endpoint = 'a') => ({
  id,
  endpoint,
  type: 't',
  groupKey,
  body: id,
  expiresUnixMs: null,
});
const dueOf = (outbox: Outbox): string[] => outbox.due('a', 10, 99).map((e) => e.id);

it('keeps the order within a group, and what is stored is there after opening again', () => {
  const path = pathOf();
  const first = new Outbox(path);
  for (const [id, group] of [
    ['1', 'x'],
    ['2', 'x'],
    ['3', 'y'],
  ])
    first.put(event(id, group), 0);
  expect(dueOf(first)).toEqual(['1', '3']);
  first.retryAt('1', 100);
  first.close();
  const again = new Outbox(path);
  expect(dueOf(again)).toEqual(['3']);
  expect(again.due('a', 100, 99)[0]).toMatchObject({ id: '1', attempts: 1 });
  again.finish('1');
  expect(dueOf(again)).toEqual(['2', '3']);
  again.close();
});

it('is bounded: the oldest goes, and whose it was is told', () => {
  const outbox = new Outbox(':memory:', 2);
  expect(outbox.put(event('1', '1', 'old'), 0)).toBeUndefined();
  outbox.put(event('2'), 0);
  expect(outbox.put(event('3'), 0)).toBe('old');
  expect(dueOf(outbox)).toEqual(['2', '3']);
});

it('a debt is settled by its event, or paid by the next process, once', () => {
  const path = pathOf();
  const first = new Outbox(path);
  first.put(event('open-1', 'x'), 0, { owes: { key: 'x', type: 'closed', body: 'owed x' } });
  first.put(event('open-2', 'y'), 0, { owes: { key: 'y', type: 'closed', body: 'owed y' } });
  first.put(event('close-1', 'x'), 0, { settles: 'x' });
  expect([first.owes('x'), first.owes('y')]).toEqual([false, true]);
  first.close();
  const second = new Outbox(path);
  const renew = (body: string): string => `${body}, paid`;
  second.put({ ...event('command', 'y'), expiresUnixMs: 9 }, 0);
  expect(second.payDebts(5, renew)).toBe(1);
  expect(second.payDebts(5, renew)).toBe(0);
  for (const id of ['open-1', 'open-2', 'close-1']) second.finish(id);
  expect(second.due('a', 10, 9)).toMatchObject([{ groupKey: 'y', type: 'closed', body: 'owed y, paid' }]);
  second.close();
});

it('an event and its debt are stored together or not at all', () => {
  const outbox = new Outbox(':memory:');
  outbox.put(event('1'), 0);
  expect(() => outbox.put(event('1'), 0, { owes: { key: 'x', type: 't', body: '' } })).toThrow();
  expect(outbox.owes('x')).toBe(false);
  outbox.put(event('2'), 0);
  expect(dueOf(outbox)).toEqual(['1', '2']);
});

it('a store that is in use, is no store, or is of a newer version is refused in one sentence that names the setting', () => {
  const path = pathOf();
  const outbox = new Outbox(path);
  expect(() => new Outbox(path)).toThrow(/^store\.path .* is in use by another process$/);
  outbox.close();
  const db = new DatabaseSync(path);
  db.exec('PRAGMA user_version = 99');
  db.close();
  expect(() => new Outbox(path)).toThrow(/^store\.path .* newer version/);
  const text = join(mkdtempSync(join(tmpdir(), 'hopscope-outbox-')), 'text');
  writeFileSync(text, 'this is no database, whatever its name says. '.repeat(50));
  expect(() => new Outbox(text)).toThrow(/^store\.path .* cannot be used/);
});
