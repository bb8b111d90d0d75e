// For mutation tests: only what judges culprits, victims and confidence, without the real servers that other tests unpack.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/unit/diagnose/*.test.ts'], testTimeout: 10_000 },
});
