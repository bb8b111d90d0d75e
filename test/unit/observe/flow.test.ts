// Flows: one row each, whatever family and tunnel; a flood of single reports keeps out nobody who matters, and no chosen keys collide.

import { describe, expect, it } from 'vitest';
import { FLOW_WORDS, FlowPart, FlowWord } from '../../../collector/flow-key.ts';
import { HopBatch } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { flowStage, FlowTable } from '../../../collector/observe/flow.ts';
import { HashSecret } from '../../../collector/shared-state.ts';

function build(capacity: number, secret = HashSecret.fixed()) {
  const make = (arena: Arena): FlowTable => new FlowTable(arena, capacity, secret.words);
  const flows = make(new Arena(new SharedArrayBuffer(measure((arena) => void make(arena)))));
  const batch = new HopBatch(4, 64);
  return { flows, batch, observe: flowStage(flows, batch) };
}
type Built = ReturnType<typeof build>;

interface Key {
  source?: readonly number[];
  destination?: readonly number[];
  ports?: number;
  protocol?: number;
  family?: 4 | 6;
  tunnel?: number;
}

/** Feeds one report of a flow; returns its row. */
function feed({ batch, observe }: Built, key: Key, nowNs = 0): number {
  const { reports: r } = batch;
  r.length = 1;
  r.flowParts[0] = FlowPart.addresses;
  r.flowKey.set(key.source ?? [0, 0, 0xffff, 1], FlowWord.source);
  r.flowKey.set(key.destination ?? [0, 0, 0xffff, 2], FlowWord.destination);
  r.flowKey[FlowWord.ports] = key.ports ?? 0;
  r.flowKey[FlowWord.protocol] = ((key.family ?? 4) << 8) | (key.protocol ?? 6);
  r.flowKey[FlowWord.tunnel] = key.tunnel ?? 0;
  batch.arrivalNs[0] = nowNs;
  observe();
  return r.flowRow[0];
}

it('every part of the key tells flows apart, of both families', () => {
  const t = build(64);
  const keys: Key[] = [
    {},
    { source: [0, 0, 0xffff, 3] },
    { destination: [0, 0, 0xffff, 3] },
    { ports: 1 },
    { protocol: 17 },
    { tunnel: 1 },
    { family: 6, source: [0x20010db8, 0, 0, 1], destination: [0x20010db8, 0, 0, 2] },
    { family: 6, source: [0x20010db8, 1, 0, 1], destination: [0x20010db8, 0, 0, 2] },
    { family: 6, source: [0x20010db8, 0, 0, 1], destination: [0x20010db8, 0, 1, 2] },
    // The words of an IPv4 flow as IPv6 addresses.
    { family: 6 },
  ];
  const rows = keys.map((key) => feed(t, key));
  expect(new Set(rows).size).toBe(keys.length);
  expect(keys.map((key) => feed(t, key))).toEqual(rows);
  const words = t.flows.flowAt(rows[3], t.batch.reports.flowGeneration[0])!.words;
  expect(words).toHaveLength(FLOW_WORDS);
  expect(words[FlowWord.ports]).toBe(1);
});

it('in a flood of a hundred thousand flows, one that is always there keeps its count, and one that begins finds room', () => {
  const t = build(1024);
  let turnedAway = 0;
  let begun = 0;
  for (let i = 0; i < 100_000; i++) {
    const nowNs = i * 100_000;
    feed(t, { source: [0, 0, 0xffff, 1000 + i] }, nowNs);
    feed(t, { ports: 1 }, nowNs);
    // From the middle of the flood on.
    if (i >= 50_000 && feed(t, { ports: 2 }, nowNs) === 0) turnedAway++;
    if (i >= 50_000) begun++;
  }
  expect(t.flows.reports(feed(t, { ports: 1 }, 10e9))).toBe(100_001);
  expect(turnedAway / begun).toBeLessThan(0.05);
  expect(t.flows.keys.totals[0]).toBe(1024);
  // What was given away and what found no room is counted.
  expect(t.flows.keys.totals[2]).toBeGreaterThan(5000);
  expect(t.flows.keys.totals[1]).toBeGreaterThan(5000);
});

describe('the hash', () => {
  it('spreads flows that differ in few bits over the table', () => {
    const t = build(4096);
    for (let i = 0; i < 4096; i++) feed(t, { source: [0, 0, 0xffff, i << 8], ports: i & 3 });
    expect(t.flows.keys.totals).toEqual(Float64Array.of(4096, 0, 0));
  });

  it('of keys that collide under one secret, hardly any collide under another', () => {
    const hashes = (secret: HashSecret): ((word: number) => number) => {
      const { flows } = build(16, secret);
      const key = new Uint32Array(FLOW_WORDS);
      key[FlowWord.protocol] = (4 << 8) | 6;
      return (word) => {
        key[FlowWord.source + 3] = word;
        return flows.keys.hashOf(key, 0) & 0xffff;
      };
    };
    const known = hashes(HashSecret.fixed());
    const wanted = known(0);
    const chosen: number[] = [];
    for (let word = 0; chosen.length < 64; word++) if (known(word) === wanted) chosen.push(word);
    const other = hashes(HashSecret.random());
    expect(new Set(chosen.map(other)).size).toBeGreaterThan(48);
  });
});

describe('flows in tunnels', () => {
  const inTunnel = (t: Built, key: Key, ends: readonly number[]): { row: number; generation: number } => {
    const { reports: r } = t.batch;
    r.outerParts[0] = FlowPart.addresses;
    r.outerKey.set(ends);
    const row = feed(t, key);
    r.outerParts[0] = 0;
    return { row, generation: r.flowGeneration[0] };
  };
  const ENDS = [0, 0, 0xffff, 0x0a000001, 0, 0, 0xffff, 0x0a000002];

  it('keep the ends of the tunnel beside the flow, once for all flows between them', () => {
    const t = build(64);
    const [a, b] = [inTunnel(t, { tunnel: 1 }, ENDS), inTunnel(t, { tunnel: 2 }, ENDS)];
    expect([...t.flows.flowAt(a.row, a.generation)!.outer!]).toEqual(ENDS);
    expect([...t.flows.flowAt(b.row, b.generation)!.outer!]).toEqual(ENDS);
    expect(t.flows.tunnels.totals[0]).toBe(1);
    const plain = feed(t, { tunnel: 3 });
    expect(t.flows.flowAt(plain, t.batch.reports.flowGeneration[0])!.outer).toBeUndefined();
  });

  it('without room for the ends, the flow has none, and it is counted', () => {
    const t = build(1024);
    for (let i = 0; i < 64; i++) inTunnel(t, { tunnel: i + 1 }, ENDS.with(7, i));
    const last = inTunnel(t, { tunnel: 100 }, ENDS.with(7, 100));
    expect(t.flows.flowAt(last.row, last.generation)!.outer).toBeUndefined();
    expect(t.flows.tunnels.totals[1]).toBe(1);
  });

  it('a flow whose row was another one before is not in its tunnel', () => {
    const t = build(16);
    inTunnel(t, { ports: 1 }, ENDS);
    for (let i = 2; i < 40; i++) feed(t, { ports: i }, i * 60e9);
    for (let row = 1; row <= 16; row++) {
      const flow = t.flows.flowAt(row, t.flows.keys.generationOf(row));
      if (flow !== undefined && flow.words[FlowWord.ports] !== 1) expect(flow.outer).toBeUndefined();
    }
  });
});
