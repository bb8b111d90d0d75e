// Clocks of nodes: steps by links and by deliveries, offsets and drift.

import { beforeEach, describe, expect, it } from 'vitest';
import { ClockOffsets, lineUnder } from '../../../collector/diagnose/clock-offsets.ts';
import { ClockSteps, type NodeDelay } from '../../../collector/diagnose/clock-steps.ts';
import { ConditionBook } from '../../../collector/diagnose/condition.ts';
import { LinkClocks, type LinkDelays } from '../../../collector/diagnose/link-clocks.ts';
import type { ConditionEvent } from '../../../collector/event.ts';

let told: ConditionEvent[];
let conditions: ConditionBook;
beforeEach(() => {
  told = [];
  conditions = new ConditionBook(
    (ns) => `t${ns}`,
    (event) => told.push(event),
  );
});

const slotNs = 50e6;
/** A link between two nodes whose clocks are so far ahead, by node and slot. */
const linkOf = (offsetNs: (node: number, slot: number) => number, from: number, to: number): LinkDelays => ({
  fromTag: from,
  toTag: to,
  thereNs: (slot) => 500 + offsetNs(to, slot) - offsetNs(from, slot),
  backNs: (slot) => 500 + offsetNs(from, slot) - offsetNs(to, slot),
});
const placeOfNode = (tag: number) => ({ node: `n${tag}` });

describe('clocks by links', () => {
  /** Offsets of the clocks of three nodes in a row, by slot. */
  const run = (offsetNs: (node: number, slot: number) => number): void => {
    const pair = (from: number, to: number) => linkOf(offsetNs, from, to);
    const detector = new LinkClocks(
      { pairs: () => [pair(1, 2), pair(2, 3), pair(1, 3)], placeOfNode, slotNs, lagNs: 0 },
      conditions,
    );
    for (let slot = 5; slot < 40; slot++) detector.poll(slot * slotNs + 1);
  };

  it('a step of one node is told of that node alone', () => {
    run((node, slot) => (node === 2 && slot >= 20 ? 2e6 : 0));
    expect(told).toMatchObject([{ kind: 'clock-fault', place: { node: 'n2' } }]);
    conditions.refresh(0);
    expect(told.every(({ place }) => place.node === 'n2')).toBe(true);
  });

  it('offsets that stay and clocks that drift are no step, nor is one bad slot', () => {
    run((node, slot) => node * 50e3 + node * slot * 1.5e3);
    run((node, slot) => (node === 2 && slot === 20 ? 300e3 : 0));
    expect(told).toEqual([]);
  });

  it('of two clocks that only links with one another know, none is accused', () => {
    const step = (node: number, slot: number): number => (node === 2 && slot >= 20 ? 2e6 : 0);
    const detector = new LinkClocks(
      { pairs: () => [linkOf(step, 1, 2), linkOf(step, 1, 2)], placeOfNode, slotNs, lagNs: 0 },
      conditions,
    );
    for (let slot = 5; slot < 40; slot++) detector.poll(slot * slotNs + 1);
    expect(told).toEqual([]);
  });
});

describe('clocks by deliveries', () => {
  /** Least delays of nodes, by slot; undefined: the node reports nothing in it. */
  const run = (
    delayNs: (node: number, slot: number) => number | undefined,
    nodes = 4,
    steps = (_node: number, _slot: number) => 0,
  ): void => {
    const last = new Map<number, NodeDelay>();
    const detector = new ClockSteps({ delays: () => [...last.values()], placeOfNode, slotNs }, conditions);
    for (let slot = 1; slot < 400; slot++) {
      for (let tag = 1; tag <= nodes; tag++) {
        const leastNs = delayNs(tag, slot);
        if (leastNs !== undefined) last.set(tag, { tag, slot, leastNs, steps: steps(tag, slot) });
      }
      detector.poll((slot + 1) * slotNs);
    }
  };

  it('a step is told of the node whose reports alone seem to come before their time', () => {
    run((node, slot) => node * 1e9 + (node === 2 && slot >= 20 ? -2e6 : 0));
    expect(told).toMatchObject([
      { kind: 'clock-fault', place: { node: 'n2' }, numbers: { stepNs: expect.closeTo(2e6, -5) as number } },
    ]);
  });

  it('and of one whose stamps were so far off that it was set', () => {
    run(
      () => 0,
      1,
      (_node, slot) => (slot >= 20 ? 1 : 0),
    );
    expect(told).toMatchObject([{ kind: 'clock-fault', place: { node: 'n1' } }]);
  });

  it.each<[string, (node: number, slot: number) => number | undefined, number?]>([
    ['a delivery that varies', (_node, slot) => (slot % 2) * 0.4e6],
    ['a report held up once', (node, slot) => (node === 2 && slot === 20 ? 5e6 : 0)],
    ['a queue that comes and goes in the way of the reports', (node, slot) => (node === 2 && slot >= 20 && slot < 60 ? 3e6 : 0)],
    ['what all nodes share', (_node, slot) => (slot >= 20 ? -5e6 : 0)],
    [
      'a clock that runs free, heard of after minutes',
      (node, slot) => (node === 2 && slot > 50 && slot < 350 ? undefined : -slot * slotNs * 30e-6),
    ],
    ['one of two nodes', (node, slot) => (node === 2 && slot >= 20 ? -2e6 : 0), 2],
    ['the only one that is still heard', (node, slot) => (node === 2 ? (slot >= 200 ? -2e6 : 0) : slot < 50 ? 0 : undefined)],
  ])('%s is no step', (_what, delayNs, nodes) => {
    run(delayNs, nodes);
    expect(told).toEqual([]);
  });
});

describe('offsets of clocks', () => {
  const estimatesOf = (links: LinkDelays[], polls = 1, zeroOf: (tag: number) => bigint | undefined = () => 10n ** 18n) => {
    const clocks = new ClockOffsets(
      { pairs: () => links, placeOfNode, deviceZeroNs: zeroOf, slotNs, slots: 64, lagNs: 0 },
      conditions,
    );
    for (let poll = 1; poll <= polls; poll++) clocks.poll(100 * slotNs + poll * 1e9);
    return clocks.estimates;
  };

  it('and drifts are found against the mean, below the noise of packets that waited', () => {
    const offset = (node: number, slot: number): number => node * 20e3 + node * (slot - 99) * slotNs * 1e-6;
    const noisy = (from: number, to: number): LinkDelays => {
      const link = linkOf(offset, from, to);
      const noise = (slot: number): number => (slot % 3 === 0 ? 0 : (slot * 7919) % 900);
      return {
        ...link,
        thereNs: (slot) => link.thereNs(slot)! + noise(slot),
        backNs: (slot) => link.backNs(slot)! + noise(slot + 1),
      };
    };
    const found = estimatesOf([noisy(1, 2), noisy(2, 3), noisy(1, 3)]);
    // The newest slot is 20 after slot 99: the clocks have drifted on by then.
    const newest = 119;
    for (const node of [1, 2, 3]) {
      const { offsetNs, driftRatio, residualNs } = found.get(node)!;
      expect(Math.abs(offsetNs - (offset(node, newest) - offset(2, newest)))).toBeLessThan(50);
      expect(Math.abs(driftRatio - (node - 2) * 1e-6)).toBeLessThan(5e-8);
      expect(residualNs).toBeLessThan(50);
    }
    expect(told).toEqual([]);
  });

  it('are told of the clocks of the devices, whose stamps of 32 bits may have gone round', () => {
    const still = (): number => 0;
    const wrapped = estimatesOf([linkOf(still, 1, 2)], 1, (tag) => (tag === 1 ? 10n : 2n ** 32n - 10n));
    expect(wrapped.get(2)!.offsetNs - wrapped.get(1)!.offsetNs).toBeCloseTo(-20);
    expect(estimatesOf([linkOf(still, 1, 2)], 1, () => undefined).size).toBe(0);
  });

  it('of nodes that no link leads to in both directions are not known; a link that contradicts the others shows as residual', () => {
    const still = (): number => 0;
    const oneWay = { ...linkOf(still, 3, 4), backNs: () => undefined };
    const found = estimatesOf([linkOf(still, 1, 2), oneWay]);
    expect([...found.keys()].sort()).toEqual([1, 2]);
    const crooked = { ...linkOf(still, 1, 3), thereNs: () => 3500 };
    expect(estimatesOf([linkOf(still, 1, 2), linkOf(still, 2, 3), crooked]).get(1)!.residualNs).toBeCloseTo(500);
  });

  it('of two clocks, none is accused of drifting; of several, the one that does', () => {
    const drift = (node: number, slot: number): number => (node === 1 ? slot * slotNs * 300e-6 : 0);
    estimatesOf([linkOf(drift, 1, 2)], 8);
    expect(told).toEqual([]);
    estimatesOf([linkOf(drift, 1, 2), linkOf(drift, 2, 3), linkOf(drift, 1, 4)], 8);
    expect(new Set(told.map(({ place }) => place.node))).toEqual(new Set(['n1']));
  });

  it('a clock that drifts by more than oscillators do, for a while, is a fault', () => {
    estimatesOf(
      [1, 2, 3].map((to) => linkOf((node, slot) => (node === 9 ? slot * slotNs * 90e-6 : 0), to, 9)),
      6,
    );
    expect(told.map(({ place }) => place.node)).toContain('n9');
    expect(told[0].summary).toContain('ppm');
  });

  it('a wrong delay now and then, which tilts the line one way and then the other, is no drift', () => {
    const still = (): number => 0;
    const crooked = (from: number, to: number): LinkDelays => {
      const link = linkOf(still, from, to);
      return { ...link, thereNs: (slot) => link.thereNs(slot)! - (slot === 150 || slot === 210 ? 5e6 : 0) };
    };
    const estimates = [1, 2, 3].map((to) => crooked(to, 9));
    expect(Math.abs(estimatesOf(estimates, 3).get(9)!.driftRatio)).toBeGreaterThan(50e-6);
    estimatesOf(estimates, 12);
    expect(told).toEqual([]);
  });

  it('the line lies under all points, as near as it can', () => {
    expect(
      lineUnder([
        [-3, 5],
        [-2, 2],
        [-1, 4],
        [0, 1],
      ]),
    ).toEqual({ atNs: 1, slope: -0.5 });
  });
});
