// The second enforcer as a process of its own: a lease whose collector is gone ends on the switch all the same, and a kill switch needs nobody.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { P4RuntimeDevice } from '../../alerts/remediation/actions/p4runtime.ts';
import type { Lease } from '../../alerts/remediation/change.ts';
import { machineClock } from '../../collector/safe-remediation.ts';
import { AuditLog, auditFault } from '../../collector/store/audit.ts';
import { CorruptStore, openSafetyStore, SafetyStore } from '../../collector/store/safety.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { startStrictServer, type StrictServer } from '../support/p4runtime-server.ts';
import { start, until } from '../support/processes.ts';

const CLI = join(import.meta.dirname, '..', '..', 'collector', 'cli.ts');
const COOKIE = 'hopscope:lease:';

let folder: string;
let server: StrictServer;
let client: SwitchClient;
let device: P4RuntimeDevice;
const path = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reaper-'));
  server = await startStrictServer();
  const target = {
    name: 'leaf-1',
    address: server.address,
    deviceId: 1n,
    role: 'hopscope-remediation',
    electionId: 1_000_002n,
    timeoutMs: 3000,
  };
  client = new SwitchClient(target);
  await client.lead();
  const shipped = shippedProgram('postcards');
  await client.setPipeline(shipped.program.info, shipped.deviceConfig, shipped.cookie);
  device = new P4RuntimeDevice(client, shipped);
  const leaf = { address: server.address, nodeId: 101, mac: '02:00:00:00:01:01' };
  writeFileSync(path('switches.yaml'), JSON.stringify({ switches: { 'leaf-1': leaf } }));
  const rule = { name: 'r', action: 'remark-dscp', value: 8, switches: ['leaf-1'], namespaces: ['analytics'] };
  const remediation = {
    switches: path('switches.yaml'),
    safety: path('safety.db'),
    audit: path('audit.jsonl'),
    killSwitch: path('stopped'),
    rules: [rule],
  };
  writeFileSync(path('hopscope.yaml'), JSON.stringify({ remediation }));
});
afterEach(() => {
  client.close();
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function leaseFor(ms: number, targets = 2): Lease {
  const clock = machineClock();
  const all = Array.from({ length: targets }, (_, i) => ({
    source: `10.0.0.${i + 1}`,
    destination: '10.0.1.1',
    protocol: 6,
    destinationPort: 80,
  }));
  const change = {
    action: 'remark-dscp' as const,
    executor: 'leaf-1',
    targets: all,
    value: 8,
    culprit: 'analytics/backup',
    incidentId: 'inc_1',
    rule: 'r',
    predictedEffect: 0.9,
    leaseMs: ms,
  };
  return {
    id: 'abcd1234',
    generation: 1,
    change,
    state: 'active',
    createdUnixMs: clock.unixMs(),
    expiresUnixMs: clock.unixMs() + ms,
    expiresBootMs: clock.bootMs() + ms,
    bootId: clock.bootId,
    reapplied: 0,
    renewed: 0,
  };
}
const held = (): number => server.entries().filter(({ metadata }) => metadata.toString().startsWith(COOKIE)).length;
const hopscope = (words: string[]) => start(process.execPath, [CLI, ...words, '--config', path('hopscope.yaml')]);

describe('a lease whose collector is gone', () => {
  it('is ended by the reaper, after the grace and within thirty seconds', { timeout: 60_000 }, async () => {
    const store = new SafetyStore(path('safety.db'));
    store.next('start');
    const lease = leaseFor(2000);
    store.put('lease', lease.id, lease);
    await device.apply(lease, 2000);
    expect(held()).toBe(2);
    // Nobody closes the store or the connection: so a killed or stopped process leaves them.
    const reaper = hopscope(['reaper']);
    await until('the grace', () => Date.now() > lease.expiresUnixMs + 7000);
    expect(held()).toBe(2);
    await until('the reaper', () => held() === 0);
    expect(Date.now() - lease.expiresUnixMs).toBeLessThan(30_000);
    await until('its sentence', () => reaper.output().includes('ended lease abcd1234: it was overdue'));
    await reaper.stop();
    store.close();
  });
});

describe('an operator', () => {
  const runs = async (words: string[]): Promise<{ code: number | null; text: string }> => {
    const running = hopscope(words);
    const code = await new Promise<number | null>((resolve) => running.child.once('close', resolve));
    return { code, text: running.output() };
  };

  it('stops without a collector, and resumes', async () => {
    expect((await runs(['remediation', 'stop', '--as', 'ada'])).code).toBe(0);
    expect(existsSync(path('stopped'))).toBe(true);
    expect((await runs(['remediation', 'resume'])).code).toBe(0);
    expect(existsSync(path('stopped'))).toBe(false);
    const { code, text } = await runs(['remediation', 'status']);
    expect({ code, text }).toEqual({ code: 1, text: expect.stringContaining('"hopscope remediation stop" works without one') });
  });

  it('is told when the audit file is not what was written', { timeout: 60_000 }, async () => {
    const store = new SafetyStore(path('safety.db'));
    const audit = new AuditLog(path('audit.jsonl'), (head) => store.put('audit-head', 'head', head));
    for (let i = 0; i < 5; i++) audit.append(new Date(i).toISOString(), { kind: 'nothing', i });
    audit.close();
    store.close();
    expect(await runs(['audit', 'verify'])).toMatchObject({
      code: 0,
      text: expect.stringContaining('5 lines, all as they were written'),
    });
    const lines = readFileSync(path('audit.jsonl'), 'utf8').trimEnd().split('\n');
    writeFileSync(path('audit.jsonl'), `${lines.slice(0, 4).join('\n')}\n`);
    expect(await runs(['audit', 'verify'])).toMatchObject({
      code: 1,
      text: expect.stringContaining('it ends with line 4, and line 5 was written'),
    });
    expect((await runs(['remediation', 'history', '--count', '1'])).text).toContain('nothing {"i":3}');
  });
});

describe('the audit file', () => {
  it('shows every octet that was changed, and lines that were taken out, moved or cut off', () => {
    const audit = new AuditLog(path('audit.jsonl'), () => undefined);
    for (let i = 0; i < 6; i++) audit.append(new Date(i).toISOString(), { kind: 'nothing', because: 'of tests', i });
    audit.close();
    const text = readText();
    expect(auditFault(text, undefined)).toBeUndefined();
    for (let o = 0; o < text.length; o++) {
      const changed = `${text.slice(0, o)}${text[o] === 'x' ? 'y' : 'x'}${text.slice(o + 1)}`;
      expect(auditFault(changed, undefined), `octet ${o}`).toBeDefined();
    }
    const lines = text.trimEnd().split('\n');
    expect(auditFault(`${[...lines.slice(0, 2), ...lines.slice(3)].join('\n')}\n`, undefined)).toMatch(
      /line 3 says that it is line 4/,
    );
    expect(auditFault(`${[lines[1], lines[0], ...lines.slice(2)].join('\n')}\n`, undefined)).toMatch(
      /line 1 says that it is line 2/,
    );
    expect(auditFault(text.slice(0, -5), undefined)).toMatch(/cut off/);
  });

  it('goes on after a process that died in the middle of a line', () => {
    const first = new AuditLog(path('audit.jsonl'), () => undefined);
    first.append('a', { kind: 'one' });
    first.close();
    writeFileSync(path('audit.jsonl'), `${readText()}{"line":2,"at":"b","rec`);
    const second = new AuditLog(path('audit.jsonl'), () => undefined);
    second.append('c', { kind: 'two' });
    second.close();
    expect(auditFault(readText(), undefined)).toBeUndefined();
    expect(readText().trimEnd().split('\n')).toHaveLength(2);
  });

  it.skipIf(process.getuid?.() !== 0)('has no half lines after a disk that was full, and goes on when there is room', () => {
    const disk = path('disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]);
    try {
      const audit = new AuditLog(join(disk, 'audit.jsonl'), () => undefined);
      const room = 'x'.repeat(700);
      let taken = 0;
      expect(() => {
        for (;;) {
          audit.append('a', { kind: 'nothing', room });
          taken++;
        }
      }).toThrow();
      const full = readFileSync(join(disk, 'audit.jsonl'), 'utf8');
      expect(taken).toBeGreaterThan(50);
      expect(auditFault(full, undefined)).toBeUndefined();
      execFileSync('mount', ['-o', 'remount,size=128k', disk]);
      audit.append('b', { kind: 'nothing', room });
      audit.close();
      const text = readFileSync(join(disk, 'audit.jsonl'), 'utf8');
      expect(auditFault(text, undefined)).toBeUndefined();
      expect(text.trimEnd().split('\n')).toHaveLength(taken + 1);
      expect(() => audit.append('c', { kind: 'nothing' })).toThrow('the audit file is closed');
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  const readText = (): string => readFileSync(path('audit.jsonl'), 'utf8');
});

describe('the store of leases', () => {
  it('finds rows and files that were changed, and begins anew beside them', async () => {
    const store = new SafetyStore(path('safety.db'));
    expect([store.next('start'), store.next('start')]).toEqual([1, 2]);
    store.put('lease', 'a', { some: 'lease' });
    store.close();
    const { DatabaseSync } = await import('node:sqlite');
    const db = new DatabaseSync(path('safety.db'));
    db.exec("UPDATE safety SET body = '{}' WHERE key = 'a'");
    db.close();
    const again = new SafetyStore(path('safety.db'));
    expect(() => again.all('lease')).toThrow(CorruptStore);
    again.close();
    const opened = openSafetyStore(path('safety.db'), 7);
    expect(opened.damage).toBe('lease a is not what was written');
    expect(opened.store.all('lease')).toEqual([]);
    opened.store.close();
    expect(existsSync(`${path('safety.db')}.bad-7`)).toBe(true);
    writeFileSync(path('safety.db'), 'no database at all, but long enough to be looked at by somebody who expects one');
    const third = openSafetyStore(path('safety.db'), 8);
    expect(third.damage).toMatch(/is damaged/);
    third.store.close();
  });
});
