// Runs once before all tests: real servers are found or unpacked, and their paths are provided to every test file.

import type { TestProject } from 'vitest/node';
import { prepareServers, type Servers } from './servers.ts';

export default function setup(project: TestProject): void {
  project.provide('servers', prepareServers());
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: Servers;
  }
}
