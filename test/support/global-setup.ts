// Runs once before all tests: real servers are found or unpacked, and their paths are provided to every test file; and everything
// temporary lies in one folder, which goes in the end.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { prepareServers, type Servers } from './servers.ts';

export default function setup(project: TestProject): () => void {
  project.provide('servers', prepareServers());
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-test-'));
  process.env['TMPDIR'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: Servers;
  }
}
