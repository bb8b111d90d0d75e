// A leaf–spine of real P4 switches for tests: simple_switch_grpc, where it is on the path, in one network namespace, and hosts in their own.
//
//   h1 10.0.1.11 ─1┐        ┌11── spine-1 ──11┐        ┌1─ h3 10.0.2.11
//                  leaf-1 ──┤                 ├── leaf-2
//   h2 10.0.1.12 ─2┘        └12── spine-2 ──12┘        └2─ h4 10.0.2.12
//
// A spine's interface 1 leads to leaf-1, 2 to leaf-2. Interface 9 of each switch leads to the collector, 10.99.0.1, in a namespace of its
// own. IPv6 is fd00:1::11 and so on. Each switch writes what comes in and goes out of every interface into pcap files.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSwitchCommand } from '../../collector/switch-command.ts';
import { environmentOf, unpacked } from './debian.ts';
import { linesOf } from './decoding.ts';
import { namespacesMissing, ready, senderCommand, startApart, type Apart, type Sending } from './namespaces.ts';
import { freePorts, until, type Running } from './processes.ts';

export const SWITCHES = ['leaf-1', 'leaf-2', 'spine-1', 'spine-2'] as const;
export type SwitchName = (typeof SWITCHES)[number];
export const HOSTS = ['h1', 'h2', 'h3', 'h4'] as const;
export type HostName = (typeof HOSTS)[number];

export const COLLECTOR_ADDRESS = '10.99.0.1';
export const REPORT_PORT = 32_766;
const REPORT_INTERFACE = 9;
const LEAF_INTERFACES = [1, 2, 11, 12, REPORT_INTERFACE];
const SPINE_INTERFACES = [1, 2, REPORT_INTERFACE];
const COLLECTOR_MAC = '02:00:00:00:00:99';

/** Of a host: the leaf it hangs on, the interface there, its addresses. */
export const HOST: Record<HostName, { leaf: SwitchName; interface: number; address: string; address6: string; mac: string }> = {
  h1: { leaf: 'leaf-1', interface: 1, address: '10.0.1.11', address6: 'fd00:1::11', mac: '02:00:00:00:00:01' },
  h2: { leaf: 'leaf-1', interface: 2, address: '10.0.1.12', address6: 'fd00:1::12', mac: '02:00:00:00:00:02' },
  h3: { leaf: 'leaf-2', interface: 1, address: '10.0.2.11', address6: 'fd00:2::11', mac: '02:00:00:00:00:03' },
  h4: { leaf: 'leaf-2', interface: 2, address: '10.0.2.12', address6: 'fd00:2::12', mac: '02:00:00:00:00:04' },
};

/** Node id, and the MAC of all its interfaces. */
export const NODE: Record<SwitchName, { nodeId: number; mac: string }> = {
  'leaf-1': { nodeId: 101, mac: '02:00:00:01:01:00' },
  'leaf-2': { nodeId: 102, mac: '02:00:00:01:02:00' },
  'spine-1': { nodeId: 201, mac: '02:00:00:02:01:00' },
  'spine-2': { nodeId: 202, mac: '02:00:00:02:02:00' },
};

export interface Bmv2Switch {
  name: SwitchName;
  /** Where its P4Runtime server listens: a socket in the file system, which all namespaces see. */
  address: string;
  running: Running;
  /** Packets per second that leave an interface, from each of its queues. */
  setRate(interfaceId: number, packetsPerSecond: number): Promise<void>;
  /** Packets that each queue of an interface holds; at the start so many that none is dropped. */
  setDepth(interfaceId: number, packets: number): Promise<void>;
  /** Ends the process and starts another: it has forgotten everything. */
  restart(): Promise<void>;
  /** The pcap file of what came in or went out of an interface so far. */
  pcap(interfaceId: number, direction: 'in' | 'out'): string;
}

export interface Bmv2Fabric {
  switches: Record<SwitchName, Bmv2Switch>;
  hosts: Record<HostName, Apart>;
  /** The namespace that reports arrive in. */
  collector: Apart;
  /** A file for `hopscope switch`: the whole fabric, with `more` settings merged into each switch. */
  file(more?: MoreSettings): string;
  /** Brings the switches to such a file, and throws what was said where that fails. Gives the file. */
  apply(more?: MoreSettings): Promise<string>;
  send(from: HostName, sending: Sending): Promise<string>;
  /** What comes from now on is what the following two give. */
  mark(): void;
  /** Packets that came in or went out of an interface. */
  frames(name: SwitchName, interfaceId: number, direction: 'in' | 'out'): Packet[];
  /** Reports of a switch, once no more come. */
  reports(name: SwitchName): Promise<Report[]>;
  stop(): Promise<void>;
}

type MoreSettings = Partial<Record<SwitchName | 'all', Record<string, unknown>>>;

/** A report as it left its switch; it was decoded strictly, and is one alone. */
export interface Report {
  /** As `hopscope decode` prints it. */
  line: any;
  frame: Buffer;
  /** The part of the packet that it carries. */
  fragment: Buffer;
}

/** Ethernet, IPv4, UDP. */
const REPORT_HEADERS_BYTES = 42;

/** Why it cannot run here; undefined where it can. */
export function bmv2Missing(): string | undefined {
  try {
    execFileSync('simple_switch_grpc', ['--version'], { stdio: 'pipe' });
  } catch {
    return 'BMv2: simple_switch_grpc is not on the path';
  }
  const missing = namespacesMissing();
  return missing === undefined ? undefined : `BMv2: ${missing}`;
}

/** Four switches without a program, and hosts that wait. */
export async function startBmv2Fabric(switchOptions: readonly string[] = []): Promise<Bmv2Fabric> {
  const root = unpacked(['ethtool', 'libmnl0']);
  if (root === undefined) throw new Error("BMv2: ethtool cannot be unpacked from Debian's packages");
  const ethtool = join(root, 'sbin/ethtool');
  const env = { ...environmentOf(root), PATH: process.env.PATH };
  const unlock = await lockMachine();
  const folder = mkdtempSync(join(tmpdir(), 'bmv2-'));
  const started: Apart[] = [];
  const switches = {} as Record<SwitchName, Bmv2Switch>;
  const stop = async (): Promise<void> => {
    const all = [...Object.values(switches), ...started].map(({ running }) => running);
    await Promise.all(all.map((running) => running.stop('SIGKILL')));
    unlock();
    rmSync(folder, { recursive: true, force: true });
  };
  const apart = async (): Promise<Apart> => {
    const one = await startApart(['sleep', 'infinity'], env);
    started.push(one);
    return one;
  };
  try {
    const [fabric, collector, ...hostSpaces] = await Promise.all(Array.from({ length: 2 + HOSTS.length }, apart));
    const hosts = Object.fromEntries(HOSTS.map((name, i) => [name, hostSpaces[i]])) as Record<HostName, Apart>;
    const namespaces = [fabric, collector, ...hostSpaces];
    await Promise.all(namespaces.map((one) => one.ip('link set lo up')));
    const up = (one: Apart, name: string) => one.ip(`link set ${name} addrgenmode none up`);
    for (const name of HOSTS) {
      const { leaf, interface: id, address, address6, mac } = HOST[name];
      const host = hosts[name];
      await fabric.ip(`link add ${leaf}-${id} type veth peer name eth0 address ${mac} netns ${host.pid}`);
      // Segments as large as the wire has them, with checksums that are right.
      await host.run([ethtool, '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off']);
      await Promise.all([up(fabric, `${leaf}-${id}`), up(host, 'eth0')]);
      await host.ip(`addr add ${address}/24 dev eth0`);
      await host.ip(`addr add ${address6}/64 dev eth0 nodad`);
      const [gateway, gateway6] = [address, address6].map((text) => text.replace(/\d\d$/, '1'));
      // The switch answers ARP, and has no answer to IPv6's way of asking. Neighbours on the same leaf are reached through it as well.
      await host.ip(`route replace default via ${gateway}`);
      await host.ip(`-6 neigh replace ${gateway6} lladdr ${NODE[leaf].mac} dev eth0`);
      await host.ip(`-6 route replace default via ${gateway6}`);
    }
    for (const [leaf, atSpine] of [
      ['leaf-1', 1],
      ['leaf-2', 2],
    ] as const) {
      for (const [spine, atLeaf] of [
        ['spine-1', 11],
        ['spine-2', 12],
      ] as const) {
        await fabric.ip(`link add ${leaf}-${atLeaf} type veth peer name ${spine}-${atSpine}`);
        await Promise.all([up(fabric, `${leaf}-${atLeaf}`), up(fabric, `${spine}-${atSpine}`)]);
      }
    }
    await collector.ip(`addr add ${COLLECTOR_ADDRESS}/32 dev lo`);
    for (const name of SWITCHES) {
      const link = `${name}-${REPORT_INTERFACE}`;
      await fabric.ip(`link add ${link} type veth peer name ${name} address ${COLLECTOR_MAC} netns ${collector.pid}`);
      await Promise.all([up(fabric, link), up(collector, name)]);
      // Reports come from addresses that no route leads back to.
      await collector.run([
        'sh',
        '-c',
        `echo 0 > /proc/sys/net/ipv4/conf/${name}/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter`,
      ]);
      switches[name] = await startSwitch(name, fabric, folder, switchOptions);
    }
    return { switches, hosts, collector, ...handlesOf(switches, hosts, folder), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Four switches are enough for two cores: whoever comes second waits. The name is the kernel's, and goes with the process. */
async function lockMachine(): Promise<() => void> {
  const attempt = () =>
    new Promise<Server | undefined>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(undefined));
      server.listen('\0hopscope-bmv2', () => resolve(server));
    });
  const server = await until('the other switches', attempt, 150_000);
  return () => server.close();
}

function handlesOf(switches: Record<SwitchName, Bmv2Switch>, hosts: Record<HostName, Apart>, folder: string) {
  const seen = new Map<string, number>();
  const interfacesOf = (name: SwitchName) => (name.startsWith('leaf') ? LEAF_INTERFACES : SPINE_INTERFACES);
  const all = (name: SwitchName, id: number, way: 'in' | 'out'): Packet[] =>
    interfacesOf(name).includes(id) ? packetsOf(switches[name].pcap(id, way)) : [];
  const frames: Bmv2Fabric['frames'] = (name, id, way) => all(name, id, way).slice(seen.get(`${name} ${id} ${way}`) ?? 0);
  const file = (more: MoreSettings = {}): string => writeFile(join(folder, 'fabric.yaml'), switches, more);
  return {
    file,
    apply: async (more?: MoreSettings): Promise<string> => {
      const told: string[] = [];
      const path = file(more);
      if (!(await runSwitchCommand('apply', path, {}, (text) => told.push(text)))) throw new Error(told.join('\n'));
      return path;
    },
    send: (from: HostName, sending: Sending) => hosts[from].run(senderCommand(sending)),
    mark: (): void => {
      for (const name of SWITCHES) {
        for (const id of interfacesOf(name)) {
          for (const way of ['in', 'out'] as const) seen.set(`${name} ${id} ${way}`, all(name, id, way).length);
        }
      }
    },
    frames,
    reports: async (name: SwitchName): Promise<Report[]> => {
      for (let before = -1, now = 0; before !== now; before = now, now = frames(name, REPORT_INTERFACE, 'out').length) {
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      return frames(name, REPORT_INTERFACE, 'out').map(({ bytes }) => reportOf(bytes));
    },
  };
}

function reportOf(frame: Buffer): Report {
  const payload = frame.subarray(REPORT_HEADERS_BYTES);
  const lines = linesOf(payload, { strict: true });
  if (lines.length !== 1 || lines[0].error !== undefined)
    throw new Error(`no report: ${JSON.stringify(lines)} ${frame.toString('hex')}`);
  const metadataBytes = lines[0].dialect === 'report-v2.0' ? 8 + 4 + 8 + 4 * payload[8 + 2] : lines[0].dropped ? 24 : 28;
  return { line: lines[0], frame, fragment: payload.subarray(metadataBytes) };
}

async function startSwitch(name: SwitchName, fabric: Apart, folder: string, more: readonly string[]): Promise<Bmv2Switch> {
  const interfaces = name.startsWith('leaf') ? LEAF_INTERFACES : SPINE_INTERFACES;
  const socket = join(folder, `${name}.socket`);
  const pcapFolder = join(folder, name);
  execFileSync('mkdir', ['-p', pcapFolder]);
  // The Thrift server is in the namespace; its port is only free here, which serves to keep the four apart.
  const [thriftPort] = await freePorts(1);
  const launch = (): Running =>
    fabric.start([
      ...['simple_switch_grpc', '--device-id', '1', '--no-p4', '--log-file', join(folder, name), '--log-level', 'warn'],
      ...interfaces.flatMap((id) => ['--interface', `${id}@${name}-${id}`]),
      ...[`--pcap=${pcapFolder}`, '--thrift-port', String(thriftPort)],
      ...['--', '--grpc-server-addr', `unix:${socket}`, '--cpu-port', '510', '--priority-queues', '8', ...more],
    ]);
  const call = async (method: string, ...args: [number, string][]): Promise<void> => {
    await fabric.run([process.execPath, '--eval', CALL, String(thriftPort), method, ...args.flat().map(String)]);
  };
  const begin = async (): Promise<void> => {
    await isListening(one.running, socket);
    await until('the Thrift server', () => call('set_all_egress_queue_depths', [DEEP_PACKETS, I32]).then(() => true));
  };
  const one: Bmv2Switch = {
    name,
    address: `unix:${socket}`,
    running: launch(),
    setRate: (interfaceId, rate) => call('set_egress_queue_rate', [interfaceId, I32], [rate, I64]),
    setDepth: (interfaceId, packets) => call('set_egress_queue_depth', [interfaceId, I32], [packets, I32]),
    restart: async () => {
      await one.running.stop('SIGKILL');
      rmSync(socket, { force: true });
      one.running = launch();
      await begin();
    },
    pcap: (interfaceId, direction) => join(pcapFolder, `${name}-${interfaceId}_${direction}.pcap`),
  };
  await begin();
  return one;
}

function isListening(running: Running, socket: string): Promise<void> {
  const probe = () =>
    new Promise<boolean>((resolve) => {
      const attempt = connect(socket, () => resolve(true));
      attempt.once('error', () => resolve(false)).once('connect', () => attempt.destroy());
    });
  return ready(running, probe);
}

/** The whole fabric as a file of switches; JSON is YAML. */
function writeFile(path: string, switches: Record<SwitchName, Bmv2Switch>, more: MoreSettings): string {
  const hosts = Object.values(HOST);
  const prefixes = { 'leaf-1': ['10.0.1.0/24', 'fd00:1::/64'], 'leaf-2': ['10.0.2.0/24', 'fd00:2::/64'] };
  const entries = SWITCHES.map((name, i) => {
    const isLeaf = name.startsWith('leaf');
    const own = hosts.map((host, h) => ({ ...host, name: HOSTS[h] })).filter(({ leaf }) => leaf === name);
    const spines = {
      'spine-1': { interface: 11, mac: NODE['spine-1'].mac },
      'spine-2': { interface: 12, mac: NODE['spine-2'].mac },
    };
    const leaves = { 'leaf-1': { interface: 1, mac: NODE['leaf-1'].mac }, 'leaf-2': { interface: 2, mac: NODE['leaf-2'].mac } };
    const ofHosts = Object.fromEntries(own.map((host) => [host.name, { interface: host.interface, mac: host.mac }]));
    const toHosts = Object.fromEntries(own.flatMap((host) => [host.address, host.address6].map((to) => [to, host.name])));
    const others = Object.entries(prefixes).filter(([leaf]) => leaf !== name);
    const toLeaves = Object.fromEntries(
      others.flatMap(([leaf, list]) => list.map((to) => [to, isLeaf ? ['spine-1', 'spine-2'] : leaf])),
    );
    const settings = {
      address: switches[name].address,
      ...NODE[name],
      nexthops: isLeaf ? { ...ofHosts, ...spines } : leaves,
      gateways: isLeaf ? [name === 'leaf-1' ? '10.0.1.1' : '10.0.2.1'] : [],
      routes: { ...toHosts, ...toLeaves },
      watch: [{ flows: {} }],
      report: { interface: REPORT_INTERFACE, collector: COLLECTOR_ADDRESS, mac: COLLECTOR_MAC, from: `10.99.0.${11 + i}` },
      ...more.all,
      ...more[name],
    };
    return [name, settings] as const;
  });
  writeFileSync(path, JSON.stringify({ switches: Object.fromEntries(entries) }, undefined, 2));
  return path;
}

/** Types of arguments by their number in Thrift. */
const [I32, I64] = ['8', '10'];
const DEEP_PACKETS = 10_000;

/** One call of BMv2's Thrift service (targets/simple_switch/thrift/simple_switch.thrift), binary protocol, multiplexed. */
const CALL = `
const [port, method, ...args] = process.argv.slice(1);
const name = Buffer.from('simple_switch:' + method);
const head = Buffer.alloc(8);
head.writeUInt32BE(0x80010001, 0);
head.writeUInt32BE(name.length, 4);
const fields = [];
for (let i = 0; i < args.length; i += 2) {
  const [value, type] = [Number(args[i]), Number(args[i + 1])];
  const field = Buffer.alloc(type === ${I64} ? 11 : 7);
  field.writeUInt8(type, 0);
  field.writeInt16BE(1 + i / 2, 1);
  if (type === ${I64}) field.writeBigInt64BE(BigInt(value), 3);
  else field.writeInt32BE(value, 3);
  fields.push(field);
}
const message = Buffer.concat([head, name, Buffer.from([0, 0, 0, 1]), ...fields, Buffer.from([0])]);
const socket = require('node:net').connect(Number(port), '127.0.0.1', () => socket.write(message));
socket.once('data', (reply) => {
  // Version and type: 2 is a reply, 3 an exception.
  if (reply.readUInt32BE(0) !== 0x80010002) throw new Error('Thrift: ' + reply.toString('latin1'));
  socket.destroy();
});
`;

export interface Packet {
  timeNs: bigint;
  bytes: Buffer;
}

/** The packets of a pcap file (microseconds, little endian, as BMv2 writes it). */
export function packetsOf(path: string): Packet[] {
  const file = readFileSync(path);
  // Nothing at all is written before the first packet.
  if (file.length > 0 && file.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error(`${path}: not such a pcap file`);
  const packets: Packet[] = [];
  for (let o = 24; o + 16 <= file.length;) {
    const length = file.readUInt32LE(o + 8);
    if (o + 16 + length > file.length) break;
    const timeNs = BigInt(file.readUInt32LE(o)) * 1_000_000_000n + BigInt(file.readUInt32LE(o + 4)) * 1000n;
    packets.push({ timeNs, bytes: file.subarray(o + 16, o + 16 + length) });
    o += 16 + length;
  }
  return packets;
}
