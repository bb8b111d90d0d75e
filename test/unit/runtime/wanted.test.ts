import { describe, expect, it } from 'vitest';
import { shippedProgram } from '../../../p4-int/runtime/shipped-program.ts';
import type { SwitchSpec } from '../../../p4-int/runtime/spec.ts';
import { hopWordsOf, SWITCH_COOKIE, wantedOf } from '../../../p4-int/runtime/wanted.ts';

const host = (last: number) => ({ value: 0xffff0a000000n + BigInt(last), length: 128 });
const SPEC: SwitchSpec = {
  target: { name: 'leaf-1', address: '', deviceId: 1n, role: '', electionId: 1n, timeoutMs: 1 },
  program: 'postcards',
  nodeId: 7,
  nexthops: ['a', 'b', 'c'].map((name, i) => ({ name, interface: i + 1, sourceMac: 1n, destinationMac: 2n })),
  routes: [],
  gateways: [],
  deny: [],
  queues: [],
  watch: [],
  queueReports: [],
};
const REPORT = {
  interface: 9,
  sourceMac: 1n,
  destinationMac: 2n,
  source: host(1),
  destination: host(2),
  sourcePort: 5,
  destinationPort: 32_766,
  dscp: 0,
  hardwareId: 0,
  truncateBytes: 224,
};
const weights = (...list: number[]) => list.map((weight, i) => ({ nexthop: 'abc'[i], weight }));
const of = (spec: Partial<SwitchSpec>, table: string) =>
  wantedOf({ ...SPEC, ...spec }).entries.filter((one) => one.table === table);

describe('what is wanted', () => {
  it('is ours, can be written, and names next hops before routes', () => {
    const spec = {
      ...SPEC,
      report: REPORT,
      routes: [{ to: host(3), via: weights(1, 2) }],
      gateways: [{ address: host(4), mac: 5n }],
    };
    const { entries } = wantedOf(spec);
    const { program } = shippedProgram('postcards');
    for (const entry of entries) expect(() => program.encode(entry)).not.toThrow();
    expect(new Set(entries.map(({ cookie }) => cookie))).toEqual(new Set([SWITCH_COOKIE]));
    const tables = entries.map(({ table }) => table);
    expect(tables.lastIndexOf('nexthop')).toBeLessThan(tables.indexOf('ecmp_member'));
    expect(tables.lastIndexOf('ecmp_member')).toBeLessThan(tables.indexOf('route'));
    expect(of(spec, 'gateway')[0].match.address).toEqual({ kind: 'exact', value: 0x0a000004n });
  });

  it('gives each member of a group as many of the 256 buckets as its weight says, all of them and none twice', () => {
    const ranges = of({ routes: [{ to: host(3), via: weights(1, 2, 1) }] }, 'ecmp_member').map(({ match }) => match.bucket);
    expect(ranges).toEqual([
      { kind: 'range', low: 0n, high: 63n },
      { kind: 'range', low: 64n, high: 191n },
      { kind: 'range', low: 192n, high: 255n },
    ]);
    const thirds = of({ routes: [{ to: host(3), via: weights(1, 1, 1) }] }, 'ecmp_member').map(
      ({ match }) => match.bucket as any,
    );
    expect(thirds.map(({ high, low }) => Number(high - low) + 1).reduce((sum, one) => sum + one)).toBe(256);
    expect(() => wantedOf({ ...SPEC, routes: [{ to: host(3), via: weights(1, 255, 255) }] })).not.toThrow();
    const many = Array.from({ length: 3 }, () => ({ nexthop: 'a', weight: 255 }));
    expect(() => wantedOf({ ...SPEC, routes: [{ to: host(3), via: [...many, { nexthop: 'b', weight: 1 }] }] })).toThrow(
      'next hop b has too small a weight',
    );
  });

  it('shares one group among routes that go the same way, and keeps ids when other names come', () => {
    const routes = [host(3), host(4)].map((to) => ({ to, via: weights(1, 1) }));
    expect(of({ routes }, 'ecmp_member')).toHaveLength(2);
    const more = [{ name: 'aa', interface: 4, sourceMac: 1n, destinationMac: 2n }, ...SPEC.nexthops];
    const ids = (spec: Partial<SwitchSpec>) => of(spec, 'nexthop').map(({ match }) => match.nexthop_id);
    expect(ids({ nexthops: more }).slice(1)).toEqual(ids({}));
    expect(new Set(ids({ nexthops: more }).map((id) => (id as any).value)).size).toBe(4);
  });

  it('a route by a next hop that is not there is said', () => {
    expect(() => wantedOf({ ...SPEC, routes: [{ to: host(3), via: [{ nexthop: 'x', weight: 1 }] }] })).toThrow(
      'a route goes via x',
    );
  });

  it('two entries in one place are said, before a switch is asked', () => {
    const routes = [host(3), host(3)].map((to) => ({ to, via: weights(1) }));
    expect(() => wantedOf({ ...SPEC, routes })).toThrow('table route is wanted to hold two entries in one place');
    const gateways = [host(4), host(4)].map((address) => ({ address, mac: 1n }));
    expect(() => wantedOf({ ...SPEC, gateways })).toThrow('table gateway is wanted to hold two entries');
  });

  it('watches in the order of the file, and reports themselves never', () => {
    const one = { flows: {}, latencyQuantumUs: 256, periodUs: 2 ** 20, dropPeriodUs: 0, sampleOneIn: 8 };
    const watch = [{ ...one, flows: { dscp: 46 }, latencyQuantumUs: 0, periodUs: 0, sampleOneIn: 1 }, one];
    const [never, first, second] = of({ report: REPORT, watch }, 'watchlist');
    expect(never).toMatchObject({ action: 'never_report' });
    expect([never.priority > first.priority, first.priority > second.priority]).toEqual([true, true]);
    expect(first.params).toMatchObject({ latency_mask_us: 0n, period_mask_us: 0n, sample_up_to: 0xffff_ffffn });
    expect(second.params).toMatchObject({
      latency_mask_us: 0xffff_ff00n,
      period_mask_us: 0xffff_fff0_0000n,
      drop_period_mask_us: 0n,
      sample_up_to: 0x1fff_ffffn,
    });
  });

  it('counts the words of INT instructions', () => {
    expect([0x8000, 0xfc00, 0x0800, 0xff00, 0xff80, 0x0001].map(hopWordsOf)).toEqual([1, 8, 2, 11, 12, 1]);
  });
});
