// A switch's telemetry for a queue of the kernel: node queue-monitor.ts DEVICE RATE-BYTES COLLECTOR-PORT FLOW... ; each FLOW is INTERFACE,SOURCE,DESTINATION,PORT,BYTES
// Fifty times a second it reads how much waits in DEVICE's queue and how many packets each flow's interface brought, and sends a postcard for each of
// them: what is told is measured, and written with the fabric's own report writer.

import { createSocket } from 'node:dgram';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { PacketHead } from '../../p4-int/wire/packet-head.ts';
import { packetOffset, writeGroupHeader, writeReport } from '../../p4-int/wire/report-v20.ts';

const NODE_ID = 101;
const EGRESS_INTERFACE = 9;
const QUIET_INTERFACE = 8;
const TICK_MS = 20;
/** Reports of one tick and flow: more packets than this share them. */
const MOST_PER_TICK = 12;

const [device, rate, port, ...flows] = process.argv.slice(2);
const heads = flows.map((text, i) => {
  const [name, source, destination, destinationPort, bytes] = text.split(',');
  const head = new PacketHead([
    { kind: 'ethernet', source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
    { kind: 'ipv4', source, destination },
    { kind: 'udp', sourcePort: 7000 + i, destinationPort: Number(destinationPort) },
  ]);
  return { name, head, interfaceId: i + 1, bytes: Number(bytes), packets: -1 };
});

const socket = createSocket('udp4');
const datagram = Buffer.alloc(256);
let sequence = 0;

function waiting(): number {
  const text = execFileSync('tc', ['-s', 'qdisc', 'show', 'dev', device], { encoding: 'utf8' });
  const [, amount, unit] = /backlog (\d+)(K?)b/.exec(text) ?? [];
  return Number(amount ?? 0) * (unit === 'K' ? 1024 : 1);
}

function packetsIn(name: string): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith(`${name}:`));
  return Number(line?.trim().split(/[:\s]+/)[2] ?? 0);
}

function tell(flow: (typeof heads)[number], egressInterfaceId: number, depthBytes: number): void {
  const latencyNs = Math.min(0xffff_ffff, Math.round((depthBytes / Number(rate)) * 1e9) + 1000);
  const egressNs = process.hrtime.bigint();
  const ingressNs = egressNs - BigInt(latencyNs);
  const words = (ns: bigint): [number, number] => [Number((ns >> 32n) & 0xffff_ffffn), Number(ns & 0xffff_ffffn)];
  const [[ingressHigh, ingressLow], [egressHigh, egressLow]] = [words(ingressNs), words(egressNs)];
  const report = {
    isCongestedQueue: false,
    isTrackedFlow: true,
    ingressInterfaceId: flow.interfaceId,
    egressInterfaceId,
    queueId: 0,
    queueOccupancy: depthBytes,
    hopLatency: latencyNs,
    ingressHigh,
    ingressLow,
    egressHigh,
    egressLow,
    dropReason: -1,
  };
  const at = writeGroupHeader(datagram, NODE_ID, 0, sequence++);
  const fields = {
    lengthBytes: flow.bytes,
    ttl: 62,
    ecn: 0,
    identification: sequence & 0xffff,
    tcpSequence: 0,
    tcpAcknowledgment: 0,
    tcpFlags: 0,
  };
  const octets = flow.head.write(datagram, packetOffset(at, report), fields, 64);
  const end = writeReport(datagram, at, report, octets);
  socket.send(Buffer.from(datagram.subarray(0, end)), Number(port), '127.0.0.1');
}

setInterval(() => {
  const depth = waiting();
  for (const flow of heads) {
    const now = packetsIn(flow.name);
    const fresh = flow.packets < 0 ? 0 : now - flow.packets;
    flow.packets = now;
    for (let i = 0; i < Math.min(MOST_PER_TICK, fresh); i++) tell(flow, EGRESS_INTERFACE, depth);
  }
  // Another queue, which is calm.
  tell(heads[0], QUIET_INTERFACE, 0);
}, TICK_MS);
console.log('monitoring');
