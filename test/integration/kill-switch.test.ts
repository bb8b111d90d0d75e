// The kill switch: by file, signal, command line and API, each while something is broken. What is in force is off within a second or two, and stays off.
// Each way works while nothing is broken, and one of them in turn while something is; MATRIX=full tries them all.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { P4RuntimeDevice } from '../../alerts/remediation/actions/p4runtime.ts';
import type { Lease } from '../../alerts/remediation/change.ts';
import { machineClock } from '../../collector/safe-remediation.ts';
import { SafetyStore } from '../../collector/store/safety.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { freePorts, getJson, start, until, type Running } from '../support/processes.ts';
import { startStrictServer, type StrictServer } from '../support/p4runtime-server.ts';

const CLI = join(import.meta.dirname, '..', '..', 'collector', 'cli.ts');
const FLOW = { source: '10.0.0.1', destination: '10.0.1.1', protocol: 6, destinationPort: 80 };

let server: StrictServer;
let folder: string;
let httpPort: number;
let deadPorts: number[];
let collector: Running | undefined;
const idle: Socket[] = [];
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  server = await startStrictServer();
  [httpPort, ...deadPorts] = await freePorts(3);
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const socket of idle.splice(0)) socket.destroy();
  await collector?.stop('SIGKILL');
  collector = undefined;
  execFileSync('sh', ['-c', `mountpoint -q "${folder}" && umount "${folder}"; true`]);
  rmSync(folder, { recursive: true, force: true });
});

function leaseAt(executor: string, id: string): Lease {
  const clock = machineClock();
  const change = {
    action: 'remark-dscp' as const,
    executor,
    targets: [FLOW],
    value: 8,
    culprit: `analytics/${id}`,
    incidentId: 'inc_1',
    rule: 'r',
    predictedEffect: 0.9,
    leaseMs: 600_000,
  };
  const now = clock.unixMs();
  return {
    id,
    generation: 1,
    change,
    state: 'active',
    createdUnixMs: now,
    expiresUnixMs: now + 600_000,
    expiresBootMs: clock.bootMs() + 600_000,
    bootId: clock.bootId,
    reapplied: 0,
    renewed: 0,
  };
}

/** A lease in force on the switch, and a collector that has taken it up. */
async function begin(changes: object = {}, leases = [leaseAt('leaf-1', 'aaaa1111')]): Promise<void> {
  const store = new SafetyStore(path('safety.db'));
  const electionId = 1_000_000n + 2n * BigInt(store.next('start', Math.floor(Date.now() / 1000) - 5));
  for (const lease of leases) store.put('lease', lease.id, lease);
  store.close();
  const target = {
    name: 'leaf-1',
    address: server.address,
    deviceId: 1n,
    role: 'hopscope-remediation',
    electionId,
    timeoutMs: 3000,
  };
  // Each beginning has a switch that has seen no election yet.
  await server.restart();
  const client = new SwitchClient(target);
  const shipped = shippedProgram('postcards');
  await client.lead();
  await client.setPipeline(shipped.program.info, shipped.deviceConfig, shipped.cookie);
  await new P4RuntimeDevice(client, shipped).apply(leases[0], 600_000);
  client.close();
  const switches = {
    'leaf-1': { address: server.address, nodeId: 101, mac: '02:00:00:00:01:01' },
    'leaf-2': { address: `127.0.0.1:${deadPorts[0]}`, nodeId: 102, mac: '02:00:00:00:01:02' },
  };
  writeFileSync(path('switches.yaml'), JSON.stringify({ switches }));
  const rule = { name: 'r', action: 'remark-dscp', value: 8, switches: ['leaf-1'], namespaces: ['analytics'] };
  const config = {
    ingest: { address: '127.0.0.1', port: 0 },
    http: { port: httpPort },
    store: { path: path('hopscope.db') },
    remediation: {
      switches: path('switches.yaml'),
      safety: path('safety.db'),
      audit: path('audit.jsonl'),
      killSwitch: path('stopped'),
      rules: [rule],
    },
    ...changes,
  };
  writeFileSync(path('hopscope.yaml'), JSON.stringify(config));
  const env = { ...process.env, HOPSCOPE_DEAD_SECRET: 'a secret of the test, long enough' };
  collector = start(process.execPath, [CLI, 'start', '--config', path('hopscope.yaml')], { env });
  await until('the collector', () => getJson(`http://127.0.0.1:${httpPort}/api/v1/remediation`)).catch((cause: unknown) => {
    throw new Error(collector!.output(), { cause });
  });
  expect(server.entries()).toHaveLength(1);
}

const METHODS: Record<string, () => Promise<void> | void> = {
  file: () => writeFileSync(path('stopped'), ''),
  signal: () => void collector!.child.kill('SIGUSR2'),
  'command line': async () => {
    const running = start(process.execPath, [CLI, 'remediation', 'stop', '--as', 'ada', '--config', path('hopscope.yaml')]);
    expect(await new Promise((resolve) => running.child.once('close', resolve)), running.output()).toBe(0);
  },
  API: async () => {
    const asked = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"who":"ada"}' };
    expect((await fetch(`http://127.0.0.1:${httpPort}/api/v1/remediation/stop`, asked)).status).toBe(200);
  },
};

const dead = (): string => `http://127.0.0.1:${deadPorts[1]}`;
const isRoot = process.getuid?.() === 0;

/** How something is broken before the switch is pulled; the methods that cannot work then. */
const STATES: [
  string,
  { prepare?: () => void; breaks: () => Promise<void> | void; without?: string[]; config?: () => object; leases?: () => Lease[] },
][] = [
  ['nothing is broken', { breaks: () => undefined }],
  [
    'the database is overwritten',
    {
      breaks: () => {
        const file = openSync(path('safety.db'), 'r+');
        writeSync(file, Buffer.alloc(statSync(path('safety.db')).size, 0xa5));
        closeSync(file);
        for (const end of ['-wal', '-shm']) rmSync(path(`safety.db${end}`), { force: true });
      },
    },
  ],
  ['the audit file is gone', { breaks: () => rmSync(path('audit.jsonl')) }],
  [
    'another switch does not answer',
    { breaks: () => undefined, leases: () => [leaseAt('leaf-1', 'aaaa1111'), leaseAt('leaf-2', 'bbbb2222')] },
  ],
  [
    'webhooks, Alertmanagers and InfluxDB are down',
    {
      breaks: () => undefined,
      config: () => ({
        egress: { allow: [`127.0.0.1:${deadPorts[1]}`] },
        webhooks: [{ name: 'dead', url: dead(), secret: { env: 'HOPSCOPE_DEAD_SECRET' } }],
        alertmanager: { peers: [dead()] },
        influx: { url: dead() },
      }),
    },
  ],
  [
    'the API is taken up by others',
    {
      breaks: async () => {
        for (let i = 0; i < 300; i++) idle.push(connect(httpPort, '127.0.0.1').on('error', () => undefined));
        await new Promise((resolve) => setTimeout(resolve, 200));
      },
      without: ['API'],
    },
  ],
];
if (isRoot) {
  STATES.push([
    'the disk is full',
    {
      prepare: () => {
        mkdirSync(folder, { recursive: true });
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', folder]);
      },
      breaks: () => {
        try {
          for (;;) appendFileSync(path('ballast'), Buffer.alloc(65_536));
        } catch (error) {
          expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
        }
      },
    },
  ]);
}

describe.each(STATES)('while %s', (state, { prepare, breaks, without = [], config, leases }) => {
  const possible = Object.keys(METHODS).filter((method) => !without.includes(method));
  const turn = STATES.findIndex(([name]) => name === state);
  const isWhole = turn === 0 || process.env.MATRIX === 'full';
  it.each(isWhole ? possible : [possible[turn % possible.length]])('by %s', { timeout: 40_000 }, async (method) => {
    folder = mkdtempSync(join(tmpdir(), 'kill-switch-'));
    prepare?.();
    await begin(config?.(), leases?.());
    await breaks();
    const began = performance.now();
    await METHODS[method]();
    const pulled = performance.now();
    await until('the switch to be as it was', () => server.entries().length === 0, 10_000).catch((cause: unknown) => {
      throw new Error(collector!.output(), { cause });
    });
    // Turns are a second apart.
    expect(performance.now() - pulled).toBeLessThan(2500);
    expect(performance.now() - began).toBeLessThan(method === 'command line' ? 8000 : 3000);
  });
});

it('stays pulled over a restart, and holds for the reaper when the collector is stopped', { timeout: 60_000 }, async () => {
  folder = mkdtempSync(join(tmpdir(), 'kill-switch-'));
  await begin();
  collector!.child.kill('SIGSTOP');
  writeFileSync(path('stopped'), '');
  const reaper = start(process.execPath, [CLI, 'reaper', '--config', path('hopscope.yaml')]);
  await until('the reaper', () => server.entries().length === 0, 15_000);
  await until('its sentence', () => reaper.output().includes('ended lease aaaa1111: the kill switch is on'));
  await reaper.stop();
  await collector!.stop('SIGKILL');
  collector = start(process.execPath, [CLI, 'start', '--config', path('hopscope.yaml')]);
  const status = await until('it again', () => getJson(`http://127.0.0.1:${httpPort}/api/v1/remediation`));
  expect(status).toMatchObject({ stopped: true });
  expect(existsSync(path('stopped'))).toBe(true);
});
