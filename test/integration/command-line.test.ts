// The command line as a user has it: what goes where, exit codes, faults in one sentence, a clean end.

import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '../../collector/store/database.ts';
import { Outbox } from '../../collector/store/outbox.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { fabricDatagrams, pcapOf } from '../support/fabric-datagrams.ts';
import { capturePath, NETFLOW, vectorBytes } from '../support/fixtures.ts';
import { freePorts, start, until } from '../support/processes.ts';
import { noisyBackup } from '../support/stories.ts';

const root = join(import.meta.dirname, '..', '..');
const cli = join(root, 'collector', 'cli.ts');
const folder = mkdtempSync(join(tmpdir(), 'hopscope-cli-'));

function run(...args: string[]): { code: number | null; out: string; err: string } {
  return runWith('', ...args);
}
/** With this text on standard input. */
function runWith(input: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
    input,
    encoding: 'utf8',
    timeout: 30_000,
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}
function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const strange = file('strange.pcap', pcapOf([{ atNs: 0, node: 0, bytes: NETFLOW }]));

describe('decode', () => {
  it('prints the documented line, one per report, and nothing else on standard output', () => {
    const { code, out, err } = run('decode', capturePath('int-xd_report-v0.5_fabric-tna'));
    const lines = out.trimEnd().split('\n');
    expect([code, lines.length, err]).toEqual([0, 21, '']);
    const documented = /```json\n(.*)\n/.exec(readFileSync(join(root, 'docs', 'decode.md'), 'utf8'))![1];
    expect(lines[0]).toBe(documented);
  });

  it('reads UDP payloads in hexadecimal from standard input, and says which line is none', () => {
    const hex = Buffer.from(vectorBytes('v2-single-postcard')).toString('hex');
    const spaced = hex.replace(/../g, '$& ');
    const { code, out, err } = runWith(`# a postcard\n${hex}\n\n${spaced} # again\n20 0\n`, 'decode', '-');
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ frame, source, nodeId }) => [frame, source, nodeId])).toEqual([
      [1, null, 257],
      [3, null, 257],
    ]);
    expect(lines[0].hops).toEqual(lines[1].hops);
    expect([code, err]).toEqual([1, 'hopscope: line 5 is no whole number of octets in hexadecimal, and was passed over.\n']);
  });

  it('decodes what comes in on a live port until it is told to end', async () => {
    const [port] = await freePorts(1);
    const running = start(process.execPath, [cli, 'decode', '--listen', String(port), '--profile', 'spec']);
    await until('the port', () => running.output().includes('listening on UDP port'));
    const socket = createSocket('udp4');
    socket.send(vectorBytes('v2-single-postcard'), port, '127.0.0.1');
    await until('the report', () => running.output().includes('"nodeId":257'));
    socket.close();
    expect(await running.stop('SIGINT')).toBe(0);
    expect(running.output()).toContain('"source":"127.0.0.1"');
  });

  it('names a format that is not decoded', () => {
    const { code, out } = run('decode', strange);
    expect(code).toBe(0);
    expect(JSON.parse(out.split('\n')[0])).toEqual({
      frame: 0,
      rejected: 'E_VERSION',
      detail: 'netflow-v5 is recognised, and no telemetry that is decoded, at octet 0',
    });
  });

  it.each([
    ['a file that is not there', ['decode', '/nonexistent.pcap'], '/nonexistent.pcap does not exist'],
    ['a folder', ['decode', folder], 'is a folder'],
    ['no capture', ['decode', cli], 'not a pcap or pcapng file'],
    ['a port that is no number', ['decode', cli, '--port', 'x'], 'must be a whole number'],
    ['an unknown command', ['decide'], "unknown command 'decide'"],
  ])('%s: one sentence on standard error, exit code 1, no stack', (_name, args, sentence) => {
    const { code, out, err } = run(...args);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(sentence);
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe('replay', () => {
  const story = noisyBackup(0.2e9, 100e9);
  const capture = file('fabric.pcap', pcapOf(fabricDatagrams(story.scenario, 2, 0.5e9)));
  const config = file('fabric.json', JSON.stringify(scenarioSettings(story.scenario)));

  it('prints incidents as JSON lines, and what it saw on standard error', () => {
    const { code, out, err } = run('replay', capture, '--config', config);
    expect(code).toBe(0);
    const incidents = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(incidents).toHaveLength(1);
    expect(incidents[0].culprits[0]).toMatchObject({ namespace: 'analytics', workload: 'backup' });
    expect(err).toMatch(/^hopscope: \d+ frames, \d+ datagrams, \d+ reports decoded, 0 datagrams rejected\n$/);
  });

  it('says that a format is not decoded', () => {
    expect(run('replay', strange).err).toContain('of no dialect that is decoded');
  });

  it('a capture that breaks off: what is whole is processed, the rest is said, exit code 1', () => {
    const cut = file('cut.pcap', readFileSync(capture).subarray(0, -10));
    const { code, out, err } = run('replay', cut, '--config', config);
    expect(code).toBe(1);
    expect(out).toContain('analytics');
    expect(err).toMatch(/the file ends inside frame \d+/);
  });
});

describe('start', () => {
  it('lists every problem of a bad configuration, exit code 1, no stack', () => {
    const { code, err } = run(
      'start',
      '--config',
      file('bad.yaml', 'http: { port: 70000 }\nwat: 1\ncongestion: { openWait: fast }\n'),
    );
    expect(code).toBe(1);
    expect(err).toContain('the configuration has 3 problems');
    expect(err).not.toMatch(/\n\s+at /);
  });

  it('a UDP port or an HTTP port that is taken is said in one sentence, exit code 1', async () => {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', () => resolve()));
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', () => resolve()));
    const udpPort = udp.address().port;
    const tcpPort = (tcp.address() as { port: number }).port;
    const inUse = run(
      'start',
      '--config',
      file('udp.yaml', `ingest: { address: 127.0.0.1, port: ${udpPort} }\nhttp: { port: 0 }`),
    );
    expect([inUse.code, inUse.err]).toEqual([
      1,
      expect.stringMatching(/^hopscope: UDP 127\.0\.0\.1 port \d+ is taken by another process/),
    ]);
    const inUseToo = run(
      'start',
      '--config',
      file('tcp.yaml', `ingest: { address: 127.0.0.1, port: 0 }\nhttp: { port: ${tcpPort} }`),
    );
    expect([inUseToo.code, inUseToo.err]).toEqual([
      1,
      expect.stringMatching(/^hopscope: HTTP 127\.0\.0\.1 port \d+ is taken by another process/),
    ]);
    udp.close();
    tcp.close();
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends cleanly on %s, also while a webhook is left unanswered', async (signal) => {
    let asked = false;
    const silent = createServer((socket) => {
      asked = true;
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', () => resolve()));
    const { port } = silent.address() as { port: number };
    process.env['HOPSCOPE_CLI_SECRET'] = 'a secret of the test, long enough';
    const store = join(folder, `${signal}.db`);
    const db = openDatabase(store);
    const event = { id: 'msg_1', endpoint: 'a', type: 't', groupKey: 'g', body: () => '{}', expiresUnixMs: null };
    new Outbox(db).put(event, 0);
    db.close();
    const config = file(
      `${signal}.yaml`,
      `ingest: { address: 127.0.0.1, port: 0 }\nhttp: { port: 0 }\nstore: { path: ${store} }\n` +
        `egress: { allow: ["127.0.0.1:${port}"] }\nwebhooks: [{ name: a, url: "http://127.0.0.1:${port}/", secret: { env: HOPSCOPE_CLI_SECRET } }]\n`,
    );
    const running = start(process.execPath, [cli, 'start', '--config', config], { cwd: folder });
    await until('it listens', () => running.output().includes('listening for telemetry reports') && asked);
    const stoppedAt = Date.now();
    expect(await running.stop(signal)).toBe(0);
    expect(Date.now() - stoppedAt).toBeLessThan(3000);
    silent.close();
  });
});

it('demo ends at once on Ctrl-C, leaves nothing behind, and a closed pipe is no fault', { timeout: 60_000 }, async () => {
  const leftovers = (): string[] => readdirSync(folder).filter((name) => name.startsWith('hopscope-demo-'));
  const env = { ...process.env, TMPDIR: folder };
  const running = start(process.execPath, [cli, 'demo', '--http-port', '0', '--seconds', '600'], { env });
  await until('the demo', () => running.output().includes('Ctrl-C stops it'));
  expect(leftovers()).toHaveLength(1);
  const stoppedAt = Date.now();
  expect(await running.stop('SIGINT')).toBe(0);
  expect(Date.now() - stoppedAt).toBeLessThan(3000);
  expect(running.output()).toContain('stopped.');
  expect(leftovers()).toEqual([]);
  const piped = spawnSync('sh', ['-c', `"${process.execPath}" "${cli}" demo --http-port 0 | head -1`], {
    encoding: 'utf8',
    timeout: 30_000,
    env,
  });
  expect(piped.stderr).not.toMatch(/EPIPE|\n\s+at /);
  expect(leftovers()).toEqual([]);
});

it('why: without a collector it says so, and how to reach one', () => {
  const { code, out, err } = run('why', 'shop/cart', '--url', 'http://127.0.0.1:9');
  expect([code, out]).toEqual([1, '']);
  expect(err).toBe(
    'hopscope: no collector answers at http://127.0.0.1:9: start one ("hopscope start"), or give its address with --url or --config\n',
  );
});
