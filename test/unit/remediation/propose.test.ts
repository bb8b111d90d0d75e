// From a rule and an incident to the one change: on the culprit's flows where they enter, on its workload, or on the buckets of a group; and what no
// such change gets past, by plans that were made wrong.

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { changeLines, type Change, type MemberTarget } from '../../../alerts/remediation/change.ts';
import { scopeFaults } from '../../../alerts/remediation/guard.ts';
import { changeFor, type EcmpMember } from '../../../alerts/remediation/propose.ts';
import { charterOf, type Rule } from '../../../alerts/remediation/rule.ts';
import type { SwitchSpec } from '../../../p4-int/runtime/spec.ts';
import { groupMembersOf } from '../../../p4-int/runtime/wanted.ts';
import { RULE, VirtualLoop } from '../../support/virtual-loop.ts';

const fabric = new VirtualLoop();
afterAll(() => fabric.close());
const incident = fabric.incidentWith('inc_1', 0, ['leaf-1', 'spine-1', 'leaf-2']);
const LIMIT: Rule = { ...RULE, action: 'limit-egress', switches: [], value: 50e6 };
const SHIFT: Rule = { ...RULE, action: 'shift-ecmp', switches: ['leaf-2'], value: 50 };
/** A group of three equal members on leaf-2; interface 1 is the congested one. */
const MEMBERS: EcmpMember[] = [
  { group: 7, firstBucket: 0, lastBucket: 84, nexthop: 11, interfaceId: 1 },
  { group: 7, firstBucket: 85, lastBucket: 170, nexthop: 12, interfaceId: 2 },
  { group: 7, firstBucket: 171, lastBucket: 255, nexthop: 13, interfaceId: 3 },
];
const propose = (rule: Rule, members: readonly EcmpMember[] = MEMBERS): Change | string =>
  changeFor(rule, incident, () => members);

describe('a change', () => {
  it('of flows is made at the first switch on their way that the rule names', () => {
    expect(propose({ ...RULE, switches: ['leaf-2', 'spine-1'] })).toMatchObject({ executor: 'spine-1' });
    expect(propose({ ...RULE, switches: ['leaf-9'] })).toBe(
      'no flow of analytics/backup is known to enter by a switch of the rule',
    );
  });

  it('of a workload names it, and the addresses that send', () => {
    const target = { namespace: 'analytics', workload: 'backup', addresses: ['10.244.1.21', '10.244.1.22'] };
    const change = propose(LIMIT) as Change;
    expect(change).toMatchObject({ executor: 'kubernetes', targets: [target] });
    expect(changeLines(change)).toEqual([
      'kubernetes: analytics/backup: its pods send at most 400.0 Mbit/s each, and are replaced one after the other for it, for 120 s',
    ]);
    expect(scopeFaults(change, LIMIT, [])).toEqual([]);
  });

  it.each([LIMIT, { ...RULE, switches: [] }])('by an endpoint is asked of it, whatever it is: %j', (rule) => {
    const change = propose({ ...rule, endpoint: 'onos' }) as Change;
    expect(change.executor).toBe('onos');
    expect(change.targets.length).toBeGreaterThan(0);
    expect(scopeFaults(change, { ...rule, endpoint: 'onos' }, [])).toEqual([]);
    expect(scopeFaults({ ...change, executor: 'leaf-1' }, { ...rule, endpoint: 'onos' }, [])).toContain(
      'the rule may not write to leaf-1',
    );
  });

  it('of shares moves half of the congested member to the two others, in equal parts', () => {
    const change = propose(SHIFT) as Change;
    expect(change).toMatchObject({
      executor: 'leaf-2',
      targets: [
        { group: 7, firstBucket: 43, lastBucket: 63, nexthop: 12 },
        { group: 7, firstBucket: 64, lastBucket: 84, nexthop: 13 },
      ],
    });
    expect(scopeFaults(change, SHIFT, [])).toEqual([]);
    expect(changeLines(change)[0]).toBe("leaf-2: group 7, buckets 43–63 → next hop 12: 50 % of one member's flows, for 120 s");
  });

  it.each<[string, Rule, readonly EcmpMember[], string]>([
    ['there is no other way', SHIFT, MEMBERS.slice(0, 1), 'no other way around leaf-2 interface 1 is known'],
    ['the group is not known', SHIFT, [], 'no other way around leaf-2 interface 1 is known'],
    ['the share is less than a bucket', { ...SHIFT, value: 1 }, MEMBERS, 'no other way around leaf-2 interface 1 is known'],
    ['it is at another switch', { ...SHIFT, switches: ['leaf-1'] }, MEMBERS, 'it is at no switch of the rule'],
  ])('of shares is none where %s', (_why, rule, members, because) => expect(propose(rule, members)).toBe(because));

  it('of shares moves all buckets exactly once, whatever the share and the members', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 2, max: 8 }), (value, count) => {
        const width = Math.floor(256 / count);
        const members = Array.from({ length: count }, (_, i) => {
          return { group: 1, firstBucket: i * width, lastBucket: (i + 1) * width - 1, nexthop: i + 1, interfaceId: i + 1 };
        });
        const change = propose({ ...SHIFT, value }, members);
        const moved = Math.floor((width * value) / 100);
        if (typeof change === 'string') return moved === 0;
        const targets = change.targets as readonly MemberTarget[];
        const buckets = targets.flatMap(({ firstBucket, lastBucket }) =>
          Array.from({ length: lastBucket - firstBucket + 1 }, (_, i) => firstBucket + i),
        );
        return (
          buckets.length === moved &&
          new Set(buckets).size === moved &&
          Math.max(...buckets) < width &&
          targets.every(({ nexthop }) => nexthop !== 1)
        );
      }),
      { numRuns: 500, seed: 4 },
    );
  });

  it('knows the groups of a switch from its file', () => {
    const spec = {
      target: { name: 'leaf-1', address: '', deviceId: 1n, role: '', electionId: 1n, timeoutMs: 1 },
      program: 'postcards',
      nodeId: 7,
      nexthops: ['a', 'b'].map((name, i) => ({ name, interface: 11 + i, sourceMac: 1n, destinationMac: 2n })),
      routes: [
        {
          to: { value: 0xffff0a000000n, length: 104 },
          via: [
            { nexthop: 'a', weight: 1 },
            { nexthop: 'b', weight: 3 },
          ],
        },
        { to: { value: 0xffff0b000000n, length: 104 }, via: [{ nexthop: 'a', weight: 1 }] },
      ],
      gateways: [],
      deny: [],
      queues: [],
      watch: [],
      queueReports: [],
    } satisfies SwitchSpec;
    expect(groupMembersOf(spec)).toMatchObject([
      { firstBucket: 0, lastBucket: 63, interfaceId: 11 },
      { firstBucket: 64, lastBucket: 255, interfaceId: 12 },
    ]);
  });
});

describe('a charter', () => {
  it.each([
    [LIMIT, /auto; workloads of analytics/, /with its lease, by the collector or the reaper/],
    [{ ...LIMIT, endpoint: 'onos' }, /auto; asks onos/, /with its lease/],
    [SHIFT, /auto; tables of leaf-2/, /on the switch, whoever is alive/],
  ])('of %j says who does it and how it ends', (rule, authority, abort) => {
    const lines = charterOf(rule, 'audit.jsonl');
    expect(lines[1]).toMatch(authority);
    expect(lines[3]).toMatch(abort);
  });
});

describe('the scope of changes of workloads and groups', () => {
  const workload = propose(LIMIT) as Change;
  const members = propose(SHIFT) as Change;
  it.each<[Rule, Change, object, RegExp]>([
    [LIMIT, workload, { namespace: 'kube-system' }, /not the culprit/],
    [LIMIT, workload, { workload: '*' }, /\* is not the name of one workload/],
    [LIMIT, workload, { workload: '' }, /is not the name of one workload/],
    [LIMIT, workload, { workload: '../secrets/x' }, /is not the name of one workload/],
    [LIMIT, workload, { workload: 'other' }, /not the culprit/],
    [LIMIT, workload, { addresses: [] }, /one to 8 addresses/],
    [LIMIT, workload, { addresses: ['10.0.0.0/8'] }, /not the address of one host/],
    [LIMIT, workload, { labelSelector: '' }, /labelSelector, which means nothing here/],
    [SHIFT, members, { firstBucket: 0, lastBucket: 255 }, /more than a share/],
    [SHIFT, members, { firstBucket: 9, lastBucket: 8 }, /are none/],
    [SHIFT, members, { lastBucket: 256 }, /are none/],
    [SHIFT, members, { nexthop: 0 }, /next hop 0 is none/],
    [SHIFT, members, { group: undefined }, /group undefined is none/],
  ])('%j %j refuses %j', (rule, change, wrong, fault) => {
    const [first] = change.targets;
    const faults = scopeFaults({ ...change, targets: [{ ...first, ...wrong }] as never }, rule, []);
    expect(faults.join('; ')).toMatch(fault);
  });

  it('is kept by none of 100,000 plans that were made wrong', { timeout: 60_000 }, () => {
    const junk = fc.oneof(
      fc.constantFrom(null, undefined, '', '*', 'all', 0, -1, 256, NaN, [], {}, ['*'], 'kube-system', 'analytics', '10.0.0.0/8'),
      fc.string(),
      fc.integer({ min: -10, max: 70_000 }),
      fc.array(fc.ipV4()),
    );
    const cases = [
      { rule: LIMIT, change: workload },
      { rule: SHIFT, change: members },
    ];
    const keys = [
      'namespace',
      'workload',
      'addresses',
      'group',
      'firstBucket',
      'lastBucket',
      'nexthop',
      'source',
      'action',
      'executor',
      'targets',
      'culprit',
    ];
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...cases), fc.constantFrom(...keys), junk, ({ rule, change }, key, value) => {
        const [first] = change.targets;
        const isOfChange = key in change;
        const plan: any = isOfChange ? { ...change, [key]: value } : { ...change, targets: [{ ...first, [key]: value }] };
        const isRefused = scopeFaults(plan, rule, []).length > 0;
        if (isRefused) refused++;
        const isKept = (): boolean =>
          plan.targets.every((one: any) =>
            rule === LIMIT
              ? `${one.namespace}/${one.workload}` === 'analytics/backup' && one.addresses.every((a: string) => !a.includes('/'))
              : one.group >= 1 &&
                one.nexthop >= 1 &&
                one.firstBucket >= 0 &&
                one.lastBucket <= 255 &&
                one.lastBucket - one.firstBucket < 255,
          );
        return isRefused || isKept();
      }),
      { numRuns: 100_000, seed: 9 },
    );
    expect(refused).toBeGreaterThan(80_000);
  });
});
