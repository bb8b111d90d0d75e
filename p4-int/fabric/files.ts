// A run of a scenario as files: its reports as a capture, its truth as JSON lines.

import { closeSync, openSync, writeSync } from 'node:fs';
import { pcapHeader, pcapRecordHeader, udpFrame } from '../wire/pcap.ts';
import { FABRIC_EPOCH_UNIX_NS, FABRIC_EPOCH_UNIX_SECONDS, FabricRun } from './run.ts';
import type { Scenario } from './scenario.ts';
import type { Datagram } from './telemetry/datagram.ts';
import { ClosedLoop } from './truth/closed-loop.ts';
import { PS_PER_NS } from './units.ts';

/** Address of the first switch, 10.0.9.1; the others follow. */
const FIRST_SWITCH_ADDRESS = 0x0a000901;
const REPORT_PORT = 32_766;

export interface FabricFiles {
  scenario: Scenario;
  seed: number;
  pcap?: string;
  truth?: string;
}

/** Runs the scenario to its end and writes what is asked for. Throws what writing throws. */
export function writeFabricFiles({ scenario, seed, pcap, truth }: FabricFiles): FabricRun {
  const capture = pcap === undefined ? undefined : openSync(pcap, 'w');
  if (capture !== undefined) writeSync(capture, pcapHeader());
  const receive = (datagram: Datagram): void => {
    if (capture !== undefined) writeSync(capture, frameOf(datagram));
  };
  const run = new FabricRun({
    scenario,
    seed,
    epochUnixNs: FABRIC_EPOCH_UNIX_NS,
    views: [{ telemetry: scenario.telemetry, receive }],
    withTruth: truth !== undefined,
  });
  try {
    run.finish();
  } finally {
    if (capture !== undefined) closeSync(capture);
  }
  if (truth !== undefined) {
    const file = openSync(truth, 'w');
    const closedLoop = new ClosedLoop(scenario, seed, run.truth!.queues.events);
    for (const line of run.truth!.lines(closedLoop)) writeSync(file, `${line}\n`);
    closeSync(file);
  }
  return run;
}

function frameOf({ node, bytes, arrivesPs }: Datagram): Buffer {
  const octets = udpFrame(bytes, FIRST_SWITCH_ADDRESS + node, REPORT_PORT);
  const seconds = Math.floor(arrivesPs / 1e12);
  const nanoseconds = Math.floor((arrivesPs - seconds * 1e12) / PS_PER_NS);
  return Buffer.concat([pcapRecordHeader({ unixSeconds: FABRIC_EPOCH_UNIX_SECONDS + seconds, nanoseconds, octets }), octets]);
}
