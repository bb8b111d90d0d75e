// What no change gets past, by a hundred thousand plans that were made wrong, and one by one.

import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { changeHash, isExpired, type Change, type Lease } from '../../../alerts/remediation/change.ts';
import { budgetFault, evidenceFault, scopeFaults } from '../../../alerts/remediation/guard.ts';
import { incidentOf } from '../../support/incidents.ts';
import { RULE } from '../../support/virtual-loop.ts';

const GOOD: Change = {
  action: 'remark-dscp',
  executor: 'leaf-1',
  targets: [
    { source: '10.244.1.21', destination: '10.244.2.20', protocol: 6, destinationPort: 9000 },
    { source: 'fd00::21', destination: 'fd00::20', protocol: 17 },
  ],
  value: 8,
  culprit: 'analytics/backup',
  incidentId: 'inc_1',
  rule: RULE.name,
  predictedEffect: 0.9,
  leaseMs: 120_000,
};
const PROTECTED = ['10.99.0.1', 'fd00::99'];

describe('the scope of a change', () => {
  it('is what the rule says', () => {
    expect(scopeFaults(GOOD, RULE, PROTECTED)).toEqual([]);
  });

  const target = GOOD.targets[0];
  it.each<[Partial<Change>, string]>([
    [{ targets: [] }, 'it names no target'],
    [{ targets: undefined }, 'it names no target'],
    [{ targets: 'all' as never }, 'it names no target'],
    [{ targets: Array.from({ length: 9 }, () => target) }, 'it names 9 targets, more than 8'],
    [{ targets: [{ ...target, source: '0.0.0.0' }] }, "0.0.0.0 is no host's own address"],
    [{ targets: [{ ...target, source: '10.244.0.0/16' }] }, '10.244.0.0/16 is not the address of one host'],
    [{ targets: [{ ...target, source: '*' }] }, '* is not the address of one host'],
    [{ targets: [{ ...target, destination: undefined as never }] }, 'undefined is not the address of one host'],
    [{ targets: [{ ...target, destination: '224.0.0.5' }] }, "224.0.0.5 is no host's own address"],
    [{ targets: [{ ...target, destination: '255.255.255.255' }] }, "255.255.255.255 is no host's own address"],
    [{ targets: [{ ...target, destination: '127.0.0.1' }] }, "127.0.0.1 is no host's own address"],
    [{ targets: [{ ...target, destination: '2130706433' }] }, "2130706433 is no host's own address"],
    [{ targets: [{ ...target, destination: '10.99.0.1' }] }, '10.99.0.1 is protected'],
    [{ targets: [{ ...target, destination: 'fd00:0::99' }] }, 'fd00:0::99 is protected'],
    [{ targets: [{ ...target, protocol: 0 }] }, 'protocol 0 is none'],
    [{ targets: [{ ...target, destinationPort: 70_000 }] }, 'port 70000 is none'],
    [{ targets: [{ ...target, mask: 0 } as never] }, 'a target has mask, which means nothing here'],
    [{ targets: [null as never] }, 'a target is nothing'],
    [{ executor: 'leaf-2' }, 'the rule may not write to leaf-2'],
    [{ action: 'limit-rate' }, "its action limit-rate is not the rule's"],
    [{ value: 64 }, 'its value 64 is out of range'],
    [{ value: 48 }, "DSCP 48 belongs to the network's own control"],
    [{ leaseMs: 3_600_001 }, 'its lease is shorter or longer than any may be'],
    [{ leaseMs: Infinity }, 'its lease is shorter or longer than any may be'],
    [{ culprit: 'kube-system/coredns' }, "kube-system/coredns is none of the rule's"],
    [{ culprit: '' }, " is none of the rule's"],
  ])('%j is refused: %s', (wrong, fault) => {
    expect(scopeFaults({ ...GOOD, ...wrong }, RULE, PROTECTED)).toContain(fault);
  });

  it('is kept by none of 100,000 plans that were made wrong', { timeout: 120_000 }, () => {
    const junk = fc.oneof(
      fc.constantFrom(
        null,
        undefined,
        '',
        '*',
        'all',
        0,
        -1,
        NaN,
        Infinity,
        [],
        {},
        '0.0.0.0',
        '::',
        '0.0.0.0/0',
        '10.0.0.0/8',
        '127.1',
        '0x7f.1',
      ),
      fc.string(),
      fc.integer(),
      fc.ipV4(),
      fc.ipV6(),
    );
    const keys = [
      'action',
      'executor',
      'targets',
      'value',
      'culprit',
      'leaseMs',
      'source',
      'destination',
      'protocol',
      'destinationPort',
    ];
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...keys), junk, (key, value) => {
        const inTarget = key in GOOD.targets[0];
        const plan = inTarget ? { ...GOOD, targets: [{ ...GOOD.targets[0], [key]: value }] } : { ...GOOD, [key]: value };
        const faults = scopeFaults(plan, RULE, PROTECTED);
        if (faults.length > 0) refused++;
        return faults.length > 0 || isWithin(plan);
      }),
      { numRuns: 100_000, seed: 8 },
    );
    expect(refused).toBeGreaterThan(70_000);
  });
});

/** What may be, told in other words than the guard's. */
function isWithin(plan: any): boolean {
  const isOneHost = (text: unknown): boolean => {
    if (typeof text !== 'string' || PROTECTED.includes(text)) return false;
    const isPlain = /^\d+\.\d+\.\d+\.\d+$/.test(text) || /^[0-9a-f:.]+$/i.test(text);
    if (!isPlain || !ipaddr.isValid(text)) return false;
    const bytes = ipaddr.process(text).toByteArray();
    return (
      bytes.some((byte) => byte !== 0) &&
      !(bytes.length === 4 && (bytes[0] === 0 || bytes[0] === 127 || bytes[0] >= 224)) &&
      !(bytes.length === 16 && bytes[0] === 0xff)
    );
  };
  const whole = (value: unknown, low: number, high: number): boolean =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
  return (
    plan.action === 'remark-dscp' &&
    plan.executor === 'leaf-1' &&
    whole(plan.value, 0, 63) &&
    plan.value !== 48 &&
    plan.value !== 56 &&
    String(plan.culprit).startsWith('analytics') &&
    plan.leaseMs >= 10_000 &&
    plan.leaseMs <= 3_600_000 &&
    plan.targets.length > 0 &&
    plan.targets.every(
      (one: any) =>
        isOneHost(one.source) &&
        isOneHost(one.destination) &&
        whole(one.protocol, 1, 254) &&
        (one.destinationPort === undefined || whole(one.destinationPort, 1, 65_535)),
    )
  );
}

describe('evidence and budgets', () => {
  const now = Date.parse('2026-11-24T10:01:00Z');
  const incident = incidentOf({ openedAt: '2026-11-24T10:00:00Z', updatedAt: '2026-11-24T10:00:59Z' });
  const evidence = incident.evidence;
  it.each([
    [{}, undefined],
    [{ confidence: 0.79 }, /only 79 % sure/],
    [{ evidence: { ...evidence, reports: 99 } }, /99 reports are too few/],
    [{ evidence: { ...evidence, reportLossRatio: 0.02 } }, /reports of this switch are lost/],
    [{ evidence: { ...evidence, reportLossRatio: null } }, /nobody counts them/],
    [{ openedAt: '2026-11-24T10:00:50Z' }, /not lasted/],
    [{ updatedAt: '2026-11-24T10:00:10Z' }, /not seen of late/],
  ])('%j', (changes, fault) => {
    const found = evidenceFault({ ...incident, ...changes }, RULE, now);
    if (fault === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(fault);
  });

  const lease = (changes: Partial<Lease> = {}): Lease => ({
    id: 'a',
    generation: 1,
    change: { ...GOOD, incidentId: 'inc_2' },
    state: 'active',
    createdUnixMs: now,
    expiresUnixMs: now + 120_000,
    expiresBootMs: 120_000,
    bootId: 'boot',
    reapplied: 0,
    renewed: 0,
    ...changes,
  });
  it('one change an incident and a switch, and few at a time', () => {
    expect(budgetFault(GOOD, [], [], now)).toBeUndefined();
    expect(budgetFault(GOOD, [lease({ change: GOOD })], [], now)).toMatch(/for this incident/);
    expect(budgetFault(GOOD, [lease()], [], now)).toMatch(/change of leaf-1 is in force/);
    const elsewhere = Array.from({ length: 4 }, (_, i) =>
      lease({ change: { ...GOOD, executor: `leaf-${i + 2}`, incidentId: `x${i}` } }),
    );
    expect(budgetFault(GOOD, elsewhere, [], now)).toMatch(/4 changes are in force/);
  });

  it('few in ten minutes, three an hour of one culprit, a pause after each, and damping', () => {
    const made = (minutesAgo: number, culprit = 'a/b', endedAgo?: number) => ({
      culprit,
      madeUnixMs: now - minutesAgo * 60e3,
      ...(endedAgo !== undefined && { endedUnixMs: now - endedAgo * 60e3 }),
    });
    expect(
      budgetFault(
        GOOD,
        [],
        [1, 2, 3, 4, 5].map((m) => made(m)),
        now,
      ),
    ).toMatch(/5 changes were made in ten minutes/);
    const own = GOOD.culprit;
    expect(
      budgetFault(
        GOOD,
        [],
        [20, 30, 50].map((m) => made(m, own, m - 2)),
        now,
      ),
    ).toMatch(/3 times within an hour/);
    expect(budgetFault(GOOD, [], [made(8, own, 4)], now)).toMatch(/ended 240 s ago/);
    expect(budgetFault(GOOD, [], [made(8, own, 6)], now)).toBeUndefined();
    // Back and forth, so often that the penalty has not decayed: left alone, though no hour has three.
    expect(
      budgetFault(
        GOOD,
        [],
        [58, 57, 56, 55].map((m) => made(m + 5, own, m - 40)),
        now,
      ),
    ).toMatch(/back and forth/);
  });

  it('a lease is over by either clock, after a start of the machine, and when a clock was set back', () => {
    const clock = (unixMs: number, bootMs: number, bootId = 'boot') => ({ unixMs: () => unixMs, bootMs: () => bootMs, bootId });
    expect(isExpired(lease(), clock(now + 1000, 1000))).toBe(false);
    expect(isExpired(lease(), clock(now + 120_000, 1000))).toBe(true);
    expect(isExpired(lease(), clock(now + 1000, 120_000))).toBe(true);
    expect(isExpired(lease(), clock(now + 1000, 1000, 'another'))).toBe(true);
    expect(isExpired(lease(), clock(now - 1, 1000))).toBe(true);
  });

  it('an approval is of one change: any other has another hash', () => {
    const others: Partial<Change>[] = [
      { value: 9 },
      { leaseMs: 130_000 },
      { executor: 'leaf-2' },
      { targets: [GOOD.targets[1]] },
    ];
    expect(new Set([GOOD, ...others.map((one) => ({ ...GOOD, ...one }))].map(changeHash)).size).toBe(5);
    expect(changeHash({ ...GOOD, predictedEffect: 0.1 })).toBe(changeHash(GOOD));
  });
});
