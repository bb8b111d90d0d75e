// The last line of a test run: how many tests passed, failed and were skipped, in a form that any script can read.

import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      const failedBefore = counts.failed;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed' || state === 'failed' || state === 'skipped') counts[state]++;
      }
      // A suite whose set-up failed has skipped tests only: it counts as a failure all the same.
      if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed++;
    }
    // After the default reporter's summary, which is written when the process is about to end.
    process.once('exit', () => console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`));
  }
}
