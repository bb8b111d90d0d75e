// See in-memory.ts: arguments are reports per datagram and live flows; each line on standard input asks for a round.

import { createInterface } from 'node:readline';
import { Admission } from '../../collector/admission.ts';
import { parseConfig } from '../../collector/config.ts';
import { viewOf } from '../../collector/decode/bytes.ts';
import { raiseInlining } from '../../collector/inlining.ts';
import { pipelineOver } from '../../collector/pipeline.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from '../../collector/shared-state.ts';
import { Postcards } from '../support/postcards.ts';
import type { InMemoryRound } from './in-memory.ts';

const [reports, flows] = process.argv.slice(2).map(Number);
const DATAGRAMS = 64;
const NODES = 16;
/** A flow goes by three of them. */
const WAY = [0, 5, 11];
const ROUND_HOPS = 300_000;

raiseInlining();
const config = parseConfig(JSON.stringify({ limits: { flows: Math.max(65_536, flows) } }));
const state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.random());
const pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
const cards = Array.from({ length: DATAGRAMS }, () => new Postcards(reports, 128));
const views = cards.map((card) => viewOf(card.bytes));
const lengths = cards.map((card) => card.bytes.length);
const source = Uint32Array.of(0, 0, 0xffff, 0x0a000001);
const sequences = new Uint32Array(NODES);
const nowNs = Float64Array.of(1e9);
let random = 0x2545f491;

function fill(): void {
  for (let i = 0; i < DATAGRAMS; i++) {
    const node = i % NODES;
    cards[i].head(node + 1, sequences[node]++);
    for (let report = 0; report < reports; report++) {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      const any = (random >>> 0) % flows;
      const flow = any - (any % NODES) + ((node - WAY[(random >>> 8) % WAY.length] + NODES) % NODES);
      cards[i].report(report, flow, (random >>> 5) & 7, nowNs[0]);
    }
  }
}

function take(): void {
  pipeline.arrive(nowNs[0]);
  for (let i = 0; i < DATAGRAMS; i++) pipeline.receive(views[i], 0, lengths[i], source, 32_766, 0);
  pipeline.settle();
}

const perTurn = DATAGRAMS * reports;
// All flows are there before the first round, and everything is compiled.
for (let hops = 0; hops < Math.max(1_000_000, flows * 3); hops += perTurn) {
  fill();
  nowNs[0] += perTurn * 30;
  take();
}
console.log('ready');

for await (const _asked of createInterface({ input: process.stdin })) {
  let elapsedMs = 0;
  let hops = 0;
  while (hops < ROUND_HOPS) {
    fill();
    nowNs[0] += perTurn * 30;
    const startedMs = performance.now();
    take();
    elapsedMs += performance.now() - startedMs;
    hops += perTurn;
  }
  fill();
  const before = process.memoryUsage().heapUsed;
  // The same datagrams again would be duplicates: only the numbers are set anew.
  for (let turn = 0; turn < 100; turn++) {
    for (let i = 0; i < DATAGRAMS; i++) cards[i].head((i % NODES) + 1, sequences[i % NODES]++);
    take();
  }
  const grown = process.memoryUsage().heapUsed - before;
  const counts = state.counters.read();
  if (counts.of('duplicates') > 0 || counts.of('hopsDecoded') !== counts.of('reportsFramed')) {
    throw new Error('the load is not what it should be: duplicates, or refused reports');
  }
  const round: InMemoryRound = {
    hopsPerSecond: (hops / elapsedMs) * 1000,
    bytesPerReport: grown >= 0 ? grown / (100 * perTurn) : null,
  };
  console.log(JSON.stringify(round));
}
