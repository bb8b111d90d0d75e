// The reports of a simulated fabric as datagrams in memory, each with the time at which it leaves its switch.

import { Exporter } from '../../p4-int/fabric/exporter.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { Simulator } from '../../p4-int/fabric/simulator.ts';
import { pcapFile } from './pcap.ts';

export interface FabricDatagram {
  atNs: number;
  node: number;
  bytes: Buffer;
}

/** Device clocks count from this Unix time. */
export const FABRIC_EPOCH_UNIX_MS = Date.parse('2026-11-24T10:00:00Z');

export function fabricDatagrams(scenario: Scenario, seed: number, untilNs: number): FabricDatagram[] {
  const datagrams: FabricDatagram[] = [];
  const exporter = new Exporter(
    scenario.topology,
    scenario.flows,
    { reportsPerDatagram: 8, epochUnixNs: BigInt(FABRIC_EPOCH_UNIX_MS) * 1_000_000n, clockSpreadNs: 0, seed },
    (bytes, node) => datagrams.push({ atNs: simulator.nowNs, node, bytes: Buffer.from(bytes) }),
  );
  const simulator = new Simulator(scenario.topology, scenario.flows, seed, (hop) => exporter.observe(hop));
  // Groups are flushed as in the live fabric, so that a quiet node is heard of.
  for (let atNs = 20e6; atNs <= untilNs; atNs += 20e6) {
    simulator.run(atNs);
    exporter.flush();
  }
  return datagrams;
}

/** The datagrams as a pcap file with nanoseconds: Ethernet, IPv4 from 10.0.9.<node + 1>, UDP to port 32766. */
export function pcapOf(datagrams: readonly FabricDatagram[], startUnixSeconds = FABRIC_EPOCH_UNIX_MS / 1000): Buffer {
  return pcapFile(
    datagrams.map(({ atNs, node, bytes }) => {
      const head = Buffer.alloc(42);
      head.writeUInt16BE(0x0800, 12);
      head.writeUInt8(0x45, 14);
      head.writeUInt16BE(28 + bytes.length, 16);
      head.writeUInt8(64, 22);
      head.writeUInt8(17, 23);
      head.writeUInt32BE(0x0a000901 + node, 26);
      head.writeUInt32BE(0x0a000001, 30);
      head.writeUInt16BE(32_766, 36);
      head.writeUInt16BE(8 + bytes.length, 38);
      return {
        unixSeconds: startUnixSeconds + Math.floor(atNs / 1e9),
        nanoseconds: Math.floor(atNs % 1e9),
        octets: Buffer.concat([head, bytes]),
      };
    }),
  );
}
