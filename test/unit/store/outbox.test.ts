// The outbox on disk: order, bounds, debts, dead letters, one process at a time.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { openDatabase } from '../../../collector/store/database.ts';
import { Outbox } from '../../../collector/store/outbox.ts';

const pathOf = (): string => join(mkdtempSync(join(tmpdir(), 'hopscope-outbox-')), 'folder', 'outbox.db');
const event = (id: string, groupKey = id, endpoint = 'a', expiresUnixMs: number | null = null) => ({
  id,
  endpoint,
  type: 't',
  groupKey,
  body: () => id,
  expiresUnixMs,
});
const inMemory = (limits = {}): Outbox => new Outbox(openDatabase(':memory:'), limits);
const dueOf = (outbox: Outbox, endpoint = 'a'): string[] => outbox.due(endpoint, 10, 99).map((e) => e.id);

it('keeps the order within a group, and what is stored is there after opening again', () => {
  const path = pathOf();
  const db = openDatabase(path);
  const first = new Outbox(db);
  for (const [id, group] of [
    ['1', 'x'],
    ['2', 'x'],
    ['3', 'y'],
  ])
    first.put(event(id, group), 0);
  expect(dueOf(first)).toEqual(['1', '3']);
  first.retryAt('1', 100);
  db.close();
  const again = new Outbox(openDatabase(path));
  expect(dueOf(again)).toEqual(['3']);
  expect(again.due('a', 100, 99)[0]).toMatchObject({ id: '1', attempts: 1 });
  again.finish('1');
  expect(dueOf(again)).toEqual(['2', '3']);
  expect(again.pending()).toEqual(new Map([['a', 2]]));
});

it('numbers events upwards, over restarts and deliveries too', () => {
  const path = pathOf();
  const numbers: number[] = [];
  for (const id of ['1', '2', '3']) {
    const db = openDatabase(path);
    const outbox = new Outbox(db);
    const body = (sequence: number): string => String(numbers.push(sequence));
    outbox.put({ ...event(id), body }, 0);
    outbox.finish(id);
    db.close();
  }
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(new Set(numbers).size).toBe(3);
});

it('is bounded in events: the oldest notification of the noisiest endpoint goes, and a command is refused', () => {
  const outbox = inMemory({ events: 4 });
  outbox.put(event('quiet', 'quiet', 'b'), 0);
  outbox.put(event('command', 'command', 'a', 9), 0);
  outbox.put(event('1'), 0);
  outbox.put(event('2'), 0);
  expect(outbox.put(event('3'), 0)).toBe('a');
  expect(dueOf(outbox)).toEqual(['command', '2', '3']);
  expect(dueOf(outbox, 'b')).toEqual(['quiet']);
  expect(() => outbox.put(event('another', 'another', 'b', 9), 0)).toThrow(/the outbox is full: no command is taken/);
  expect(outbox.deadLetters()).toMatchObject([{ id: '1', reason: 'outbox-full', endpoint: 'a' }]);
});

it('is bounded in octets, also where rows were there before', () => {
  const path = pathOf();
  const long = (id: string) => ({ ...event(id), body: () => id.repeat(600) });
  const db = openDatabase(path);
  new Outbox(db).put(long('1'), 0);
  db.close();
  const outbox = new Outbox(openDatabase(path), { bytes: 1000 });
  expect(outbox.put(long('2'), 0)).toBeUndefined();
  expect(outbox.put(long('3'), 0)).toBe('a');
  expect(dueOf(outbox)).toEqual(['2', '3']);
  expect(outbox.put(long('4'), 0)).toBe('a');
  expect(dueOf(outbox)).toEqual(['3', '4']);
});

it('keeps what was given up, and sends it anew under its own id; a command stays dead', () => {
  const outbox = inMemory({ deadLetters: 3 });
  for (const id of ['1', '2', '3']) outbox.put(event(id, 'g'), 0);
  outbox.put(event('4', 'h', 'b'), 0);
  outbox.put(event('5', 'h', 'b', 5), 0);
  outbox.giveUp('1', 'refused', 1000);
  expect(outbox.due('a', 10, 9)).toMatchObject([{ id: '2', missed: 1 }]);
  outbox.giveUp('2', 'attempts', 2000);
  outbox.giveUp('4', 'attempts', 3000);
  outbox.giveUp('5', 'expired', 4000);
  expect(outbox.deadLetters().map(({ id }) => id)).toEqual(['2', '4', '5']);
  expect(outbox.deadLetters({ endpoint: 'b' }).map(({ id }) => id)).toEqual(['4', '5']);
  expect(outbox.deadLetters({ sinceUnixMs: 2500, untilUnixMs: 3500 }).map(({ id }) => id)).toEqual(['4']);
  expect(outbox.replay({ endpoint: 'b' }, 9)).toEqual(['4']);
  expect(dueOf(outbox, 'b')).toEqual(['4']);
  expect(outbox.deadLetters().map(({ id }) => id)).toEqual(['2', '5']);
  expect(outbox.replay({ id: '2' }, 9)).toEqual(['2']);
  expect(dueOf(outbox)).toEqual(['3']);
  expect(outbox.pending()).toEqual(new Map(Object.entries({ a: 2, b: 1 })));
});

it('an endpoint that is gone is so at its address alone', () => {
  const outbox = inMemory();
  outbox.disable('a', 'https://old/');
  expect([outbox.isDisabled('a', 'https://old/'), outbox.isDisabled('a', 'https://new/')]).toEqual([true, false]);
  outbox.enable('a');
  expect(outbox.isDisabled('a', 'https://old/')).toBe(false);
});

it('a debt is settled by its event, or paid by the next process, once', () => {
  const path = pathOf();
  const db = openDatabase(path);
  const first = new Outbox(db);
  first.put(event('open-1', 'x'), 0, { owes: { key: 'x', type: 'closed', body: 'owed x' } });
  first.put(event('open-2', 'y'), 0, { owes: { key: 'y', type: 'closed', body: 'owed y' } });
  first.put(event('close-1', 'x'), 0, { settles: 'x' });
  expect([first.owes('x'), first.owes('y')]).toEqual([false, true]);
  db.close();
  const second = new Outbox(openDatabase(path));
  const renew = (body: string): string => `${body}, paid`;
  expect(second.payDebts(5, renew)).toBe(1);
  expect(second.payDebts(5, renew)).toBe(0);
  for (const id of ['open-1', 'open-2', 'close-1']) second.finish(id);
  expect(second.due('a', 10, 9)).toMatchObject([{ groupKey: 'y', type: 'closed', body: 'owed y, paid' }]);
});

it('commands of a process that died are sent no more', () => {
  const outbox = inMemory();
  outbox.put(event('command', 'g', 'a', 9), 0);
  outbox.put(event('undo', 'g'), 0);
  outbox.giveUpCommands(5);
  expect(outbox.due('a', 10, 9)).toMatchObject([{ id: 'undo', missed: 1 }]);
});

it('an event and its debt are stored together or not at all, and what waits is counted all the same', () => {
  const outbox = inMemory();
  outbox.put(event('1'), 0);
  expect(() => outbox.put(event('1'), 0, { owes: { key: 'x', type: 't', body: '' } })).toThrow();
  expect(outbox.owes('x')).toBe(false);
  expect(outbox.pending()).toEqual(new Map([['a', 1]]));
  outbox.put(event('2'), 0);
  expect(dueOf(outbox)).toEqual(['1', '2']);
});

it('a store that is in use, is no store, or is of a newer version is refused in one sentence that names the setting', () => {
  const path = pathOf();
  const held = openDatabase(path);
  expect(() => openDatabase(path)).toThrow(/^store\.path .* is in use by another process$/);
  held.close();
  const db = new DatabaseSync(path);
  db.exec('PRAGMA user_version = 99');
  db.close();
  expect(() => openDatabase(path)).toThrow(/^store\.path .* newer version/);
  const text = join(mkdtempSync(join(tmpdir(), 'hopscope-outbox-')), 'text');
  writeFileSync(text, 'this is no database, whatever its name says. '.repeat(50));
  expect(() => openDatabase(text)).toThrow(/^store\.path .* cannot be used/);
});

it('a store of the version before is taken up', () => {
  const path = pathOf();
  openDatabase(path).close();
  const old = new DatabaseSync(path);
  old.exec(`
    CREATE TABLE outbox (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, type TEXT NOT NULL, group_key TEXT NOT NULL, body TEXT NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0, next_unix_ms REAL NOT NULL, expires_unix_ms REAL
    ) STRICT;
    INSERT INTO outbox (id, endpoint, type, group_key, body, next_unix_ms) VALUES ('1', 'a', 't', 'g', 'body', 0);
    PRAGMA user_version = 1`);
  old.close();
  const outbox = new Outbox(openDatabase(path));
  expect(outbox.due('a', 10, 9)).toMatchObject([{ id: '1', body: 'body', missed: 0 }]);
  outbox.giveUp('1', 'refused', 5);
  expect(outbox.replay({}, 6)).toEqual(['1']);
});
