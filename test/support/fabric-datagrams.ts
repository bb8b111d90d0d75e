// The reports of a simulated fabric as datagrams in memory, each with the time at which it leaves its switch.

import { Exporter } from '../../p4-int/fabric/exporter.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { Simulator } from '../../p4-int/fabric/simulator.ts';

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
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const parts: Buffer[] = [header];
  for (const { atNs, node, bytes } of datagrams) {
    const frame = Buffer.alloc(16 + 42);
    const length = 42 + bytes.length;
    frame.writeUInt32LE(startUnixSeconds + Math.floor(atNs / 1e9), 0);
    frame.writeUInt32LE(Math.floor(atNs % 1e9), 4);
    frame.writeUInt32LE(length, 8);
    frame.writeUInt32LE(length, 12);
    frame.writeUInt16BE(0x0800, 16 + 12);
    frame.writeUInt8(0x45, 30);
    frame.writeUInt16BE(28 + bytes.length, 32);
    frame.writeUInt8(64, 38);
    frame.writeUInt8(17, 39);
    frame.writeUInt32BE(0x0a000901 + node, 42);
    frame.writeUInt32BE(0x0a000001, 46);
    frame.writeUInt16BE(32_766, 52);
    frame.writeUInt16BE(8 + bytes.length, 54);
    parts.push(frame, bytes);
  }
  return Buffer.concat(parts);
}
