// Makes a switch as wanted: leads, loads the program where there is none, writes the plan, and reads back whether it holds.

import type { SwitchClient } from './client.ts';
import { isDone, planFor, stepsOf, type Plan } from './plan.ts';
import type { SwitchSpec } from './spec.ts';
import { SwitchError } from './switch-error.ts';

export interface Applied {
  /** What was found to do. */
  plan: Plan;
  writes: number;
}

/**
 * Throws SwitchError: unreachable, untrusted; not-primary, before anything is written; mismatch, where the switch runs another program
 * (and `replaceProgram` is not given), holds an entry of somebody else in our way, or is not as it should be after all; WriteError for
 * updates that it did not take. Whatever is thrown, entries that are not ours are as they were.
 */
export async function applyTo(spec: SwitchSpec, client: SwitchClient, replaceProgram: boolean): Promise<Applied> {
  const { name } = spec.target;
  await client.lead();
  const plan = await planFor(spec, client);
  if (plan.programState === 'other' && !replaceProgram) {
    throw new SwitchError(
      'mismatch',
      name,
      `it runs another program than ${spec.program}: nothing was written. If that program may go, with all entries in it, say --replace-program`,
    );
  }
  if (plan.conflicts.length > 0) {
    const [{ wanted, theirs }] = plan.conflicts;
    throw new SwitchError(
      'mismatch',
      name,
      `${plan.conflicts.length} wanted entr${plan.conflicts.length === 1 ? 'y has the place of one that is' : 'ies have the places of some that are'} not ours, the first in table ${wanted.table} (action ${theirs.action}, cookie "${theirs.cookie}"): nothing was written`,
    );
  }
  if (isDone(plan)) return { plan, writes: 0 };
  if (plan.programState !== 'same') {
    const { program, deviceConfig, cookie } = plan.program;
    await client.setPipeline(program.info, deviceConfig, cookie);
  }
  const steps = stepsOf(plan);
  for (const updates of steps) await client.write(updates);
  const after = await planFor(spec, client);
  if (!isDone(after)) {
    throw new SwitchError(
      'mismatch',
      name,
      'the switch took every update, and reads back differently: see "hopscope switch plan"',
    );
  }
  return { plan, writes: steps.flat().length };
}
