// When something is tried again: within a fifth of its step, never all at once, and a dead endpoint ever more seldom.

import { expect, it } from 'vitest';
import { Circuit, delayAfter } from '../../../alerts/notify/schedule.ts';
import { randomStream } from '../../../p4-int/fabric/random.ts';

const STEPS_MS = [5e3, 30e3, 120e3, 600e3, 1800e3, 3600e3, 7200e3, 14_400e3, 28_800e3];
const FAILED = { isCommand: false, isRefused: false, retryAfterMs: undefined };

it('five hundred endpoints that fail for a day: ten attempts each, each within a fifth of its step, and no crowd', () => {
  const random = randomStream(3, 'schedule');
  const perMinute = new Map<number, number>();
  for (let endpoint = 0; endpoint < 500; endpoint++) {
    let atMs = 0;
    let attempts = 0;
    for (;;) {
      const minute = Math.floor(atMs / 60e3);
      perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
      const delayMs = delayAfter({ ...FAILED, attempts }, random());
      if (delayMs === undefined) break;
      expect(delayMs).toBeGreaterThanOrEqual(0.8 * STEPS_MS[attempts]);
      expect(delayMs).toBeLessThanOrEqual(1.2 * STEPS_MS[attempts]);
      atMs += delayMs;
      attempts++;
    }
    expect(attempts).toBe(STEPS_MS.length);
  }
  // The last attempts, eight hours after the ones before, are spread over more than three hours.
  const last = [...perMinute].filter(([minute]) => minute > 12 * 60).map(([, n]) => n);
  const mean = 500 / (2 * 0.2 * 480);
  expect(last.reduce((sum, n) => sum + n, 0)).toBe(500);
  expect(Math.max(...last)).toBeLessThan(6 * mean);
});

it.each([
  [{ attempts: 0, retryAfterMs: 1000 }, 5000],
  [{ attempts: 0, retryAfterMs: 7000 }, 7000],
  [{ attempts: 0, retryAfterMs: 3600e3 }, 10_000],
  [{ attempts: 9 }, undefined],
  [{ attempts: 0, isRefused: true }, 5000],
  [{ attempts: 1, isRefused: true }, 30_000],
  [{ attempts: 2, isRefused: true }, undefined],
  [{ attempts: 0, isCommand: true }, 1000],
  [{ attempts: 3, isCommand: true }, 10_000],
  [{ attempts: 4, isCommand: true }, undefined],
])('%j waits %s ms', (attempt, ms) => expect(delayAfter({ ...FAILED, ...attempt }, 0.5)).toBe(ms));

it('a circuit opens at the fifth failure in a row, lets one through after half a minute, then ever later, and closes with a success', () => {
  const circuit = new Circuit();
  expect(circuit.room(0, 4)).toBe(4);
  for (let i = 0; i < 4; i++) circuit.failed(0);
  expect([circuit.isOpen, circuit.room(0, 4)]).toEqual([false, 1]);
  circuit.failed(0);
  const probes: number[] = [];
  for (let second = 0; second < 600; second++) {
    if (circuit.room(second * 1000, 4) === 0) continue;
    probes.push(second);
    circuit.failed(second * 1000);
  }
  expect(probes).toEqual([30, 90, 210, 330, 450, 570]);
  circuit.succeeded();
  expect([circuit.isOpen, circuit.room(0, 4)]).toEqual([false, 4]);
});
