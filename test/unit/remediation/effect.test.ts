// Did it help: the five answers, and that a load which went away by itself is nobody's merit.

import { describe, expect, it } from 'vitest';
import { judgeEffect, type Observation, type Window } from '../../../alerts/remediation/effect.ts';
import { afterVerdict, charterOf, modeOf, NO_RECORD, promotionOf } from '../../../alerts/remediation/rule.ts';
import { RULE } from '../../support/virtual-loop.ts';

/** A window of ten seconds in which the queue, and the others, were congested for such a share of the time. */
function windowOf(queueShare: number, othersShare: number, reports = 1000): Window {
  const at = (atNs: number, part: number): Observation => ({
    queue: { atNs, congestedNs: part * queueShare * 10e9, reports: part * reports, queues: 1 },
    others: { atNs, congestedNs: part * othersShare * 10e9 * 4, reports: part * 4 * reports, queues: 4 },
  });
  return [at(0, 0), at(10e9, 1)];
}

describe('the effect of a change', () => {
  it.each([
    ['what was congested is not any more', windowOf(0.6, 0.1), windowOf(0.03, 0.1), 'effective', 0.95],
    ['half of it is gone, and nearly all was predicted', windowOf(0.6, 0.1), windowOf(0.3, 0.1), 'effective', 0.5],
    ['a third is gone', windowOf(0.6, 0.1), windowOf(0.4, 0.1), 'partial', 1 / 3],
    ['it is as it was', windowOf(0.6, 0.1), windowOf(0.6, 0.1), 'none', 0],
    ['it is worse', windowOf(0.3, 0.1), windowOf(0.6, 0.1), 'none', 0],
    ['all queues have a tenth of what they had: the load went', windowOf(0.6, 0.2), windowOf(0.06, 0.02), 'none', 0],
    ['half of the others has gone, and nearly all of ours', windowOf(0.6, 0.2), windowOf(0.03, 0.1), 'effective', 0.9],
    ['others are congested five times as often', windowOf(0.6, 0.05), windowOf(0.03, 0.25), 'harmful', null],
    ['others are congested twice as often, which is little', windowOf(0.6, 0.01), windowOf(0.03, 0.04), 'effective', 0.9875],
    ['hardly a report comes', windowOf(0.6, 0.1), windowOf(0, 0.1, 10), 'no-data', null],
    ['nothing was congested before', windowOf(0, 0.1), windowOf(0, 0.1), 'no-data', null],
  ] as const)('%s', (_, before, after, effect, achieved) => {
    const judged = judgeEffect(before, after, 0.95, 500);
    expect(judged.effect).toBe(effect);
    if (achieved === null) expect(judged.achieved).toBeNull();
    else expect(judged.achieved).toBeCloseTo(achieved, 6);
  });

  it('is not known when reports stopped for a while, however good it looks', () => {
    expect(judgeEffect(windowOf(0.6, 0.1), windowOf(0.03, 0.1), 0.95, 3001)).toEqual({ effect: 'no-data', achieved: null });
  });
});

describe('a rule', () => {
  it('steps down once for each change that did not help, and never up by itself', () => {
    let record = NO_RECORD;
    const modes = [0, 1, 2, 3, 4].map(() => {
      const mode = modeOf(RULE, record);
      record = afterVerdict(RULE, record, 'none');
      return mode;
    });
    expect(modes).toEqual(['auto', 'approve', 'recommend', 'observe', 'observe']);
    expect(record.failed).toBe(5);
    expect(modeOf({ ...RULE, mode: 'recommend' }, NO_RECORD)).toBe('recommend');
  });

  it('is on the way to auto by days, recommendations and agreement', () => {
    const day = 24 * 3600e3;
    const good = { ...NO_RECORD, sinceUnixMs: 0, recommended: 50, agreed: 40, declined: 2 };
    expect(promotionOf(good, 14 * day)).toEqual({
      isDue: true,
      text: '14 of 14 days, 50 of 50 recommendations, people agreed with 40 of 42 that they answered (95 % needed)',
    });
    expect(promotionOf(good, 13 * day).isDue).toBe(false);
    expect(promotionOf({ ...good, recommended: 49 }, 14 * day).isDue).toBe(false);
    expect(promotionOf({ ...good, declined: 3 }, 14 * day).isDue).toBe(false);
    expect(promotionOf(NO_RECORD, 14 * day).text).toContain('0 of 14 days');
  });

  it('says in four lines what it is', () => {
    const charter = charterOf(RULE, 'audit.jsonl');
    expect(charter.map((line) => line.split(':')[0])).toEqual(['Aim', 'Authority', 'Audit', 'Abort']);
    expect(charter[0]).toContain('when flows of analytics harm others');
    expect(charter[1]).toContain('auto; tables of leaf-1, single hosts only, 120 s at a time');
  });
});
