// Terms of leadership: they rise with every start, also when the store was lost, and end where another process has begun one.

import { expect, it } from 'vitest';
import { beginTerms, electionIdOf } from '../../../collector/executors.ts';
import { SafetyStore } from '../../../collector/store/safety.ts';

it('terms rise over starts, faster than one a second too', () => {
  const store = new SafetyStore(':memory:');
  const now = Date.parse('2026-11-27T10:00:00Z');
  const ids = [now, now, now + 500, now - 3600e3, now + 10_000].map((unixMs) => beginTerms(store, () => unixMs).electionId);
  expect(ids).toEqual([...ids].sort((a, b) => (a < b ? -1 : 1)));
  expect(new Set(ids).size).toBe(ids.length);
});

it('a store that was lost does not begin below what switches have seen', () => {
  const now = Date.parse('2026-11-27T10:00:00Z');
  const before = beginTerms(new SafetyStore(':memory:'), () => now).electionId;
  expect(beginTerms(new SafetyStore(':memory:'), () => now + 2000).electionId).toBeGreaterThan(before);
});

it('a further term leaves room for the reaper, comes once a minute, and never when another process has begun', () => {
  const store = new SafetyStore(':memory:');
  let now = Date.parse('2026-11-27T10:00:00Z');
  const terms = beginTerms(store, () => now);
  expect(terms.next?.()).toBeUndefined();
  now += 60_000;
  const reaper = electionIdOf(store.last('start')) + 1n;
  const second = terms.next?.();
  expect(second).toBeGreaterThan(reaper);
  expect(terms.next?.()).toBeUndefined();
  now += 60_000;
  beginTerms(store, () => now);
  expect(terms.next?.()).toBeUndefined();
});
