// Every datagram and every report is accounted for, with bad, duplicate, reordered and missing datagrams mixed in, on loopback.

import { createSocket } from 'node:dgram';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { randomStream } from '../../p4-int/fabric/random.ts';
import { startTestCollector, metricOf, type TestCollector } from '../support/collector.ts';
import { NETFLOW, vectorBytes } from '../support/fixtures.ts';
import { until } from '../support/processes.ts';

let collector: TestCollector;
beforeAll(async () => {
  collector = await startTestCollector();
});
afterAll(() => collector.stop());

/** A v2.0 datagram of node `nodeId` with this sequence number and the three reports of a vector. */
function good(nodeId: number, sequence: number): Buffer {
  const bytes = Buffer.from(vectorBytes('v2-group-of-three'));
  bytes.writeUInt32BE(((2 << 28) | (sequence & 0x3fffff)) >>> 0, 0);
  bytes.writeUInt32BE(nodeId, 4);
  return bytes;
}

const BAD = [...['bad-version', 'bad-group-header-short', 'bad-report-overrun'].map(vectorBytes), NETFLOW];

it(
  'sent + duplicated = received + kernel drops + lost before us; received = decoded + rejected + dropped; reports too',
  { timeout: 60_000 },
  async () => {
    const random = randomStream(7, 'accounting');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
    const send = (bytes: Uint8Array): Promise<void> =>
      new Promise((resolve, reject) =>
        socket.send(bytes, collector.udpPort, '127.0.0.1', (error) => (error ? reject(error) : resolve())),
      );

    const NUMBERS = 20_000;
    const truth = { sent: 0, duplicated: 0, bad: 0, lostBeforeUs: 0, strange: 0, refusedReports: 0, framedReports: 0 };
    const withStranger = Buffer.from(vectorBytes('v2-unknown-reptype-in-the-middle'));
    let held: Buffer | undefined;
    for (let sequence = 0; sequence < NUMBERS; sequence++) {
      // The end of a run is clean, so that what is missing is known to be missing.
      const fate = sequence < NUMBERS - 100 ? random() : 1;
      let datagram = good(7, sequence);
      if (fate > 0.6 && fate < 0.65) {
        datagram = Buffer.from(withStranger);
        datagram.writeUInt32BE(((2 << 28) | sequence) >>> 0, 0);
        datagram.writeUInt32BE(7, 4);
      }
      truth.sent++;
      if (fate < 0.05) {
        truth.lostBeforeUs++;
        continue;
      }
      if (fate < 0.08 && held === undefined) {
        held = datagram;
        truth.framedReports += 3;
        continue;
      }
      await send(datagram);
      truth.framedReports += 3;
      if (fate > 0.6 && fate < 0.65) truth.refusedReports++;
      if (held !== undefined) {
        await send(held);
        held = undefined;
      }
      if (fate > 0.1 && fate < 0.15) {
        truth.duplicated++;
        truth.framedReports += 3;
        await send(datagram);
      }
      if (fate > 0.2 && fate < 0.25) {
        truth.bad++;
        const bytes = BAD[truth.bad % BAD.length];
        if (bytes === NETFLOW) truth.strange++;
        await send(bytes);
      }
      // Paced: this test is about counting, not about the kernel's buffer.
      if (sequence % 256 === 255) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const onTheWire = truth.sent + truth.duplicated + truth.bad - truth.lostBeforeUs;
    const metrics = async (): Promise<string> => (await fetch(`${collector.base}/metrics`)).text();
    const text = await until('all datagrams', async () => {
      const now = await metrics();
      const total = metricOf(now, 'hopscope_datagrams_received_total') + metricOf(now, 'hopscope_kernel_dropped_datagrams_total');
      return total >= onTheWire && now;
    });
    socket.close();
    const m = (name: string): number => metricOf(text, name);

    // First identity: nothing between the sender and us is unexplained.
    expect(m('hopscope_datagrams_received_total') + m('hopscope_kernel_dropped_datagrams_total')).toBe(onTheWire);
    // Second: nothing within us is.
    const { decoded, rejected, dropped } = {
      decoded: m('hopscope_datagrams_decoded_total'),
      rejected: m('hopscope_datagrams_rejected_total'),
      dropped: m('hopscope_datagrams_dropped_total'),
    };
    expect(decoded + rejected + dropped).toBe(m('hopscope_datagrams_received_total'));
    expect(dropped).toBe(0);
    expect(m('hopscope_kernel_dropped_datagrams_total')).toBe(0);
    expect(rejected).toBe(truth.bad);
    expect(decoded).toBe(truth.sent + truth.duplicated - truth.lostBeforeUs);
    expect(m('hopscope_datagrams_duplicate_total')).toBe(truth.duplicated);
    expect(m('hopscope_unknown_dialect_datagrams_total{dialect="netflow-v5"}')).toBe(truth.strange);
    // What never came is exactly what the sequence says.
    expect(metricOf(text, 'hopscope_reports_lost_total{node="7",hardware_id="0"}')).toBe(truth.lostBeforeUs);
    // And the reports within good datagrams.
    expect(m('hopscope_reports_framed_total')).toBe(truth.framedReports);
    expect(m('hopscope_reports_decoded_total') + m('hopscope_reports_refused_total')).toBe(truth.framedReports);
    expect(m('hopscope_reports_refused_total')).toBeGreaterThanOrEqual(truth.refusedReports);
    for (const part of [truth.duplicated, truth.bad, truth.lostBeforeUs, truth.refusedReports]) expect(part).toBeGreaterThan(500);
  },
);

it('says what it rejects at most once per reason in ten seconds, with the first bytes', () => {
  const rejections = collector.said.filter((line) => line.startsWith('rejected a datagram from 127.0.0.1'));
  const reasons = rejections.map((line) => /: (E_\w+)/.exec(line)![1]);
  expect(new Set(reasons)).toEqual(new Set(['E_VERSION', 'E_GROUP_SHORT', 'E_REPORT_OVERRUN']));
  expect(rejections.some((line) => line.includes('it begins 2152d687'))).toBe(true);
  expect(reasons.length).toBeLessThanOrEqual(6);
});
