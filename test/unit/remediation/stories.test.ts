// Stories that nobody thought of: whatever happens in whatever order, nothing stands past its time, budgets hold, nothing is written to a
// switch that is not written down before, and a stop stops. Shrunk to the shortest story that breaks a rule. STORIES=20000 for the long run.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { auditFault } from '../../../collector/store/audit.ts';
import { FIXABLE, RULE, VirtualLoop, type VirtualSwitch } from '../../support/virtual-loop.ts';

const DEATHS = ['before apply', 'after apply', 'before remove', 'after remove'] as const;
const STORIES = Number(process.env.STORIES ?? 150);

type Happening =
  | { kind: 'wait'; seconds: number }
  | {
      kind:
        | 'congest'
        | 'clear'
        | 'restart'
        | 'partition'
        | 'heal'
        | 'steal'
        | 'approve'
        | 'revert'
        | 'stop'
        | 'resume'
        | 'blind'
        | 'see'
        | 'kill'
        | 'disk full'
        | 'disk free';
    }
  | { kind: 'clock'; stepMs: number };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 90 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...([
          'congest',
          'clear',
          'restart',
          'partition',
          'heal',
          'steal',
          'approve',
          'revert',
          'stop',
          'resume',
          'blind',
          'see',
          'kill',
          'disk full',
          'disk free',
        ] as const),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clock' as const), stepMs: fc.integer({ min: -7200e3, max: 7200e3 }) }) },
);

async function tell(story: readonly Happening[], mode: 'auto' | 'approve'): Promise<void> {
  let [congested, isBlind] = [true, false];
  const fabric = new VirtualLoop({ ...FIXABLE, congestedShare: () => (congested ? 0.6 : 0), isBlind: () => isBlind }, [
    { ...RULE, mode },
  ]);
  const check = (): void => {
    // On the switch: never in force past its lease, since the switch itself ends it; and never more than the budgets allow.
    expect(fabric.device.inForce).toBeLessThanOrEqual(1);
    for (const lease of fabric.loop.leases) {
      const entry = fabric.device.entries.get(lease.id);
      if (entry !== undefined) expect(entry.expiresMs).toBeLessThanOrEqual(lease.expiresBootMs);
    }
    // Where the switch can be reached, nothing is left of a lease five seconds after its end.
    if (fabric.device.fault === undefined) {
      for (const { expiresMs } of fabric.device.entries.values()) expect(fabric.clock.nowMs).toBeLessThan(expiresMs + 5000);
    }
    if (fabric.isStopped && fabric.device.fault === undefined) expect(fabric.device.entries.size).toBe(0);
  };
  /** The next write, or undoing, that the process dies of. */
  let death: VirtualSwitch['dies'];
  let deaths = 0;
  const restart = (): void => {
    fabric.device.dies = undefined;
    // Nobody starts without a disk.
    fabric.isDiskFull = false;
    fabric.restart();
  };
  const run = async (): Promise<void> => {
    if (death === undefined) return fabric.run(1);
    fabric.device.dies = death;
    death = undefined;
    await fabric.runUntilDeath(1);
    restart();
  };
  try {
    const happen: Record<Exclude<Happening['kind'], 'wait' | 'clock'>, () => void> = {
      congest: () => (congested = true),
      clear: () => (congested = false),
      restart,
      partition: () => (fabric.device.fault = 'nobody answers'),
      heal: () => (fabric.device.fault = undefined),
      steal: () => fabric.device.entries.clear(),
      approve: () => fabric.loop.approvals.slice(0, 1).forEach(({ hash }) => fabric.loop.approve(hash, 'ada')),
      revert: () => fabric.loop.revertAll('ada'),
      stop: () => (fabric.isStopped = true),
      resume: () => (fabric.isStopped = false),
      blind: () => (isBlind = true),
      see: () => (isBlind = false),
      kill: () => (death = DEATHS[deaths++ % DEATHS.length]),
      'disk full': () => (fabric.isDiskFull = true),
      'disk free': () => (fabric.isDiskFull = false),
    };
    for (const one of story) {
      if (one.kind === 'wait') {
        for (let i = 0; i < one.seconds; i++) {
          await run();
          check();
        }
      } else if (one.kind === 'clock') fabric.clock.wallOffsetMs += one.stepMs;
      else happen[one.kind]();
      // What happened is noticed within a turn.
      await run();
      check();
    }
    // The end: everything can be reached and written, and is stopped.
    fabric.isDiskFull = false;
    fabric.device.fault = undefined;
    fabric.isStopped = true;
    await fabric.run(2);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.loop.leases).toEqual([]);
    const text = readFileSync(fabric.auditPath, 'utf8');
    expect(auditFault(text, undefined)).toBeUndefined();
    const records = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).record);
    // Each write has a line before it; an approval's has a name.
    const announced = records.filter(({ kind }) => kind === 'making');
    const reapplied = records.filter(({ kind }) => kind === 'drift').length;
    expect(fabric.device.applied).toBeLessThanOrEqual(announced.length + reapplied);
    if (mode === 'approve') for (const { who } of announced) expect(who).toBe('ada');
  } finally {
    fabric.close();
  }
}

it(`${STORIES} random stories break no rule`, { timeout: 60_000 + STORIES * 500 }, async () => {
  const stories = fc.array(happening, { minLength: 1, maxLength: 14 });
  const property = fc.asyncProperty(stories, fc.constantFrom('auto' as const, 'approve' as const), tell);
  await fc.assert(property, { numRuns: STORIES, seed: Number(process.env.STORY_SEED ?? 20_261_127) });
});
