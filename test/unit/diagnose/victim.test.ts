// Who suffered: workloads with delayed packets, and not those who made the delay.

import { expect, it } from 'vitest';
import { partiesOf } from '../../../collector/diagnose/parties.ts';
import { victimsOf } from '../../../collector/diagnose/victim.ts';
import type { Culprit, Owner } from '../../../collector/event.ts';
import { logOf, workload, type HandMadeArrival } from '../../support/arrivals.ts';

const BUDGET_NS = 1e6;
const names = ['', 'bully', 'patient', 'lucky', 'stranger'];
const culprits: Culprit[] = [
  {
    namespace: 'shop',
    workload: 'bully',
    kind: 'workload',
    buildUpShare: 0.9,
    buildUpBytes: 1,
    occupancyShare: 0,
    excessShare: 1,
    flows: 1,
    counterfactual: null,
  },
];

function harmed(arrivals: HandMadeArrival[], loss = 0) {
  const log = logOf(arrivals);
  const ownerOf = (i: number) => (log.flowRow[i] === 4 ? workload('x', 'unknown') : workload(names[log.flowRow[i]]));
  return victimsOf(
    log,
    { fromNodeNs: 0, toNodeNs: 1e9 },
    loss,
    { budgetNsOf: () => BUDGET_NS },
    culprits,
    partiesOf(log, ownerOf),
    () => workload('db'),
  );
}
const victims = (arrivals: HandMadeArrival[], loss = 0) => harmed(arrivals, loss).victims;
const packets = (flow: number, count: number, waitNs: number): HandMadeArrival[] =>
  Array.from({ length: count }, (_, i) => ({ atNs: i * 1000, flow, waitNs }));

it('are named with their waits, worst first, with where they were going; the cause and the unharmed are not, and nobody is named for the unknown', () => {
  const found = victims([
    ...packets(1, 100, 900_000),
    ...packets(2, 10, 600_000),
    ...packets(3, 50, 20_000),
    ...packets(4, 50, 900_000),
  ]);
  expect(found).toMatchObject([
    { kind: 'unknown', delayedPackets: 50 },
    { workload: 'patient', towards: 'shop/db', delayedPackets: 10, excessWaitP99Ns: 600_000, budgetUse: 0.6 },
  ]);
});

it('a single delayed packet is no victim, a few of a sparse flow are', () => {
  expect(victims(packets(2, 1, 600_000))).toEqual([]);
  expect(victims(packets(2, 3, 600_000))).toHaveLength(1);
});

it('what lies before the build-up or behind the event does not count, and lost reports are made up for', () => {
  expect(victims(packets(2, 20, 600_000).map((a) => ({ ...a, atNs: -1 })))).toEqual([]);
  expect(victims(packets(2, 20, 600_000).map((a) => ({ ...a, atNs: 2e9 })))).toEqual([]);
  expect(victims(packets(2, 10, 600_000), 0.5)[0].delayedPackets).toBe(20);
});

it('what the leading culprit did to itself is told apart, when it is worth telling', () => {
  expect(harmed(packets(1, 100, 900_000)).selfInflicted).toMatchObject({ workload: 'bully', delayedPackets: 100 });
  expect(harmed(packets(1, 100, 20_000)).selfInflicted).toBeNull();
  expect(harmed(packets(2, 100, 900_000)).selfInflicted).toBeNull();
});

it('are harmed and measured by the budget of their own slice', () => {
  const log = logOf([...packets(1, 100, 900_000), ...packets(2, 100, 400_000), ...packets(3, 100, 400_000)]);
  const ownerOf = (i: number) => ({ ...workload(names[log.flowRow[i]]), ...(log.flowRow[i] === 3 ? { slice: 'patient' } : {}) });
  const budgetOf = ({ slice }: Owner): number => (slice === 'patient' ? 10e6 : 0.5e6);
  const found = victimsOf(
    log,
    { fromNodeNs: 0, toNodeNs: 1e9 },
    0,
    { budgetNsOf: budgetOf },
    culprits,
    partiesOf(log, ownerOf),
    () => workload('db'),
  ).victims;
  expect(found.map(({ workload: name, budgetUse }) => [name, budgetUse])).toEqual([['patient', 0.8]]);
  const strict = { budgetNsOf: budgetOf, harmWaitNs: 350_000 };
  expect(
    victimsOf(log, { fromNodeNs: 0, toNodeNs: 1e9 }, 0, strict, culprits, partiesOf(log, ownerOf), () => workload('db')).victims,
  ).toHaveLength(2);
});

it('eight delayed packets are harm however many were not, and fewer are when they are one in a hundred', () => {
  const among = (delayed: number, calm: number) => victims([...packets(2, delayed, 600_000), ...packets(2, calm, 0)]).length;
  expect(among(8, 10_000)).toBe(1);
  expect(among(7, 10_000)).toBe(0);
  expect(among(2, 198)).toBe(1);
  expect(among(2, 199)).toBe(0);
});

it('are told with the percentile, the most and the sum of their waits, each for as many packets as it stands for', () => {
  const waits = Array.from({ length: 200 }, (_, i) => 60_000 + ((i * 37) % 200) * 1000);
  const [found] = victims(waits.map((waitNs, i) => ({ atNs: i * 1000, flow: 2, waitNs, weight: 2 })));
  expect(found).toMatchObject({ delayedPackets: 400, excessWaitP99Ns: 258_000, excessWaitMaxNs: 259_000 });
  expect(found.excessWaitSumNs).toBe(2 * waits.reduce((sum, wait) => sum + wait, 0));
});

/** Everybody has a workload and pods of their own; where they send to depends on the packet. */
function harmedAmong(arrivals: HandMadeArrival[], ownerOf: (arrival: number) => Owner, receiverOf: (arrival: number) => Owner) {
  const limits = { budgetNsOf: () => BUDGET_NS };
  return victimsOf(
    logOf(arrivals),
    { fromNodeNs: 0, toNodeNs: 1e9 },
    0,
    limits,
    [],
    partiesOf(logOf(arrivals), ownerOf),
    receiverOf,
  ).victims;
}

it('are told with the workload that most of their delayed packets went to', () => {
  const receivers = ['cache', 'db', 'db', 'cache', 'db'].map((name, pod) => ({ ...workload(name), pod: `${name}-${pod}` }));
  const [found] = harmedAmong(
    packets(2, 50, 600_000),
    () => workload('patient'),
    (i) => receivers[i % 5],
  );
  expect(found.towards).toBe('shop/db');
});

it('are the sixteen worst, with sixteen of their pods', () => {
  const arrivals = Array.from({ length: 20 }, (_, flow) => packets(flow + 1, 10, 100_000 + flow * 1000)).flat();
  const many = harmedAmong(
    arrivals,
    (i) => workload(`w${Math.floor(i / 10) + 1}`),
    () => workload('db'),
  );
  expect(many.map((victim) => victim.workload)).toEqual(Array.from({ length: 16 }, (_, i) => `w${20 - i}`));
  const [one] = harmedAmong(
    arrivals,
    (i) => ({ ...workload('patient'), pod: `patient-${Math.floor(i / 10)}` }),
    () => workload('db'),
  );
  expect(one.pods).toEqual(Array.from({ length: 16 }, (_, i) => `patient-${i}`));
});
