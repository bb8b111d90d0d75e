// Every scenario as a rehearsal: live over UDP on loopback, as a capture with its truth, and scored by the command.

import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { LiveFabric } from '../../p4-int/fabric/live.ts';
import { scenarioNamed, scenarioNames } from '../../p4-int/fabric/scenario-file.ts';
import { MEASURES } from '../../p4-int/fabric/score/measures.ts';
import { linesOf } from '../support/decoding.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'hopscope-rehearsal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hopscope = (...args: string[]) => run(process.execPath, [join(ROOT, 'collector/cli.ts'), ...args], { maxBuffer: 64e6 });

describe.concurrent('live', () => {
  it.each(scenarioNames())('%s: reports arrive, and all are understood', { timeout: 30_000 }, async (name) => {
    const scenario = scenarioNamed(name);
    const datagrams: Buffer[] = [];
    const socket = createSocket('udp4').on('message', (bytes) => void datagrams.push(bytes));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const fabric = new LiveFabric({ scenario, seed: 1, port: socket.address().port });
    fabric.start();
    const endMs = performance.now() + 20_000;
    while (datagrams.length < 50 && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 50));
    await fabric.stop();
    socket.close();
    expect(datagrams.length).toBeGreaterThanOrEqual(50);
    expect(fabric.slowdown).toBeGreaterThanOrEqual(1);
    const profile = scenario.telemetry.dialect === 'report-v0.5' ? { dialects: 1 } : {};
    const lines = datagrams.flatMap((bytes) => linesOf(bytes, profile));
    expect(lines.filter(({ rejected, warnings }) => rejected !== undefined || warnings.length > 0)).toEqual([]);
  });
});

const SMALL = join(folder, 'small.yaml');
const documented = /```yaml\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, 'docs/score.md'), 'utf8'))![1];
writeFileSync(SMALL, documented);

describe('the commands', { timeout: 60_000 }, () => {
  it('fabric writes a capture that replays to the same congestion as its truth', async () => {
    const [pcap, truth] = [join(folder, 'small.pcap'), join(folder, 'small.jsonl')];
    await hopscope('fabric', '--scenario-file', SMALL, '--seed', '4', '--pcap', pcap, '--truth', truth);
    const told = readFileSync(truth, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string });
    const events = told.filter(({ kind }) => kind === 'queue-event');
    expect(events.length).toBe(10);
    expect(new Set(told.map(({ kind }) => kind))).toEqual(
      new Set(['scenario', 'identity', 'queue-event', 'hop-latency', 'flow', 'path', 'end']),
    );
    const config = join(folder, 'hopscope.yaml');
    writeFileSync(config, 'ingest: { sources: [{ addresses: [10.0.0.0/8], occupancyUnit: bytes, portRate: 10G }] }');
    const { stdout } = await hopscope('replay', pcap, '--config', config);
    const incidents = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { eventCount: number });
    expect(incidents.reduce((sum, { eventCount }) => sum + eventCount, 0)).toBe(10);
  });

  it('score prints a JSON object for each scenario and degradation, with every measure of both', async () => {
    const { stdout, stderr } = await hopscope(
      'score',
      '--scenario-file',
      SMALL,
      '--seeds',
      '1-2',
      '--degrade',
      'none,loss-20',
      '--json',
    );
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ scenario, degradation, seeds }) => [scenario, degradation, seeds])).toEqual([
      ['two-into-one', 'none', '1-2'],
      ['two-into-one', 'loss-20', '1-2'],
      ['macro', 'none', '1-2'],
      ['macro', 'loss-20', '1-2'],
    ]);
    for (const { measures } of lines) {
      for (const contestant of ['hopscope', 'naive']) {
        for (const name of Object.keys(MEASURES)) expect(measures[contestant]).toHaveProperty([name]);
      }
    }
    expect(lines[0].measures.hopscope).toMatchObject({ 'queue.precision': 1, 'queue.recall': 1, 'culprit.top1': 1 });
    expect(lines[0].measures.naive['queue.recall']).toBeLessThan(0.5);
    expect(stderr).toContain('2 of 2');
  });

  it('score twice gives the same, but for delays and costs of this machine', async () => {
    const score = async (): Promise<object> => {
      const { stdout } = await hopscope('score', '--scenario-file', SMALL, '--seeds', '3', '--json');
      const { measures } = JSON.parse(stdout.split('\n')[0]) as { measures: { hopscope: Record<string, number> } };
      return Object.fromEntries(Object.entries(measures.hopscope).filter(([name]) => !name.startsWith('cost.')));
    };
    expect(await score()).toEqual(await score());
  });

  it('score writes the page and the tables', async () => {
    const [page, markdown] = [join(folder, 'score.html'), join(folder, 'accuracy.md')];
    await hopscope('score', '--scenario-file', SMALL, '--seeds', '1', '--page', page, '--markdown', markdown);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('two-into-one');
    expect(html.match(/<svg/g)!.length).toBe(2);
    expect(html).not.toMatch(/<script|NaN|undefined/);
    expect(readFileSync(markdown, 'utf8')).toMatch(/\| two-into-one \| 1 \/ /);
  });

  it.each([
    [['score', '--scenario', 'wat'], 'the scenario "wat" has 1 problem'],
    [['score', '--degrade', 'wat'], 'there is no degradation wat; there are none'],
    [['score', '--seeds', '5-1'], '--seeds must be a number or a range'],
    [['fabric'], 'fabric needs --port'],
    [['demo', '--scenario-file', '/nowhere.yaml'], '/nowhere.yaml does not exist'],
  ])('%s is answered in a sentence', async (args, sentence) => {
    const fault = await hopscope(...args).catch((error: unknown) => error as { code: number; stderr: string });
    expect(fault).toMatchObject({ code: 1 });
    expect(fault.stderr).toContain(sentence);
    expect(fault.stderr).not.toContain('    at ');
  });
});
