import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ConfigError } from '../../collector/config-form.ts';
import { readSwitchFile } from '../../collector/switch-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'switch-file-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LEAF = `
    address: leaf-1.example:9559
    nodeId: 101
    mac: 02:00:00:00:01:01
    nexthops:
      host: { interface: 1, mac: '02:00:00:00:00:01' }
      spine: { interface: 3, mac: '02:00:00:00:02:01' }
`;
function read(text: string) {
  const path = join(folder, 'switches.yaml');
  writeFileSync(path, text);
  return readSwitchFile(path);
}
function problemsOf(text: string): readonly string[] {
  try {
    read(text);
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
}
const leaf = (more: string): string => `switches:\n  leaf-1:${LEAF}${more}`;

describe('a file of switches', () => {
  it('needs little: an address, a node id, a MAC; the rest has defaults', () => {
    const [{ target, program, nexthops, watch, report }] = read(leaf(''));
    expect(target).toMatchObject({
      name: 'leaf-1',
      address: 'leaf-1.example:9559',
      deviceId: 1n,
      role: '',
      electionId: 1n,
      timeoutMs: 10_000,
    });
    expect({ program, watch, report }).toEqual({ program: 'postcards', watch: [], report: undefined });
    expect(nexthops[0]).toEqual({ name: 'host', interface: 1, sourceMac: 0x020000000101n, destinationMac: 0x020000000001n });
  });

  it('takes routes by one next hop, by several, and by weights; of both families', () => {
    const [{ routes }] = read(
      leaf(`    routes: { 10.0.1.7/24: host, 10.0.2.0/24: [host, spine], 'fd00:2::/64': { host: 3, spine: 1 } }\n`),
    );
    expect(routes).toEqual([
      { to: { value: 0xffff0a000100n, length: 120 }, via: [{ nexthop: 'host', weight: 1 }] },
      {
        to: { value: 0xffff0a000200n, length: 120 },
        via: [
          { nexthop: 'host', weight: 1 },
          { nexthop: 'spine', weight: 1 },
        ],
      },
      {
        to: { value: 0xfd000002n << 96n, length: 64 },
        via: [
          { nexthop: 'host', weight: 3 },
          { nexthop: 'spine', weight: 1 },
        ],
      },
    ]);
  });

  it('rounds quanta down to powers of two of microseconds, and resets at half the trigger', () => {
    const [{ watch, queueReports }] = read(
      leaf(`
    watch: [{ flows: { protocol: tcp }, changes: { latency: 300us, period: 1s }, drops: 1s, sampleOneIn: 8 }]
    queueReports: [{ interfaces: [1, 3], queues: [0], trigger: 21us }]
    report: { interface: 9, collector: 10.99.0.1, mac: '02:00:00:00:00:99', from: 10.99.0.11 }
`),
    );
    expect(watch).toEqual([
      { flows: { protocol: 6 }, latencyQuantumUs: 256, periodUs: 524_288, dropPeriodUs: 524_288, sampleOneIn: 8 },
    ]);
    expect(queueReports).toEqual([1, 3].map((id) => ({ interface: id, queue: 0, triggerUs: 21, resetUs: 10, quota: 1024 })));
  });

  it('finds files of TLS beside itself', () => {
    const [{ target }] = read(leaf('    tls: { ca: ca.pem, certificate: own.pem, key: /etc/own-key.pem, serverName: leaf }\n'));
    expect(target.tls).toEqual({
      ca: join(folder, 'ca.pem'),
      certificate: join(folder, 'own.pem'),
      key: '/etc/own-key.pem',
      serverName: 'leaf',
    });
  });

  it('tells every problem at once, with its path', () => {
    const text = leaf(`
    routes: { 10.0.1.0/33: host, 10.0.2.0/24: nowhere }
    queues: { '64': 8 }
    gateways: ['fd00::1']
    deny: [{ destination: '::/0' }]
    program: postcard
    embedded: {}
    watch: [{ flows: {}, sampleOneIn: 0, every: 1s }]
    tls: { ca: ca.pem, key: key.pem }
`);
    expect(problemsOf(text)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('10.0.1.0/33: must be an address or a CIDR'),
        'switches.leaf-1.queues.64: must be at most 7',
        'switches.leaf-1.gateways[0]: must be an IPv4 address, like 10.0.1.1',
        'switches.leaf-1.deny[0].destination: covers all of IPv4 as well: give a longer prefix, like 2000::/3',
        'switches.leaf-1.program: must be one of postcards, postcards-v0.5, embedded',
        'switches.leaf-1.watch[0].sampleOneIn: must be at least 1',
        'switches.leaf-1.watch[0].every: is not a known setting',
      ]),
    );
  });

  it.each([
    ['routes: { 10.0.2.0/24: nowhere }', 'switches.leaf-1.routes.10.0.2.0/24: goes via nowhere, which is none of its nexthops'],
    ['watch: [{ flows: {} }]', 'switches.leaf-1.report: must be given: something is watched, and nobody would be told'],
    ['embedded: {}', 'switches.leaf-1.embedded: needs the program embedded, not postcards'],
    ['tls: { ca: ca.pem, key: key.pem }', 'switches.leaf-1.tls: a certificate needs its key, and a key its certificate'],
    ["queues: { '64': 1 }", 'switches.leaf-1.queues.64: must be a DSCP from 0 to 63'],
  ])('%s', (setting, problem) => {
    expect(problemsOf(leaf(`    ${setting}\n`))).toEqual([problem]);
  });

  it('that is not there, or no YAML, is said in a sentence', () => {
    expect(() => readSwitchFile(join(folder, 'none.yaml'))).toThrow(/none\.yaml: cannot be read/);
    expect(problemsOf('switches: [')[0]).toContain('switches.yaml:');
    expect(problemsOf('{}')).toEqual(['switches: must be given: settings with names, like { name: value }']);
  });
});

describe('what would do something else than it says', () => {
  it.each([
    ["routes: { '2001:db8::/1': host }", 'covers all of IPv4 as well'],
    ["routes: { '::/0': host }", 'covers all of IPv4 as well'],
    ["deny: [{ destination: '::0/1' }]", 'covers all of IPv4 as well'],
    ['routes: { 10.0.1.0/24: {} }', 'must be a next hop, a list of them, or next hops with weights'],
    ['watch: [{ flows: {}, changes: { latency: 500ns, period: 1s } }]', 'must be from 1us to 1h, or 0s for none'],
    ['watch: [{ flows: {}, changes: { latency: 1ms, period: 2h } }]', 'must be from 1us to 1h, or 0s for none'],
  ])('%s', (setting, problem) => {
    expect(problemsOf(leaf(`    ${setting}\n`)).join('\n')).toContain(problem);
  });

  it('keeps prefixes of IPv6 that have no IPv4 in them', () => {
    expect(read(leaf("    routes: { '2000::/3': host, '8000::/1': spine }\n"))[0].routes).toHaveLength(2);
  });

  it('takes INT off and tells nobody', () => {
    expect(problemsOf(leaf('    program: embedded\n    embedded: { sinks: [1] }\n'))).toEqual([
      'switches.leaf-1.report: must be given: something is watched, and nobody would be told',
    ]);
  });
});
