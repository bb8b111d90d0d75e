// The real servers that tests run against: found on the machine, or unpacked from Debian's packages without root and without
// installing anything. Where neither is possible the tests that need them are skipped by name; under CI=true that is a failure.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, unpacked } from './debian.ts';

/** Paths of programs; an absent one could not be had. */
export interface Servers {
  prometheus?: string;
  promtool?: string;
  alertmanager?: string;
  amtool?: string;
  influxd?: string;
  /** Folder of an unpacked docker-compose (version 1, Python), to be run with Debian's Python. */
  compose?: string;
}

const COMPOSE_PACKAGES = [
  'docker-compose',
  'python3-docker',
  'python3-dockerpty',
  'python3-docopt',
  'python3-dotenv',
  'python3-jsonschema',
  'python3-requests',
  'python3-texttable',
  'python3-websocket',
  'python3-yaml',
  'python3-distro',
  'python3-pyrsistent',
  'python3-attr',
  'python3-urllib3',
  'python3-certifi',
  'python3-chardet',
  'python3-charset-normalizer',
  'python3-idna',
  'python3-six',
  'python3-paramiko',
];

/** Finds or unpacks everything. Throws under CI=true when something is missing. */
export function prepareServers(): Servers {
  const servers: Servers = {
    prometheus: programOf('prometheus', ['prometheus'], 'usr/bin/prometheus'),
    promtool: programOf('promtool', ['prometheus'], 'usr/bin/promtool'),
    alertmanager: relocated(programOf('prometheus-alertmanager', ['prometheus-alertmanager'], 'usr/bin/prometheus-alertmanager')),
    amtool: programOf('amtool', ['prometheus-alertmanager'], 'usr/bin/amtool'),
    influxd: programOf('influxd', ['influxdb'], 'usr/bin/influxd'),
    compose: existsSync('/usr/bin/python3') ? unpacked(COMPOSE_PACKAGES) : undefined,
  };
  const missing = Object.entries(servers).filter(([, path]) => path === undefined);
  if (missing.length > 0 && process.env['CI'] === 'true') {
    throw new Error(`not found and not unpacked from Debian's packages: ${missing.map(([name]) => name).join(', ')}`);
  }
  return servers;
}

function programOf(command: string, packages: string[], path: string): string | undefined {
  try {
    return execFileSync('which', [command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    const root = unpacked(packages);
    return root === undefined ? undefined : join(root, path);
  }
}

/**
 * Debian builds Alertmanager with the absolute path of its default template. An unpacked one gets a relative path of the same length
 * instead, and must be started in the root of its package.
 */
function relocated(program: string | undefined): string | undefined {
  if (program === undefined || !program.startsWith(CACHE)) return program;
  const path = `${program}-relocated`;
  if (!existsSync(path)) {
    const bytes = readFileSync(program);
    const installed = '/usr/share/prometheus/alertmanager';
    for (let at = bytes.indexOf(installed); at >= 0; at = bytes.indexOf(installed, at))
      bytes.write('usr//share/prometheus/alertmanager', at);
    writeFileSync(path, bytes, { mode: 0o755 });
  }
  return path;
}
