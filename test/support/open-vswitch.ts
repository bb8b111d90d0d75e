// A real sFlow agent for tests: Open vSwitch in user space, found on the machine or unpacked from Debian's packages, between two hosts,
// and traffic between them. The switch and each host have a network namespace of their own. The switch sends its datagrams from
// 198.18.5.1 to 198.18.5.2, over a pair of virtual Ethernet ports into the namespace of the test.
//
//     left 10.0.1.1  fd00:1::1  ----------- left0 [A] right0 -------------------------------- right 10.0.1.2  fd00:1::2
//     left 10.0.20.1 fd00:20::1 -- vlan 20  left1 [A] trunkA == tagged == trunkB [B] right1 -- right 10.0.20.2 fd00:20::2
//
// Only bridge A samples, and what comes in: from the right host in VLAN 20 packets have their tag, from the left one not yet.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentOf, unpacked } from './debian.ts';
import {
  namespacesMissing,
  output,
  ready,
  receiverCommand,
  senderCommand,
  startApart,
  startBound,
  type Apart,
} from './namespaces.ts';
import type { Running } from './processes.ts';

/** Where its datagrams come from. */
export const EXPORTER_ADDRESS = '198.18.5.1';
/** Where they go: an address of this machine only while it runs, so listen on 0.0.0.0. */
export const COLLECTOR_ADDRESS = '198.18.5.2';

export interface OpenVswitchOptions {
  /** UDP port on `COLLECTOR_ADDRESS`. */
  collectorPort: number;
  /** The agent address in its datagrams; need not be its own. */
  agent?: string;
  /** One packet in so many is sampled, by chance; 1: every one. */
  sampling?: number;
  /** Seconds between two counter samples of a port. */
  pollingS?: number;
  /** Octets of a sampled packet that are exported at most. */
  headerBytes?: number;
}

export interface OpenVswitch {
  /** As `ovs-vswitchd --version` says it. */
  version: string;
  agent: string;
  /** What its samples call their sources, inputs and outputs. */
  ifIndexes: Record<PortName, number>;
  /** Sends all of `FLOWS` once, at the same time; back when they are sent, after a quarter of a second. */
  sendTraffic(): Promise<void>;
  stop(): Promise<void>;
}

/** Ports of bridge A. */
export type PortName = 'left0' | 'left1' | 'right0' | 'trunkA';

export interface Flow {
  protocol: 'tcp' | 'udp' | 'icmp' | 'icmp6';
  vlan?: number;
  source: string;
  destination: string;
  destinationPort?: number;
  dscp: number;
  /** Datagrams, echo requests, or writes into the one connection, 2 ms apart. */
  count: number;
  payloadBytes: number;
}

const TCP_PORT = 5001;
const UDP_PORT = 5002;
const VLAN = 20;
const EXPEDITED_FORWARDING = 46;

/** What one call of `sendTraffic` sends; TCP is acknowledged and echo requests are answered, nothing else comes back. */
export const FLOWS: readonly Flow[] = [
  { source: '10.0.1.1', destination: '10.0.1.2' },
  { source: 'fd00:1::1', destination: 'fd00:1::2' },
  { source: '10.0.20.1', destination: '10.0.20.2', vlan: VLAN },
  { source: 'fd00:20::1', destination: 'fd00:20::2', vlan: VLAN },
].flatMap((ends): Flow[] => [
  { ...ends, protocol: 'tcp', destinationPort: TCP_PORT, dscp: 0, count: 40, payloadBytes: 1400 },
  { ...ends, protocol: 'udp', destinationPort: UDP_PORT, dscp: 0, count: 40, payloadBytes: 500 },
  { ...ends, protocol: ends.source.includes(':') ? 'icmp6' : 'icmp', dscp: EXPEDITED_FORWARDING, count: 20, payloadBytes: 56 },
]);

/** Open vSwitch, what else is needed to make the network, and the libraries of both. */
const PACKAGES = [
  'openvswitch-switch',
  'openvswitch-common',
  'libbpf1',
  'libcap-ng0',
  'libelf1',
  'libevent-2.1-7',
  'libgmp10',
  'libhogweed6',
  'libnettle8',
  'libnuma1',
  'libssl3',
  'libunbound8',
  'libxdp1',
  'zlib1g',
  'ethtool',
  'libmnl0',
  'iputils-ping',
  'libcap2',
  'libidn2-0',
  'libunistring2',
];

const PROGRAMS = ['ovsdb-tool', 'ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ethtool', 'ping'] as const;
const SCHEMA = 'usr/share/openvswitch/vswitch.ovsschema';

interface Tools {
  programs: Record<(typeof PROGRAMS)[number], string>;
  schema: string;
  env: NodeJS.ProcessEnv;
}

/** Why it cannot run here; undefined where it can. The first call may have to fetch packages. */
export function openVswitchMissing(): string | undefined {
  const missing = namespacesMissing();
  if (missing !== undefined) return `Open vSwitch: ${missing}`;
  if (!existsSync('/dev/net/tun')) return 'Open vSwitch: needs /dev/net/tun';
  return tools() === undefined ? "Open vSwitch: not found and not unpacked from Debian's packages" : undefined;
}

/** Starts it, with its ports up and sFlow on; throws where `openVswitchMissing` gives a reason. */
export async function startOpenVswitch(options: OpenVswitchOptions): Promise<OpenVswitch> {
  const missing = openVswitchMissing();
  const found = tools();
  if (missing !== undefined || found === undefined) throw new Error(missing);
  const { collectorPort, agent = EXPORTER_ADDRESS, sampling = 4, pollingS = 1, headerBytes = 128 } = options;
  const { programs, schema } = found;

  const folder = mkdtempSync(join(tmpdir(), 'ovs-'));
  const env = { ...found.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
  const [databaseFile, socket] = [join(folder, 'conf.db'), join(folder, 'db.sock')];
  const ip = (words: string): Promise<string> => output('ip', words.split(' '), env);
  const started: Running[] = [];
  let collectorLink: string | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((running) => running.stop('SIGKILL')));
    // It goes with the switch's namespace, but only some time after.
    if (collectorLink !== undefined) await ip(`link del ${collectorLink}`).catch(() => '');
    rmSync(folder, { recursive: true, force: true });
  };
  const bound = (command: string[]): Running => {
    const running = startBound(command, env);
    started.push(running);
    return running;
  };
  const apart = async (command: string[]): Promise<Apart> => {
    const one = await startApart(command, env);
    started.push(one.running);
    return one;
  };

  /** Otherwise checksums are left to hardware that is not there, and a switch in user space passes packets on without. */
  const sumsInSoftware = (where: Apart, name: string): Promise<string> => where.run([programs.ethtool, '-K', name, 'tx', 'off']);

  try {
    await output(programs['ovsdb-tool'], ['create', databaseFile, schema], env);
    const server = bound([programs['ovsdb-server'], databaseFile, `--remote=punix:${socket}`]);
    await ready(server, () => existsSync(socket));
    const vsctl = (words: string[]): Promise<string> =>
      output(programs['ovs-vsctl'], [`--db=unix:${socket}`, '--timeout=20', ...words], env);
    await vsctl(['--no-wait', 'init']);

    const [bridges, left, right] = await Promise.all([
      apart([programs['ovs-vswitchd'], `unix:${socket}`]),
      apart(['sleep', 'infinity']),
      apart(receiverCommand(TCP_PORT, UDP_PORT)),
    ]);
    await ready(right.running, () => right.running.output().includes('listening'));

    collectorLink = `ovs-${bridges.pid}`;
    await bridges.ip(`link add sflow type veth peer name ${collectorLink} netns ${process.pid}`);
    await sumsInSoftware(bridges, 'sflow');
    await bridges.ip(`addr add ${EXPORTER_ADDRESS}/30 dev sflow`);
    await bridges.ip('link set sflow addrgenmode none up');
    await ip(`addr add ${COLLECTOR_ADDRESS}/30 dev ${collectorLink}`);
    await ip(`link set ${collectorLink} addrgenmode none up`);

    await bridges.ip('link add trunkA type veth peer name trunkB');
    for (const end of ['trunkA', 'trunkB']) await bridges.ip(`link set ${end} addrgenmode none up`);
    const connect = async (name: string, host: Apart, hardware: string, addresses: string[]): Promise<void> => {
      await bridges.ip(`link add ${name} type veth peer name ${name} address ${hardware} netns ${host.pid}`);
      await sumsInSoftware(host, name);
      for (const end of [bridges, host]) await end.ip(`link set ${name} addrgenmode none up`);
      for (const address of addresses) await host.ip(`addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`);
    };
    await connect('left0', left, '02:00:00:00:01:01', ['10.0.1.1/24', 'fd00:1::1/64']);
    await connect('right0', right, '02:00:00:00:01:02', ['10.0.1.2/24', 'fd00:1::2/64']);
    await connect('left1', left, '02:00:00:00:20:01', ['10.0.20.1/24', 'fd00:20::1/64']);
    await connect('right1', right, '02:00:00:00:20:02', ['10.0.20.2/24', 'fd00:20::2/64']);

    // All in one transaction, and back when the switch has done it.
    const bridge = (name: string): string => `-- add-br ${name} -- set bridge ${name} datapath_type=netdev`;
    const settings = `sampling=${sampling} polling=${pollingS} header=${headerBytes}`;
    const commands = [
      `${bridge('A')} -- add-port A left0 vlan_mode=access -- add-port A right0 vlan_mode=access`,
      `-- add-port A left1 tag=${VLAN} -- add-port A trunkA trunks=${VLAN}`,
      `${bridge('B')} -- add-port B right1 tag=${VLAN} -- add-port B trunkB trunks=${VLAN}`,
      `-- --id=@sflow create sflow agent="${agent}" target="${COLLECTOR_ADDRESS}:${collectorPort}" ${settings}`,
      '-- set bridge A sflow=@sflow',
    ];
    await vsctl(commands.join(' ').split(' ')).catch((cause: unknown) => {
      throw new Error(bridges.running.output(), { cause });
    });

    const links = JSON.parse(await bridges.ip('-json link')) as { ifname: string; ifindex: number }[];
    const ifIndexOf = (name: PortName): number => links.find(({ ifname }) => ifname === name)?.ifindex ?? 0;
    return {
      version: (await output(programs['ovs-vswitchd'], ['--version'], env)).split('\n')[0],
      agent,
      ifIndexes: {
        left0: ifIndexOf('left0'),
        left1: ifIndexOf('left1'),
        right0: ifIndexOf('right0'),
        trunkA: ifIndexOf('trunkA'),
      },
      sendTraffic: async () => {
        await Promise.all(FLOWS.map((flow) => left.run(senderOf(flow, programs.ping))));
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function senderOf(flow: Flow, ping: string): string[] {
  const { protocol, count, payloadBytes, dscp, destination } = flow;
  if (protocol === 'tcp' || protocol === 'udp')
    return senderCommand({ ...flow, protocol, destinationPort: flow.destinationPort! });
  return [ping, '-q', '-i', '0.002', ...['-c', count, '-s', payloadBytes, '-Q', dscp << 2].map(String), destination];
}

let known: Tools | undefined;

/** Everything from the machine, or everything unpacked: its programs need their own libraries. */
function tools(): Tools | undefined {
  known ??= toolsIn('/');
  if (known === undefined) {
    const root = unpacked(PACKAGES);
    if (root !== undefined) known = toolsIn(root);
  }
  return known;
}

function toolsIn(root: string): Tools | undefined {
  const folders = ['usr/bin', 'usr/sbin', 'bin', 'sbin', 'usr/lib/openvswitch-switch'];
  const paths = PROGRAMS.map((name) => folders.map((folder) => join(root, folder, name)).find((path) => existsSync(path)));
  const schema = join(root, SCHEMA);
  if (!existsSync(schema) || paths.includes(undefined)) return undefined;
  const programs = Object.fromEntries(PROGRAMS.map((name, at) => [name, paths[at]])) as Tools['programs'];
  if (root === '/') return { programs, schema, env: process.env };
  return { programs, schema, env: environmentOf(root) };
}
