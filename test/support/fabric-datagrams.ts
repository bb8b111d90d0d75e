// Datagrams of a simulated fabric without a socket: as a list, or as a capture.

import { FabricRun } from '../../p4-int/fabric/run.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';
import { PS_PER_NS } from '../../p4-int/fabric/units.ts';
import { pcapFile, udpFrame } from '../../p4-int/wire/pcap.ts';

export interface FabricDatagram {
  atNs: number;
  node: number;
  bytes: Buffer;
}

/** Wall-clock time at fabric time 0. */
export const FABRIC_EPOCH_UNIX_MS = Date.parse('2026-11-24T10:00:00Z');

/** Everything that the fabric sends until `untilNs`, in order. */
export function fabricDatagrams(scenario: Scenario, seed: number, untilNs: number): FabricDatagram[] {
  const datagrams: FabricDatagram[] = [];
  const run = new FabricRun({
    scenario: { ...scenario, duration: untilNs * PS_PER_NS },
    seed,
    epochUnixNs: BigInt(FABRIC_EPOCH_UNIX_MS) * 1_000_000n,
    views: [
      {
        telemetry: scenario.telemetry,
        receive: ({ arrivesPs, node, bytes }) => void datagrams.push({ atNs: Math.floor(arrivesPs / PS_PER_NS), node, bytes }),
      },
    ],
  });
  run.finish();
  return datagrams;
}

/** The datagrams as a pcap file with nanoseconds: Ethernet, IPv4 from 10.0.9.<node + 1>, UDP to port 32766. */
export function pcapOf(datagrams: readonly FabricDatagram[], startUnixSeconds = FABRIC_EPOCH_UNIX_MS / 1000): Buffer {
  return pcapFile(
    datagrams.map(({ atNs, node, bytes }) => ({
      unixSeconds: startUnixSeconds + Math.floor(atNs / 1e9),
      nanoseconds: Math.floor(atNs % 1e9),
      octets: udpFrame(bytes, 0x0a000901 + node, 32_766),
    })),
  );
}
