// Who is admitted, and by which numbers an address is meant.

import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { writeAddressWords } from '../../collector/address.ts';
import { AddressSet } from '../../collector/address-set.ts';
import { Admission } from '../../collector/admission.ts';
import { parseConfig } from '../../collector/config.ts';
import { Arena, measure } from '../../collector/memory/arena.ts';
import { ExporterCount, ExporterTable } from '../../collector/observe/exporter.ts';
import { FIXED_SECRET } from '../support/hops.ts';

function wordsOf(address: string): Uint32Array {
  const words = new Uint32Array(4);
  writeAddressWords(address, words, 0);
  return words;
}

describe('AddressSet', () => {
  it.each([
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.4', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['::/0', '10.0.0.1', true],
  ])('%s has %s: %s', (cidr, address, expected) => {
    expect(new AddressSet(['192.0.2.1', cidr]).has(wordsOf(address), 0)).toBe(expected);
  });

  it('agrees with a library on any IPv4 network and address', () => {
    const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(octets, fc.nat(32), octets, (network, bits, address) => {
        const expected = ipaddr.IPv4.parse(address).match(ipaddr.IPv4.parse(network), bits);
        expect(new AddressSet([`${network}/${bits}`]).has(wordsOf(address), 0)).toBe(expected);
      }),
    );
  });
});

describe('Admission', () => {
  const build = (settings: object, capacity = 8) => {
    const make = (arena: Arena): ExporterTable => new ExporterTable(arena, capacity, 4, FIXED_SECRET);
    const exporters = make(new Arena(new SharedArrayBuffer(measure((arena) => void make(arena)))));
    const { ingest } = parseConfig(JSON.stringify({ ingest: settings }));
    return { exporters, admission: new Admission(exporters, ingest) };
  };
  const at = (ns: number): Float64Array => Float64Array.of(ns);

  it('gives each address its profile: the first entry that matches', () => {
    const sources = [
      { addresses: ['10.0.0.0/24'], timestampUnit: 'us' },
      { addresses: ['10.0.0.0/8'], portRate: '10G' },
    ];
    const { admission } = build({ sources });
    expect(admission.sourceOf(wordsOf('10.0.0.7'), at(1))?.profile.timestampUnitNs).toBe(1000);
    expect(admission.sourceOf(wordsOf('10.9.0.7'), at(1))?.profile).toMatchObject({ timestampUnitNs: 1, portBytesPerNs: 1.25 });
    expect(admission.sourceOf(wordsOf('192.0.2.1'), at(1))?.profile.portBytesPerNs).toBe(0);
  });

  it('a flood of addresses turns the table over, and each is still itself', () => {
    const { admission, exporters } = build({});
    for (let i = 0; i < 5000; i++) {
      const words = wordsOf(`10.${(i >> 8) & 255}.${i & 255}.1`);
      expect([...admission.sourceOf(words, at(i))!.words]).toEqual([...words]);
    }
    expect(exporters.keys.totals[0]).toBe(8);
    expect(exporters.keys.totals[2]).toBe(4992);
  });

  it('strangers are not admitted, and cost no admitted sender its row', () => {
    const { admission, exporters } = build({ allow: ['10.0.0.0/8'] });
    const known = admission.sourceOf(wordsOf('10.0.0.1'), at(1))!;
    exporters.count(known.row, ExporterCount.received, 5);
    for (let i = 0; i < 1000; i++) {
      const words = wordsOf(`203.${i >> 8}.${i & 255}.1`);
      expect(admission.sourceOf(words, at(2 + i))).toBeUndefined();
      exporters.turnAway(words, 2 + i);
    }
    expect(exporters.counted(admission.sourceOf(wordsOf('10.0.0.1'), at(5000))!.row, ExporterCount.received)).toBe(5);
    expect(exporters.strangers.totals[0]).toBe(4);
  });

  it('the rate limit gives back what time earns, and saves up a second at most', () => {
    const { exporters } = build({});
    const row = exporters.rowOf(wordsOf('10.0.0.1'), 1e9);
    const spend = (count: number, nowNs: number): number =>
      Array.from({ length: count }).filter(() => exporters.spend(row, 100, nowNs)).length;
    expect(spend(150, 1e9)).toBe(100);
    expect(spend(150, 1.5e9)).toBe(50);
    expect(spend(300, 60e9)).toBe(100);
    // A clock that stands still, or runs back, earns nothing.
    expect(spend(10, 59e9)).toBe(0);
  });
});
