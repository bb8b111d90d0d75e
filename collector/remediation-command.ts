// `hopscope remediation status|approve|revert|stop|resume|history`, `hopscope audit verify` and `hopscope reaper`: what an operator does.
// Rule: to stop needs nothing but the file system: no collector, no store, no network.

import { existsSync, readFileSync } from 'node:fs';
import { changeLines, type Lease } from '../alerts/remediation/change.ts';
import { overdueOf, reap } from '../alerts/remediation/reaper.ts';
import { CorruptStore, SafetyStore } from './store/safety.ts';
import { auditFault, type AuditHead } from './store/audit.ts';
import { askCollector } from './ask-collector.ts';
import type { Config } from './config.ts';
import { electionIdOf, executorsOf } from './executors.ts';
import { machineClock, pullKillSwitch, releaseKillSwitch, type RemediationStatus } from './safe-remediation.ts';

const REAP_MS = 5000;

type Write = (text: string) => void;

function ask(config: Config, path: string, body?: object): Promise<unknown> {
  const otherwise = '; "hopscope remediation stop" works without one';
  return askCollector(config, { path: `/api/v1/remediation${path}`, body, otherwise });
}

export async function showStatus(config: Config, write: Write): Promise<void> {
  const status = (await ask(config, '')) as RemediationStatus;
  write(status.stopped ? 'stopped: nothing is done, everything is undone' : 'running');
  for (const { name, mode, effectiveMode, record, promotion, charter } of status.rules) {
    const { effective, failed } = record;
    write(
      `rule ${name}: ${mode}${effectiveMode === mode ? '' : `, now ${effectiveMode}`}; ${effective} changes helped, ${failed} did not`,
    );
    write(`  Towards auto: ${promotion}`);
    for (const line of charter) write(`  ${line}`);
  }
  for (const { id, state, change, expiresUnixMs } of status.leases) {
    write(`lease ${id}: ${state}, until ${new Date(expiresUnixMs).toISOString()}`);
    for (const line of changeLines(change)) write(`  ${line}`);
  }
  for (const { hash, lines } of status.approvals) {
    write(`waits for an approval: hopscope remediation approve ${hash} --as YOUR-NAME`);
    for (const line of lines) write(`  ${line}`);
  }
}

export async function approve(config: Config, hash: string, who: string): Promise<void> {
  await ask(config, '/approve', { hash, who });
}

export async function decline(config: Config, hash: string, who: string): Promise<void> {
  await ask(config, '/decline', { hash, who });
}

export async function revert(config: Config, who: string): Promise<void> {
  await ask(config, '/revert', { who });
}

export function stop({ remediation }: Config, who: string): void {
  pullKillSwitch(remediation.killSwitch, who);
}

export function resume({ remediation }: Config): void {
  releaseKillSwitch(remediation.killSwitch);
}

/** The last decisions, the oldest of them first. */
export function showHistory({ remediation }: Config, count: number, write: Write): void {
  const lines = existsSync(remediation.audit) ? readFileSync(remediation.audit, 'utf8').trimEnd().split('\n') : [];
  for (const line of lines.slice(-count)) {
    const { at, record } = JSON.parse(line) as { at: string; record: Record<string, unknown> };
    const { kind, ...rest } = record;
    write(`${at} ${String(kind)} ${JSON.stringify(rest)}`);
  }
}

/** False where the audit file is not what was written; says what was found. */
export function verifyAudit({ remediation }: Config, write: Write): boolean {
  const { audit, safety } = remediation;
  if (!existsSync(audit)) throw new Error(`there is no audit file ${audit}`);
  let head: AuditHead | undefined;
  let doubt = '';
  try {
    const store = new SafetyStore(safety, true);
    head = store.all('audit-head')[0]?.body as AuditHead | undefined;
    store.close();
  } catch (error) {
    doubt = ` (${(error as Error).message}: whether lines are missing at its end is not known)`;
  }
  const text = readFileSync(audit, 'utf8');
  const fault = auditFault(text, head);
  write(
    fault === undefined
      ? `${audit}: ${text.split('\n').length - 1} lines, all as they were written${doubt}`
      : `${audit}: ${fault}${doubt}`,
  );
  return fault === undefined;
}

/** Runs until `stopped`: ends what is overdue, whatever has become of the main process. */
export async function runReaper(config: Config, write: Write, stopped: Promise<unknown>): Promise<void> {
  const { safety, rules } = config.remediation;
  if (rules.length === 0) throw new Error('remediation.rules: there are none, and nothing to end');
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  write(`hopscope reaper: watches ${safety}`);
  while (!isStopped) {
    if (existsSync(safety)) await reapOnce(config, write);
    await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, REAP_MS))]);
  }
}

async function reapOnce(config: Config, write: Write): Promise<void> {
  const { safety, rules, killSwitch } = config.remediation;
  const clock = machineClock();
  let store: SafetyStore | undefined;
  try {
    store = new SafetyStore(safety, true);
    // An endpoint ends by itself what it was asked to do.
    const overdue = overdueOf(
      store.all('lease').map(({ body }) => body as Lease),
      clock,
      existsSync(killSwitch),
    ).filter(({ change }) => !rules.some(({ endpoint }) => endpoint === change.executor));
    if (overdue.length === 0) return;
    // Above the main process, below the next one.
    const { all, close } = await executorsOf(config, { electionId: electionIdOf(store.last('start')) + 1n });
    const { undone, faults } = await reap(overdue, all);
    close();
    const why = existsSync(killSwitch) ? 'the kill switch is on' : 'it was overdue';
    for (const id of undone) write(`hopscope reaper: ended lease ${id}: ${why}`);
    for (const fault of faults) write(`hopscope reaper: ${fault}`);
  } catch (error) {
    const what =
      error instanceof CorruptStore
        ? 'is damaged: the entries end by themselves, and the next start takes them off'
        : 'cannot be read';
    write(`hopscope reaper: ${safety} ${what} (${(error as Error).message})`);
  } finally {
    store?.close();
  }
}
