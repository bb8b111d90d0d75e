// Records the captures of our own programs in test/fixtures: `node test/bench/record-bmv2.ts`, where BMv2 is on the path. Beside each
// capture it writes what a decoder must get out of it, read at the fixed places of the one layout that the program writes, and the
// packet as it was on the wire: nothing of the collector has a part in it but the reader of switch files.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pcapHeader, pcapRecordHeader } from '../../p4-int/wire/pcap.ts';
import { HOST, packetsOf, startBmv2Fabric, SWITCHES, type Bmv2Fabric, type Packet } from '../support/bmv2.ts';
import { ready, receiverCommand } from '../support/namespaces.ts';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'captures');
const [TCP_PORT, UDP_PORT] = [5001, 5002];
const SINKS = { sinks: [1, 2] };
const DENY = { deny: [{ protocol: 'udp', destinationPort: 53 }] };

const RECORDINGS = [
  { name: 'int-xd_report-v2.0_hopscope', settings: { 'leaf-1': DENY }, read: readV20 },
  { name: 'int-xd_report-v0.5_hopscope', settings: { all: { program: 'postcards-v0.5' }, 'leaf-1': DENY }, read: readV05 },
  {
    name: 'int-md-v2.1_report-v2.0_hopscope',
    settings: {
      all: { program: 'embedded', watch: [], embedded: {} },
      'leaf-1': {
        embedded: { ...SINKS, sources: [{ flows: { destination: '10.0.2.0/24' } }, { flows: { destination: 'fd00:2::/64' } }] },
      },
      'leaf-2': { embedded: SINKS },
    },
    read: readV20,
  },
];

for (const { name, settings, read } of RECORDINGS) {
  const fabric = await startBmv2Fabric();
  try {
    await fabric.apply(settings);
    await sendAll(fabric);
    const reports = SWITCHES.flatMap((one) => packetsOf(fabric.switches[one].pcap(9, 'out'))).filter(
      ({ bytes }) => !isNeighbourly(bytes),
    );
    reports.sort((a, b) => Number(a.timeNs - b.timeNs));
    writeFileSync(join(FOLDER, `${name}.pcap`), Buffer.concat([pcapHeader(), ...reports.flatMap(recordOf)]));
    const expected = reports.map(({ bytes }) => read(bytes.subarray(42)));
    writeFileSync(join(FOLDER, `${name}.json`), `[\n${expected.map((one) => ` ${JSON.stringify(one)}`).join(',\n')}\n]\n`);
    process.stdout.write(`${name}: ${reports.length} reports\n`);
  } finally {
    await fabric.stop();
  }
}
process.exit(0);

async function sendAll(fabric: Bmv2Fabric): Promise<void> {
  for (const host of ['h2', 'h3', 'h4'] as const) {
    const receiver = fabric.hosts[host].start(receiverCommand(TCP_PORT, UDP_PORT));
    await ready(receiver, () => receiver.output().includes('listening'));
  }
  const [udp, tcp] = [
    { protocol: 'udp', destinationPort: UDP_PORT } as const,
    { protocol: 'tcp', destinationPort: TCP_PORT } as const,
  ];
  await fabric.send('h1', { ...udp, destination: HOST.h3.address, sourcePort: 6001, count: 3, payloadBytes: 333 });
  await fabric.send('h1', { ...udp, destination: HOST.h4.address6, sourcePort: 6002, count: 2, payloadBytes: 50 });
  await fabric.send('h2', { ...tcp, destination: HOST.h3.address, sourcePort: 6003, count: 2, payloadBytes: 700 });
  await fabric.send('h1', {
    ...udp,
    destination: HOST.h3.address,
    destinationPort: 53,
    sourcePort: 6004,
    count: 2,
    payloadBytes: 40,
  });
  await fabric.send('h1', { ...udp, destination: HOST.h3.address, sourcePort: 6005, count: 1, payloadBytes: 40, ttl: 1 });
  await fabric.reports('leaf-1');
}

/** Multicast listener reports and the like: what hosts say to their neighbours, whenever they like. */
function isNeighbourly(frame: Buffer): boolean {
  return frame.includes(Buffer.from('3333', 'hex'), 42);
}

function recordOf({ timeNs, bytes }: Packet): Buffer[] {
  const unixSeconds = Number(timeNs / 1_000_000_000n);
  return [pcapRecordHeader({ unixSeconds, nanoseconds: Number(timeNs % 1_000_000_000n), octets: bytes }), bytes];
}

/** Telemetry Report v2.0 as p4src/report.p4 writes it: group header, individual report, then 7 or 4 words of metadata. */
function readV20(b: Buffer): object {
  const isDropped = b[11] >>> 7 === 1;
  const packet = b.subarray(isDropped ? 36 : 48);
  const local = isDropped
    ? { dropReason: b[33], queueId: b[32] }
    : { hopLatency: b.readUInt32BE(24), queueId: b[28], queueOccupancy: b.readUIntBE(29, 3), egressTimestamp: text(b, 40) };
  return {
    sequenceNumber: b.readUInt32BE(0) & 0x3fffff,
    nodeId: b.readUInt32BE(4),
    ingressInterfaceId: b.readUInt16BE(20),
    egressInterfaceId: orNull(b.readUInt16BE(22)),
    ingressTimestamp: text(b, isDropped ? 24 : 32),
    ...local,
    ...packetOf(packet),
  };
}

/** Telemetry Report v0.5: fixed header of 12 octets, then a drop header of 12 or a switch-local one of 16. */
function readV05(b: Buffer): object {
  const isDropped = (b[0] & 15) === 1;
  const local = isDropped
    ? { dropReason: b[21] }
    : { queueOccupancy: b.readUIntBE(21, 3), egressTimestamp: String(b.readUInt32BE(24)) };
  return {
    sequenceNumber: b.readUInt32BE(4),
    nodeId: b.readUInt32BE(12),
    ingressInterfaceId: b.readUInt16BE(16),
    egressInterfaceId: orNull(b.readUInt16BE(18)),
    queueId: b[20],
    ingressTimestamp: String(b.readUInt32BE(8)),
    ...local,
    ...packetOf(b.subarray(isDropped ? 24 : 28)),
  };
}

function text(b: Buffer, o: number): string {
  return String(b.readBigUInt64BE(o));
}

function orNull(id: number): number | null {
  return id === 0xffff ? null : id;
}

/** Addresses, ports and time to live of the packet, and the hops that INT-MD (all six instructions, 32 octets a hop) tells of it. */
function packetOf(b: Buffer): object {
  const isV4 = b.readUInt16BE(12) === 0x0800;
  const [protocol, ttl, l4] = isV4 ? [b[23], b[22], 34] : [b[20], b[21], 54];
  const address = (o: number): string =>
    isV4
      ? b.subarray(o, o + 4).join('.')
      : b
          .subarray(o, o + 16)
          .toString('hex')
          .match(/.{4}/g)!
          .join(':');
  const dscp = (isV4 ? b[15] : (b.readUInt16BE(14) >>> 4) & 0xff) >>> 2;
  const hops: object[] = [];
  if (dscp === 23) {
    const shim = l4 + (protocol === 6 ? (b[l4 + 12] >>> 4) * 4 : 8);
    for (let o = shim + 16; o < shim + 4 + 4 * b[shim + 1]; o += 32) {
      const [nodeId, ingressInterfaceId, egressInterfaceId] = [b.readUInt32BE(o), b.readUInt16BE(o + 4), b.readUInt16BE(o + 6)];
      const times = { ingressTimestamp: text(b, o + 16), egressTimestamp: text(b, o + 24) };
      hops.push({ nodeId, ingressInterfaceId, egressInterfaceId, hopLatency: b.readUInt32BE(o + 8), ...times });
    }
  }
  return {
    source: address(isV4 ? 26 : 22),
    destination: address(isV4 ? 30 : 38),
    protocol,
    sourcePort: b.readUInt16BE(l4),
    destinationPort: b.readUInt16BE(l4 + 2),
    ttl,
    ...(hops.length > 0 && { hops }),
  };
}
