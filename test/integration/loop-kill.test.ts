// kill -9 at every point around a write to a switch, by real processes: the next one leaves the switch as it was, or a lease in force that ends.
// CRASHES=30 for the long run.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Lease } from '../../alerts/remediation/change.ts';
import { auditFault } from '../../collector/store/audit.ts';
import { CRASH_POINTS, type CrashPoint } from '../support/loop-process.ts';
import { start } from '../support/processes.ts';
import { startStrictServer, type StrictServer } from '../support/p4runtime-server.ts';

const CRASHES = Number(process.env.CRASHES ?? 1);
const COOKIE = 'hopscope:lease:';

describe('a process that is killed', () => {
  let server: StrictServer;

  const cookies = (): string[] =>
    server
      .entries()
      .map(({ metadata }) => metadata.toString())
      .filter((cookie) => cookie.startsWith(COOKIE))
      .map((cookie) => cookie.slice(COOKIE.length));

  it.each(CRASH_POINTS)(
    `%s, ${CRASHES} times: nothing is left that no lease knows`,
    { timeout: 30_000 + CRASHES * 20_000 },
    async (point) => {
      for (let i = 0; i < CRASHES; i++) {
        server = await startStrictServer();
        const folder = mkdtempSync(join(tmpdir(), 'loop-kill-'));
        const run = async (startS: number, seconds: number, at: CrashPoint): Promise<{ signal: string | null; text: string }> => {
          const words = [
            join(import.meta.dirname, '..', 'support', 'loop-process.ts'),
            folder,
            server.address,
            startS,
            seconds,
            at,
          ];
          const running = start(process.execPath, words.map(String));
          const signal = await new Promise<string | null>((resolve) =>
            running.child.once('close', (_code, name) => resolve(name)),
          );
          return { signal, text: running.output() };
        };
        const killed = await run(0, 160, point);
        expect(killed.signal, killed.text).toBe('SIGKILL');
        // The next one begins where it died, as far as anybody knows; three turns later everything is known.
        const next = await run(170, 3, 'none');
        expect(next.signal, next.text).toBeNull();
        const { leases } = JSON.parse(next.text) as { leases: Lease[] };
        for (const id of cookies()) expect(leases.map((lease) => lease.id)).toContain(id);
        for (const { state } of leases) expect(state).toBe('active');
        // And nothing stands after its time.
        await run(500, 2, 'none');
        expect(cookies()).toEqual([]);
        expect(auditFault(readFileSync(join(folder, 'audit.jsonl'), 'utf8'), undefined)).toBeUndefined();
        rmSync(folder, { recursive: true });
        server.stop();
      }
    },
  );
});
