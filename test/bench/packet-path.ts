// What one report costs on the packet path, against two baselines in the same run: adding up the octets of the datagram (the least
// that touching it can cost), and the decoder that one would write first (an object and a bigint per hop). Run by `npm run bench`.

import { readCapture } from '../../collector/ingest/capture.ts';
import { datagramOf } from '../../collector/ingest/frame.ts';
import { decodeDatagram } from '../../collector/decode/decoder.ts';
import { DatagramOutcome, MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM } from '../../collector/decode/outcome.ts';
import { IDENTITY_PROFILE } from '../../collector/decode/profile.ts';
import { parseConfig } from '../../collector/config.ts';
import { HopBatch } from '../../collector/hop.ts';
import { Pipeline } from '../../collector/pipeline.ts';
import { capacityOf, SharedState, thresholdsOf } from '../../collector/shared-state.ts';
import { SourceDirectory } from '../../collector/source-directory.ts';
import { noisyBackup } from '../../p4-int/fabric/scenario.ts';
import { fabricDatagrams } from '../support/fabric-datagrams.ts';
import { capturePath } from '../support/fixtures.ts';

interface Input {
  name: string;
  datagrams: Uint8Array[];
}

const MIN_RUN_MS = 400;
const ROUNDS = 5;

function captured(name: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const frame of readCapture(capturePath(name))) {
    const datagram = datagramOf(frame.data, frame.linkType);
    if (datagram !== undefined) found.push(datagram.payload.slice());
  }
  return found;
}

/** Nanoseconds per report: the best of some rounds, each long enough for the clock, over all datagrams again and again. */
function nsPerReport(datagrams: readonly Uint8Array[], reports: number, work: (bytes: Uint8Array, i: number) => void): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    let turns = 0;
    const startedMs = performance.now();
    let elapsedMs = 0;
    while (elapsedMs < MIN_RUN_MS) {
      for (let i = 0; i < datagrams.length; i++) work(datagrams[i], i);
      turns++;
      elapsedMs = performance.now() - startedMs;
    }
    best = Math.min(best, (elapsedMs * 1e6) / (turns * reports));
  }
  return best;
}

const batch = new HopBatch(MAX_HOPS_PER_DATAGRAM, MAX_REPORTS_PER_DATAGRAM);
const outcome = new DatagramOutcome();
function decode(bytes: Uint8Array): void {
  batch.clear();
  decodeDatagram(bytes, 0, bytes.length, IDENTITY_PROFILE, batch, outcome);
}

let sink = 0;
function addUp(bytes: Uint8Array): void {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += bytes[i];
  sink += sum;
}

/** The first decoder that one would write: v2.0 or v0.5 headers into an object per hop. It skips the packet inside. */
function decodeToObjects(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const hops: object[] = [];
  if (bytes[0] >>> 4 === 0) {
    hops.push({
      nodeId: view.getUint32(12),
      ports: [view.getUint16(16), view.getUint16(18)],
      ingressTimestamp: BigInt(view.getUint32(8)),
      egressTimestamp: BigInt(view.getUint32(24)),
    });
  } else {
    const nodeId = view.getUint32(4);
    for (let o = 8; o + 12 <= bytes.length;) {
      const words = bytes[o + 1] || (bytes.length - o - 4) / 4;
      if (o + 40 <= bytes.length) {
        hops.push({
          nodeId,
          ports: [view.getUint16(o + 12), view.getUint16(o + 14)],
          hopLatency: view.getUint32(o + 16),
          ingressTimestamp: view.getBigUint64(o + 24),
          egressTimestamp: view.getBigUint64(o + 32),
        });
      }
      o += 4 + words * 4;
    }
  }
  sink += hops.length;
}

function pipelineOver(datagrams: readonly Uint8Array[]): (bytes: Uint8Array, i: number) => void {
  const config = parseConfig(
    JSON.stringify({ ingest: { sources: [{ addresses: ['10.0.0.0/8'], occupancyUnit: 'bytes', portRate: '10G' }] } }),
  );
  const pipeline = new Pipeline(new SharedState(capacityOf(config), thresholdsOf(config)));
  const source = new SourceDirectory(config.ingest.sources).sourceOfText('10.0.0.1');
  // The sequence goes on over the rounds, or everything after the first would be a duplicate.
  const own = datagrams.map((bytes) => Buffer.from(bytes));
  let sequence = 0;
  let nowNs = 1e9;
  return (_bytes, i) => {
    const bytes = own[i];
    if (bytes[0] >>> 4 === 0) bytes.writeUInt32BE(sequence++ >>> 0, 4);
    else bytes.writeUInt32BE(((bytes.readUInt32BE(0) & 0xffc00000) | (sequence++ & 0x3fffff)) >>> 0, 0);
    pipeline.receive(bytes, 0, bytes.length, source, 32_766, (nowNs += 1000));
  };
}

const inputs: Input[] = [
  { name: 'v2.0, 8 reports a datagram', datagrams: fabricDatagrams(noisyBackup(0.1e9, 0.2e9), 1, 0.4e9).map((d) => d.bytes) },
  { name: 'v0.5 postcards (SD-Fabric)', datagrams: captured('int-xd_report-v0.5_fabric-tna') },
  { name: 'v2.0 with INT-MD stacks of 3', datagrams: captured('int-md-v2.1_report-v2.0_laofan13_congested') },
];

console.log('ns per report (ratio to adding up the octets); best of', ROUNDS, 'rounds\n');
console.log('| input | octets/report | add up octets | decode | object per hop | decode + observe |');
console.log('| --- | --- | --- | --- | --- | --- |');
for (const { name, datagrams } of inputs) {
  let reports = 0;
  let octets = 0;
  for (const bytes of datagrams) {
    decode(bytes);
    reports += batch.reports.length;
    octets += bytes.length;
  }
  const floor = nsPerReport(datagrams, reports, addUp);
  const cell = (ns: number): string => `${ns.toFixed(0)} (${(ns / floor).toFixed(2)})`;
  const decoded = nsPerReport(datagrams, reports, decode);
  const objects = nsPerReport(datagrams, reports, decodeToObjects);
  const observed = nsPerReport(datagrams, reports, pipelineOver(datagrams));
  console.log(
    `| ${name} | ${(octets / reports).toFixed(0)} | ${floor.toFixed(0)} | ${cell(decoded)} | ${cell(objects)} | ${cell(observed)} |`,
  );
}
console.log(
  '\nAdding up octets is the least that touching them can cost. "Object per hop" reads headers and metadata only, into an object with',
);
console.log(
  'bigints: neither the packet inside, nor warnings, nor a check of any length. "Decode" does all of that, into columns.',
);
if (sink < 0) console.log(sink);
