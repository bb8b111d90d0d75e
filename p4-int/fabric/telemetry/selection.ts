// Which packets a switch reports: everything, or what SD-Fabric's filters let through (stratum/fabric-tna, p4src/tna/include/control/int.p4), or a sample.

import type { Flow } from '../flow.ts';
import { randomStream, type Random } from '../random.ts';
import type { TelemetrySpec } from '../scenario.ts';
import type { Simulator } from '../simulator.ts';

/** Bits of an answer; 0: no report. */
export const Report = { flow: 1, queue: 2, drop: 4 } as const;

const REGISTERS = 65_536;
const CRC16_POLYNOMIAL = 0x8005;
/** Drops are told once per flow and 2^30 ns. */
const DROP_PERIOD_NS = 2 ** 30;

export class Selection {
  readonly #simulator: Simulator;
  readonly #telemetry: TelemetrySpec;
  readonly #flowFilters: DigestFilter[];
  readonly #dropFilters: DigestFilter[];
  /** By port and class: queue reports that may still be sent. */
  readonly #quota: Int32Array;
  readonly #random: Random;
  readonly #sampleBelow: number;
  readonly #unwatched: Set<number>;

  constructor(simulator: Simulator, telemetry: TelemetrySpec) {
    const { topology, scenario, seed } = simulator;
    this.#simulator = simulator;
    this.#telemetry = telemetry;
    this.#flowFilters = Array.from({ length: topology.switches }, () => new DigestFilter());
    this.#dropFilters = Array.from({ length: topology.switches }, () => new DigestFilter());
    this.#quota = new Int32Array(topology.ports * scenario.fabric.classes.length).fill(telemetry.queueReports?.quota ?? 0);
    this.#random = randomStream(seed, 'sampling');
    this.#sampleBelow = 2 ** 32 / telemetry.sampling.oneIn;
    this.#unwatched = new Set(telemetry.unwatched.map((name) => scenario.workloads.findIndex((one) => one.name === name)));
  }

  /** What is reported of a packet that leaves a switch now, after `latencyNs` there. */
  ofPacket(packet: number, latencyNs: number, node: number): number {
    const { packets, scenario } = this.#simulator;
    const { flowReports, queueReports, sampling } = this.#telemetry;
    const flow = packets.flow[packet];
    if (queueReports !== undefined) {
      const q = packets.egressPort[packet] * scenario.fabric.classes.length + packets.queue[packet];
      if (latencyNs * 1000 >= queueReports.trigger) {
        if (this.#quota[q] > 0) {
          this.#quota[q]--;
          // Past all filters: a packet that is watched is both.
          return Report.queue | (this.#isWatched(flow) ? Report.flow : 0);
        }
      } else if (latencyNs * 1000 < queueReports.reset) this.#quota[q] = queueReports.quota;
    }
    if (flowReports === 'none' || !this.#isWatched(flow)) return 0;
    if (flowReports === 'change-filter' && !this.#isChanged(packet, latencyNs, node)) return 0;
    if (sampling.oneIn > 1) {
      // Consistent: by what is the same at every hop (trajectory sampling, Duffield and Grossglauser, 2000).
      const drawn = sampling.kind === 'consistent' ? scattered(packets.serial[packet]) : this.#random() * 2 ** 32;
      if (drawn >= this.#sampleBelow) return 0;
    }
    return Report.flow;
  }

  /** What is reported of a packet that the switch drops now. */
  ofDrop(packet: number, node: number): number {
    const { packets, nowPs } = this.#simulator;
    const { dropReports } = this.#telemetry;
    const flow = packets.flow[packet];
    if (dropReports === 'none' || !this.#isWatched(flow)) return 0;
    if (dropReports === 'every') return Report.drop;
    const digest = crc16([flow.hash >>> 16, flow.hash & 0xffff, Math.floor(nowPs / 1000 / DROP_PERIOD_NS)]);
    return this.#dropFilters[node].passes(flow.hash, digest) ? Report.drop : 0;
  }

  #isWatched(flow: Flow): boolean {
    return !this.#unwatched.has(flow.owner);
  }

  #isChanged(packet: number, latencyNs: number, node: number): boolean {
    const { packets, topology, nowPs } = this.#simulator;
    const { latency, time } = this.#telemetry.changeFilter;
    const flow = packets.flow[packet];
    const quantisedLatency = Math.floor((latencyNs * 1000) / latency);
    const digest = crc16([
      topology.interfaceOf(packets.ingressPort[packet]),
      topology.interfaceOf(packets.egressPort[packet]),
      quantisedLatency >>> 16,
      quantisedLatency & 0xffff,
      flow.hash >>> 16,
      flow.hash & 0xffff,
      Math.floor(nowPs / time) & 0xffff,
    ]);
    return this.#flowFilters[node].passes(flow.hash, digest);
  }
}

/** Two registers of digests, each under one half of the flow's hash: a packet passes when neither has seen its digest last. */
class DigestFilter {
  readonly #first = new Uint16Array(REGISTERS);
  readonly #second = new Uint16Array(REGISTERS);

  passes(hash: number, digest: number): boolean {
    const [a, b] = [hash >>> 16, hash & 0xffff];
    const isKnown = this.#first[a] === digest || this.#second[b] === digest;
    this.#first[a] = this.#second[b] = digest;
    return !isKnown;
  }
}

const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) !== 0 ? ((crc << 1) ^ CRC16_POLYNOMIAL) & 0xffff : (crc << 1) & 0xffff;
  return crc;
});

/** CRC-16 of words of 16 bits. */
function crc16(words: readonly number[]): number {
  let crc = 0;
  for (const word of words) {
    crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[(crc >>> 8) ^ ((word >>> 8) & 0xff)];
    crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[(crc >>> 8) ^ (word & 0xff)];
  }
  return crc;
}

/** A number in [0, 2^32) that looks drawn (splitmix32, after Steele, Lea and Flood, 2014). */
function scattered(serial: number): number {
  let h = (Math.imul(serial, 0x9e3779b9) + 0x85ebca6b) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}
