// A safe loop in a process of its own that dies at one point of what it does to a real switch: node loop-process.ts FOLDER ADDRESS START-S SECONDS POINT
// Time in it is virtual and begins at START-S; the store, the audit file and the switch are not. POINT "none" dies of nothing.

import { P4RuntimeDevice } from '../../alerts/remediation/actions/p4runtime.ts';
import type { Executor } from '../../alerts/remediation/executor.ts';
import { electionIdOf } from '../../collector/executors.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { FIXABLE, RULE, VirtualLoop } from './virtual-loop.ts';

export const CRASH_POINTS = [
  'before the audit line',
  'after the audit line',
  'after the lease is stored',
  'before the switch is written to',
  'after the switch is written to',
  'after the lease is in force',
  'before the switch is cleared',
  'after the switch is cleared',
  'after the lease is forgotten',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number] | 'none';

if (process.argv[1] === import.meta.filename) {
  const [folder, address, startS, seconds, point] = process.argv.slice(2);
  await live(folder, address, Number(startS), Number(seconds), point as CrashPoint);
  process.exit(0);
}

async function live(folder: string, address: string, startS: number, seconds: number, point: CrashPoint): Promise<void> {
  const die = (at: CrashPoint): void => {
    if (at === point) process.kill(process.pid, 'SIGKILL');
  };
  // A day is what a change that does not help takes its rule down for; here it helps by nobody's merit.
  const fabric = new VirtualLoop({ ...FIXABLE, congestedShare: () => 0.6 }, [RULE], folder);
  fabric.clock.nowMs = startS * 1000;
  const electionId = electionIdOf(fabric.writers.store.next('start'));
  const target = { name: 'leaf-1', address, deviceId: 1n, role: 'hopscope-remediation', electionId, timeoutMs: 4000 };
  const client = new SwitchClient(target);
  const shipped = shippedProgram('postcards');
  await client.lead();
  if ((await client.pipeline('cookie'))?.cookie !== shipped.cookie) {
    await client.setPipeline(shipped.program.info, shipped.deviceConfig, shipped.cookie);
  }
  const device = new P4RuntimeDevice(client, shipped);
  const executor: Executor = {
    held: () => device.held(),
    apply: async (lease, remainingMs) => {
      die('before the switch is written to');
      await device.apply(lease, remainingMs);
      die('after the switch is written to');
    },
    remove: async (id) => {
      die('before the switch is cleared');
      await device.remove(id);
      die('after the switch is cleared');
    },
  };
  fabric.useExecutor(executor);
  fabric.restart();
  const { store, audit } = fabric.writers;
  const append = audit.append.bind(audit);
  audit.append = (at, record) => {
    if (record['kind'] === 'making') die('before the audit line');
    append(at, record);
    if (record['kind'] === 'making') die('after the audit line');
    if (record['kind'] === 'made') die('after the lease is in force');
  };
  const put = store.put.bind(store);
  store.put = (kind, key, body) => {
    put(kind, key, body);
    if (kind === 'lease' && (body as { state: string }).state === 'planned') die('after the lease is stored');
  };
  const remove = store.remove.bind(store);
  store.remove = (kind, key) => {
    remove(kind, key);
    if (kind === 'lease') die('after the lease is forgotten');
  };
  await fabric.run(seconds);
  process.stdout.write(`${JSON.stringify({ nowMs: fabric.clock.nowMs, leases: fabric.loop.leases })}\n`);
  client.close();
}
