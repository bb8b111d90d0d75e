// Owners as of a time: intervals, the static inventory, and an honest unknown.

import { describe, expect, it } from 'vitest';
import { writeAddressWords } from '../../../collector/address.ts';
import { Identify } from '../../../collector/identify/identify.ts';
import { Inventory } from '../../../collector/identify/inventory.ts';
import { OwnerMap } from '../../../collector/identify/owner-map.ts';
import { workload } from '../../support/arrivals.ts';

function words(address: string): Uint32Array {
  const out = new Uint32Array(4);
  writeAddressWords(address, out, 0);
  return out;
}

describe('OwnerMap', () => {
  const map = (): OwnerMap => new OwnerMap(2, 1000);
  const nameAt = (m: OwnerMap, at: number): string | undefined => m.ownerAt('10.0.0.1', at)?.workload;

  it('the last claim wins from its time on, and a silent owner ends there', () => {
    const m = map();
    m.claim('10.0.0.1', 'a', workload('a'), 100, 100);
    m.claim('10.0.0.1', 'b', workload('b'), 200, 200);
    expect([50, 100, 199, 200, 999].map((at) => nameAt(m, at))).toEqual([undefined, 'a', 'a', 'b', 'b']);
  });

  it('claims that come out of order find their place', () => {
    const m = map();
    m.claim('10.0.0.1', 'b', workload('b'), 200, 200);
    m.claim('10.0.0.1', 'a', workload('a'), 100, 100);
    expect([100, 199, 200].map((at) => nameAt(m, at))).toEqual(['a', 'a', 'b']);
  });

  it('between an end and the next claim nobody owns the address; a late release never prolongs', () => {
    const m = map();
    m.claim('10.0.0.1', 'a', workload('a'), 100, 100);
    m.release('a', 150);
    m.release('a', 180);
    m.claim('10.0.0.1', 'b', workload('b'), 200, 200);
    expect([149, 150, 199, 200].map((at) => nameAt(m, at))).toEqual(['a', undefined, undefined, 'b']);
  });

  it('keeps the addresses that an owner still has', () => {
    const m = map();
    m.claim('10.0.0.1', 'a', workload('a'), 100, 100);
    m.claim('10.0.0.2', 'a', workload('a'), 100, 100);
    m.release('a', 200, ['10.0.0.2']);
    expect(nameAt(m, 250)).toBeUndefined();
    expect(m.ownerAt('10.0.0.2', 250)?.workload).toBe('a');
  });

  it('is bounded: what has ended long ago makes room, then newcomers are counted and left out', () => {
    const m = map();
    m.claim('10.0.0.1', 'a', workload('a'), 100, 100);
    m.release('a', 200);
    m.claim('10.0.0.2', 'b', workload('b'), 300, 300);
    m.claim('10.0.0.3', 'c', workload('c'), 400, 400);
    expect(m.overflow).toBe(1);
    m.claim('10.0.0.4', 'd', workload('d'), 1300, 1300);
    expect(m.ownerAt('10.0.0.4', 1300)?.workload).toBe('d');
    expect(nameAt(m, 150)).toBeUndefined();
    expect(m.rows).toBe(2);
  });
});

describe('Inventory', () => {
  const inventory = new Inventory([
    { address: '10.0.0.0/8', namespace: 'n', workload: 'wide' },
    { address: '10.1.0.0/16', namespace: 'n', workload: 'narrow' },
    { address: '10.1.2.3', namespace: 'n', workload: 'one' },
    { address: 'fd00::/8', namespace: 'n', workload: 'six' },
  ]);

  it.each([
    ['10.9.9.9', 'wide'],
    ['10.1.9.9', 'narrow'],
    ['10.1.2.3', 'one'],
    ['fd00::1', 'six'],
    ['192.0.2.1', undefined],
  ])('%s belongs to %s: the longest prefix wins', (address, name) => expect(inventory.ownerOf(address)?.workload).toBe(name));
});

it('Kubernetes is asked before the inventory, and what nobody knows is unknown and counted', () => {
  const map = new OwnerMap(10, 1000);
  map.claim('10.0.0.1', 'a', workload('pod-owner', 'pod'), 100, 100);
  const identify = new Identify([map], new Inventory([{ address: '10.0.0.0/24', namespace: 'n', workload: 'static' }]));
  expect(identify.ownerAt(words('10.0.0.1'), 0, 150).workload).toBe('pod-owner');
  expect(identify.ownerAt(words('10.0.0.1'), 0, 50).workload).toBe('static');
  expect(identify.ownerAt(words('192.0.2.9'), 0, 50)).toMatchObject({ kind: 'unknown', workload: 'unknown' });
  expect(identify.counts).toEqual({ resolved: 2, unresolved: 1 });
});
