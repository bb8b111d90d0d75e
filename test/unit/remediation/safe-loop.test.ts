// The safe loop in virtual time: what it does, that it stops, and that everything ends.

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { changeHash } from '../../../alerts/remediation/change.ts';
import { modeOf } from '../../../alerts/remediation/rule.ts';
import { auditFault } from '../../../collector/store/audit.ts';
import { FIXABLE, RULE, VirtualLoop, type World } from '../../support/virtual-loop.ts';

let fabric: VirtualLoop;
afterEach(() => fabric.close());

const HOUR = 3600;
const kinds = (): string[] => records().map(({ kind }) => kind);
const records = (): any[] =>
  readFileSync(fabric.auditPath, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).record);

describe('a congestion that a change ends', () => {
  it('is told, changed, seen to be better, and left again when the time is over', async () => {
    fabric = new VirtualLoop();
    await fabric.run(60);
    expect(fabric.device.inForce).toBe(1);
    const [lease] = fabric.loop.leases;
    expect(lease).toMatchObject({ state: 'active', change: { executor: 'leaf-1', value: 8, culprit: 'analytics/backup' } });
    expect(lease.change.targets).toHaveLength(2);
    expect(records().find(({ kind }) => kind === 'judged')).toMatchObject({ effect: 'effective', predicted: 0.95 });
    await fabric.run(100);
    expect(fabric.device.entries.size).toBe(0);
    expect(kinds()).toEqual(expect.arrayContaining(['making', 'made', 'judged', 'undoing', 'undone']));
    expect(kinds().indexOf('making')).toBeLessThan(kinds().indexOf('made'));
    expect(fabric.loop.recordOf(RULE)).toMatchObject({ effective: 1, failed: 0 });
  });

  it('is written down as it happened, and a changed line is found', async () => {
    fabric = new VirtualLoop();
    await fabric.run(200);
    const text = readFileSync(fabric.auditPath, 'utf8');
    expect(auditFault(text, undefined)).toBeUndefined();
    expect(auditFault(text.replace('"value":8', '"value":9'), undefined)).toMatch(/line \d+ is not what was written/);
  });
});

describe('a congestion that no change ends', () => {
  it('is changed six times an hour at most, the rule steps down, and the switch is as it was', async () => {
    fabric = new VirtualLoop({ ...FIXABLE, remedied: (share) => share });
    await fabric.run(HOUR);
    expect(fabric.device.applied).toBeLessThanOrEqual(6);
    expect(fabric.device.applied).toBeGreaterThan(0);
    expect(modeOf(RULE, fabric.loop.recordOf(RULE))).not.toBe('auto');
    await fabric.run(300);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.notices.join()).toContain('rule backup-yields is down to approve');
  });

  it('harms others: undone at once when that is seen', async () => {
    fabric = new VirtualLoop({ ...FIXABLE, othersShare: (_, inForce) => (inForce ? 0.4 : 0.05) });
    await fabric.run(90);
    expect(records().find(({ kind }) => kind === 'judged')).toMatchObject({ effect: 'harmful' });
    expect(fabric.device.entries.size).toBe(0);
  });
});

describe('nothing new is done', () => {
  const never = async (change: (loop: VirtualLoop) => void, because: RegExp): Promise<void> => {
    fabric = new VirtualLoop();
    change(fabric);
    await fabric.run(120);
    expect(fabric.device.applied).toBe(0);
    expect(
      records()
        .filter(({ kind }) => kind === 'nothing')
        .map((one) => one.because)
        .join(),
    ).toMatch(because);
  };

  it.each<[string, (loop: VirtualLoop) => void, RegExp]>([
    [
      'while a third of the fabric looks congested',
      (l) => (l.health = { ...l.health, congestedSwitches: 4 }),
      /4 of 10 switches look congested/,
    ],
    ['while reports are lost', (l) => (l.health = { ...l.health, reportLossRatio: 0.2 }), /20 % of all reports are lost/],
    ['while switches are silent', (l) => (l.health = { ...l.health, silentSwitches: 3 }), /3 of 10 switches are silent/],
    ['while the collector lags', (l) => (l.health = { ...l.health, lagMs: 3000 }), /3000 ms old/],
    ['while clocks are not understood', (l) => (l.health = { ...l.health, clocksKnown: false }), /clocks/],
    [
      'for a culprit that the rule does not name',
      (l) => (l.rules[0] = { ...RULE, switches: ['leaf-9'] }),
      /no flow of analytics\/backup/,
    ],
  ])('%s', (_, change, because) => never(change, because));

  it('while the kill switch is on, and what is in force is undone', async () => {
    fabric = new VirtualLoop();
    await fabric.run(60);
    expect(fabric.device.inForce).toBe(1);
    fabric.isStopped = true;
    await fabric.run(1);
    expect(fabric.device.entries.size).toBe(0);
    await fabric.run(600);
    expect(fabric.device.applied).toBe(1);
  });

  it('in mode observe and recommend: it is only written down', async () => {
    for (const mode of ['observe', 'recommend'] as const) {
      fabric = new VirtualLoop(FIXABLE, [{ ...RULE, mode }]);
      await fabric.run(120);
      expect(fabric.device.applied).toBe(0);
      expect(kinds()).toContain(mode === 'observe' ? 'would-do' : 'recommended');
      if (mode === 'observe') fabric.close();
    }
  });
});

describe('an approval', () => {
  it('is needed, is bound to the very change, and is done once', async () => {
    fabric = new VirtualLoop(FIXABLE, [{ ...RULE, mode: 'approve' }]);
    await fabric.run(60);
    expect(fabric.device.applied).toBe(0);
    const [waiting] = fabric.loop.approvals;
    expect(waiting.hash).toBe(changeHash(waiting.change));
    expect(waiting.lines[0]).toBe('leaf-1: 10.244.1.21 → 10.244.2.20:9000 (TCP): DSCP becomes 8, for 120 s');
    expect(() => fabric.loop.approve('0'.repeat(64), 'ada')).toThrow('nothing waits for an approval');
    expect(() => fabric.loop.approve(waiting.hash, ' ')).toThrow('an approval needs a name');
    fabric.loop.approve(waiting.hash, 'ada');
    await fabric.run(1);
    expect(fabric.device.inForce).toBe(1);
    expect(records().find(({ kind }) => kind === 'making')).toMatchObject({ who: 'ada', mode: 'approve' });
    await fabric.run(5);
    expect(fabric.device.applied).toBe(1);
  });

  it('that comes when the cause is gone finds nothing that waits', async () => {
    const world: World = { ...FIXABLE, congestedShare: (now) => (now < 60_000 ? 0.6 : 0) };
    fabric = new VirtualLoop(world, [{ ...RULE, mode: 'approve' }]);
    await fabric.run(60);
    const [{ hash }] = fabric.loop.approvals;
    await fabric.run(70);
    expect(() => fabric.loop.approve(hash, 'ada')).toThrow('nothing waits for an approval');
    expect(kinds()).toContain('approval-withdrawn');
  });
});

describe('what people say', () => {
  it('no: it is not done, and the rule remembers', async () => {
    const rule = { ...RULE, mode: 'approve' as const };
    fabric = new VirtualLoop(FIXABLE, [rule]);
    await fabric.run(60);
    const [{ hash }] = fabric.loop.approvals;
    fabric.loop.decline(hash, 'ada');
    expect(fabric.loop.recordOf(rule)).toMatchObject({ recommended: 1, agreed: 0, declined: 1 });
    expect(kinds()).toContain('declined');
    expect(() => fabric.loop.approve(hash, 'ada')).toThrow('nothing waits');
    expect(fabric.device.applied).toBe(0);
  });

  it('yes: not by who wrote the rule', async () => {
    fabric = new VirtualLoop(FIXABLE, [{ ...RULE, mode: 'approve', author: 'ada' }]);
    await fabric.run(60);
    const [{ hash }] = fabric.loop.approvals;
    expect(() => fabric.loop.approve(hash, 'ada')).toThrow('ada wrote the rule backup-yields: somebody else must approve');
    fabric.loop.approve(hash, 'bob');
    await fabric.run(1);
    expect(fabric.device.inForce).toBe(1);
  });

  it('yes to what is only recommended: it is not done, and the rule comes nearer to being let', async () => {
    const rule = { ...RULE, mode: 'recommend' as const };
    fabric = new VirtualLoop(FIXABLE, [rule]);
    await fabric.run(60);
    const [{ hash }] = fabric.loop.approvals;
    fabric.loop.approve(hash, 'ada');
    await fabric.run(30);
    expect(fabric.device.applied).toBe(0);
    expect(fabric.loop.recordOf(rule)).toMatchObject({ recommended: 1, agreed: 1, sinceUnixMs: expect.any(Number) });
    fabric.restart();
    expect(fabric.loop.recordOf(rule)).toMatchObject({ recommended: 1, agreed: 1 });
  });
});

describe('a change that helps', () => {
  it('is given as many further terms as its rule says, judged anew in each, and ends', async () => {
    fabric = new VirtualLoop(FIXABLE, [{ ...RULE, renewals: 2 }]);
    await fabric.run(300);
    expect(fabric.loop.leases).toMatchObject([{ renewed: 2 }]);
    expect(fabric.device.inForce).toBe(1);
    await fabric.run(100);
    expect(fabric.device.entries.size).toBe(0);
    expect(kinds().filter((kind) => kind === 'renewed')).toHaveLength(2);
    expect(kinds().filter((kind) => kind === 'judged')).toHaveLength(3);
    const [renewing, renewed] = [kinds().indexOf('renewing'), kinds().indexOf('renewed')];
    expect(renewing).toBeLessThan(renewed);
  });

  it('is given none when reports stop, or the store takes nothing: it ends when it would have', async () => {
    for (const spoil of ['blind', 'disk'] as const) {
      fabric = new VirtualLoop({ ...FIXABLE, isBlind: (now) => spoil === 'blind' && now > 80_000 }, [{ ...RULE, renewals: 5 }]);
      await fabric.run(80);
      expect(fabric.device.inForce).toBe(1);
      if (spoil === 'disk') fabric.isDiskFull = true;
      await fabric.run(70);
      expect(fabric.device.entries.size).toBe(0);
      if (spoil === 'blind') fabric.close();
    }
  });
});

describe('two rules', () => {
  it('about one incident: one change at a time', async () => {
    const other = { ...RULE, name: 'backup-slows', action: 'limit-rate' as const, value: 1e6, switches: ['leaf-2'] };
    fabric = new VirtualLoop(FIXABLE, [RULE, other]);
    const second = fabric.addSwitch('leaf-2');
    for (let i = 0; i < 300; i++) {
      await fabric.run(1);
      expect(fabric.device.inForce + second.inForce).toBeLessThanOrEqual(1);
    }
    expect(fabric.device.applied).toBeGreaterThan(0);
  });

  it(
    'that fight, each causing what the other sees: six changes an hour at most, rules step down, and the end is as the beginning',
    {
      timeout: 60_000,
    },
    async () => {
      const other = { ...RULE, name: 'backup-slows', action: 'limit-rate' as const, value: 1e6, switches: ['leaf-2'] };
      // The queue is congested whatever is done: here or there.
      fabric = new VirtualLoop({ ...FIXABLE, remedied: (share) => share }, [RULE, other]);
      const second = fabric.addSwitch('leaf-2');
      let [here, there] = [0, 0];
      fabric.incidentsNow = () => {
        const isThere = fabric.device.inForce > 0 && second.inForce === 0;
        if (isThere) here = fabric.clock.nowMs;
        else there = fabric.clock.nowMs;
        return isThere
          ? [fabric.incidentWith(`there_${there}`, there, ['leaf-2'])]
          : [fabric.incidentWith(`here_${here}`, here, ['leaf-1'])];
      };
      for (let hour = 0; hour < 24; hour++) {
        const before = fabric.device.applied + second.applied;
        for (let i = 0; i < HOUR; i++) {
          await fabric.run(1);
          expect(fabric.device.inForce + second.inForce).toBeLessThanOrEqual(2);
        }
        expect(fabric.device.applied + second.applied - before).toBeLessThanOrEqual(6);
      }
      expect(fabric.device.applied).toBeGreaterThan(0);
      fabric.isStopped = true;
      await fabric.run(2);
      expect(fabric.device.entries.size + second.entries.size).toBe(0);
      expect(modeOf(RULE, fabric.loop.recordOf(RULE))).not.toBe('auto');
    },
  );
});

describe('a switch that never answers', () => {
  it('keeps no other from being undone in time', async () => {
    const other = { ...RULE, name: 'backup-slows', action: 'limit-rate' as const, value: 1e6, switches: ['leaf-2'] };
    fabric = new VirtualLoop(FIXABLE, [RULE, other]);
    const second = fabric.addSwitch('leaf-2');
    fabric.incidentsNow = () => [
      fabric.incidentWith('inc_1', 0, ['leaf-1']),
      { ...fabric.incidentWith('inc_2', 0, ['leaf-2']), culprits: fabric.incidentWith('inc_2', 0, []).culprits },
    ];
    await fabric.run(40);
    expect(fabric.device.inForce).toBe(1);
    // It hangs in the middle of being looked at.
    fabric.device.held = () => new Promise(() => undefined);
    fabric.device.dies = 'before remove';
    await fabric.run(5);
    fabric.isStopped = true;
    const began = performance.now();
    await fabric.run(1);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(second.entries.size).toBe(0);
  });
});

describe('a revert', () => {
  it('that comes while the switch is being looked at is done as soon as it has answered', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    expect(fabric.device.inForce).toBe(1);
    const asked: ((held: ReadonlyMap<string, number>) => void)[] = [];
    fabric.device.held = () => new Promise((resolve) => asked.push(resolve));
    await fabric.run(6);
    fabric.loop.revertAll('ada');
    await fabric.run(1);
    expect(fabric.device.inForce).toBe(1);
    // And what it answers, that the entries are gone, is no reason to put them back now.
    fabric.device.held = () => Promise.resolve(new Map());
    for (const answer of asked) answer(new Map());
    await fabric.run(2);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.device.applied).toBe(1);
  });
});

describe('what goes wrong', () => {
  it('a full disk: nothing new is done, what is in force is undone, and it goes on when there is room', async () => {
    fabric = new VirtualLoop();
    fabric.isDiskFull = true;
    await fabric.run(60);
    expect(fabric.device.applied).toBe(0);
    fabric.isDiskFull = false;
    await fabric.run(60);
    expect(fabric.device.inForce).toBe(1);
    fabric.isDiskFull = true;
    await fabric.run(120);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.loop.leases).toEqual([]);
    fabric.isDiskFull = false;
    fabric.restart();
    await fabric.run(1);
    expect(fabric.loop.leases).toEqual([]);
  });

  it('a switch that takes part of a change: what it took is taken off', async () => {
    fabric = new VirtualLoop();
    fabric.device.takes = 1;
    await fabric.run(40);
    expect(fabric.device.applied).toBeGreaterThan(0);
    expect(fabric.device.entries.size).toBe(0);
    expect(kinds()).toEqual(expect.arrayContaining(['failed', 'undone']));
  });

  it('a controller that takes our entry off: put back once, then left to it', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    fabric.device.entries.clear();
    await fabric.run(6);
    expect(fabric.device.applied).toBe(2);
    fabric.device.entries.clear();
    await fabric.run(6);
    expect(fabric.device.applied).toBe(2);
    expect(fabric.loop.leases).toEqual([]);
    expect(fabric.notices.join()).toContain('another controller owns leaf-1');
  });

  it('a switch that cannot be reached: the change ends on the switch by itself, and is taken off when it is back', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    fabric.device.fault = 'nobody answers';
    await fabric.run(125);
    expect(fabric.device.inForce).toBe(0);
    expect(fabric.loop.leases).toHaveLength(1);
    fabric.device.fault = undefined;
    await fabric.run(2);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.loop.leases).toEqual([]);
  });

  it('a process that dies: its successor knows the lease and ends it in time', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    fabric.restart();
    expect(fabric.loop.leases).toHaveLength(1);
    await fabric.run(120);
    expect(fabric.device.entries.size).toBe(0);
  });

  it.each(['before apply', 'after apply', 'before remove', 'after remove'] as const)(
    'a process that dies %s: its successor leaves the switch as it was, or a lease in force',
    async (dies) => {
      fabric = new VirtualLoop();
      fabric.device.dies = dies;
      await fabric.runUntilDeath(dies.endsWith('apply') ? 40 : 150);
      fabric.device.dies = undefined;
      fabric.restart();
      await fabric.run(3);
      for (const id of fabric.device.entries.keys()) expect(fabric.loop.leases.map((lease) => lease.id)).toContain(id);
      await fabric.run(200);
      fabric.isStopped = true;
      await fabric.run(1);
      expect(fabric.device.entries.size).toBe(0);
      expect(fabric.loop.leases).toEqual([]);
      expect(auditFault(readFileSync(fabric.auditPath, 'utf8'), undefined)).toBeUndefined();
      // What was begun is in the file, though nobody saw the end of it.
      expect(kinds()).toContain('making');
    },
  );

  it('a store that is damaged: put aside, and what carries our cookie is taken off', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    expect(fabric.device.inForce).toBe(1);
    const { DatabaseSync } = await import('node:sqlite');
    const db = new DatabaseSync(fabric.storePath);
    db.exec("UPDATE safety SET body = replace(body, 'analytics', 'kube-system') WHERE kind = 'lease'");
    db.close();
    fabric.restart();
    expect(fabric.notices.join()).toMatch(/lease \w+ is not what was written/);
    expect(fabric.loop.leases).toEqual([]);
    await fabric.run(1);
    expect(kinds()).toContain('orphan');
    expect(fabric.device.entries.size).toBe(0);
  });

  it('a store that fails: nothing new is done, and what is in force is undone all the same', async () => {
    fabric = new VirtualLoop();
    await fabric.run(30);
    expect(fabric.device.inForce).toBe(1);
    fabric.breakStore();
    await fabric.run(130);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.device.applied).toBe(1);
    expect(fabric.notices.join()).toMatch(/remediation could not/);
  });

  it('a clock that is set back, or forward: the change ends early, never late', async () => {
    for (const stepMs of [-3600e3, 3600e3]) {
      fabric = new VirtualLoop();
      await fabric.run(30);
      fabric.clock.wallOffsetMs = stepMs;
      await fabric.run(2);
      expect(fabric.device.entries.size).toBe(0);
      if (stepMs < 0) fabric.close();
    }
  });

  it('no reports any more: nobody says that it helped, and it ends with its time', async () => {
    fabric = new VirtualLoop({ ...FIXABLE, isBlind: (now) => now > 30_000 });
    await fabric.run(100);
    expect(records().find(({ kind }) => kind === 'judged')).toMatchObject({ effect: 'no-data', achieved: null });
    await fabric.run(60);
    expect(fabric.device.entries.size).toBe(0);
    expect(fabric.loop.recordOf(RULE)).toMatchObject({ effective: 0, failed: 0 });
  });
});

describe('a day', () => {
  it.each<[string, World]>([
    ['that can be fixed', FIXABLE],
    ['that cannot be fixed', { ...FIXABLE, remedied: (share) => share }],
    ['of a square wave as long as a lease', { ...FIXABLE, congestedShare: (now) => (now % 240_000 < 120_000 ? 0.6 : 0) }],
    [
      'of an attacker who comes and goes',
      { ...FIXABLE, congestedShare: (now) => (now % 90_000 < 45_000 ? 0.9 : 0), remedied: (s) => s },
    ],
    ['of slow drift', { ...FIXABLE, congestedShare: (now) => Math.min(0.9, now / 86_400_000) }],
    ['whose telemetry goes dark every ten minutes', { ...FIXABLE, isBlind: (now) => now % 600_000 > 300_000 }],
  ])('%s: few changes, none past its time, and the end is as the beginning', { timeout: 60_000 }, async (_, world) => {
    fabric = new VirtualLoop(world);
    const perHour: number[] = [];
    for (let hour = 0; hour < 24; hour++) {
      const before = fabric.device.applied;
      for (let i = 0; i < HOUR; i++) {
        await fabric.run(1);
        for (const { expiresMs } of fabric.device.entries.values()) expect(fabric.clock.nowMs).toBeLessThan(expiresMs + 5000);
      }
      perHour.push(fabric.device.applied - before);
    }
    expect(Math.max(...perHour)).toBeLessThanOrEqual(6);
    fabric.isStopped = true;
    await fabric.run(2);
    expect(fabric.device.entries.size).toBe(0);
    expect(auditFault(readFileSync(fabric.auditPath, 'utf8'), undefined)).toBeUndefined();
  });
});
