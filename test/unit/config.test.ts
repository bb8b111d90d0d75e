// Configuration: every problem at once with its path and the accepted form, secrets never shown, and the reference page is true.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../collector/config-form.ts';
import { isLoopback, parseConfig, readSecrets } from '../../collector/config.ts';

function problemsOf(text: string): readonly string[] {
  try {
    parseConfig(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
  return [];
}

describe('defaults', () => {
  it('serve without any text, bind HTTP to loopback, and are frozen', () => {
    const config = parseConfig('');
    expect(config.http).toMatchObject({ address: '127.0.0.1', port: 9733 });
    expect(config.ingest.port).toBe(32_766);
    expect(config.congestion.openWait).toBe(50_000);
    expect(Object.isFrozen(config)).toBe(true);
  });
});

describe('problems', () => {
  it('are reported all at once, each with its path and what is accepted', () => {
    const problems = problemsOf(`
ingest: { port: 99999, sources: [{ addresses: [10.0.0.300], portRate: 10 }], adress: x }
congestion: { openWait: 50 }
http: { port: "9733", address: 0.0.0.0 }
webhooks: [{ name: a, url: ftp://x, secret: {} }]
`);
    const at = (path: string): string | undefined => problems.find((problem) => problem.startsWith(`${path}: `));
    expect(at('ingest.port')).toContain('65535');
    expect(at('ingest.adress')).toContain('not a known setting');
    expect(at('ingest.sources[0].addresses[0]')).toContain('an address or a CIDR');
    expect(at('ingest.sources[0].portRate')).toContain('like 10G');
    expect(at('congestion.openWait')).toContain('50us');
    expect(at('http.port')).toBe('http.port: must be a number');
    expect(at('http.token')).toContain('not a loopback address');
    expect(at('webhooks[0].url')).toContain('http://');
    expect(at('webhooks[0].secret')).toContain('exactly one of env');
  });

  it.each([
    ['http: { address: 0.0.0.0 }', 'http.token'],
    ['ingest: { sources: [{ addresses: [::1], occupancyUnit: cells }] }', 'ingest.sources[0].occupancyUnitBytes'],
    ['egress: { allow: ["example.net"] }', 'egress.allow[0]'],
    ['egress: { allow: ["127.1:80"] }', 'egress.allow[0]'],
    [
      'remediation: { rules: [{ name: a, action: limit-egress, value: 400M, namespaces: [x], endpoint: b }] }',
      'remediation.rules[0].endpoint',
    ],
    ['remediation: { rules: [{ name: a, action: limit-rate, value: 400M, namespaces: [x] }] }', 'remediation.rules[0].switches'],
    [
      'remediation: { rules: [{ name: a, action: limit-egress, value: 400M, namespaces: [x], lease: 1h, renewals: 1 }] }',
      'remediation.rules[0].renewals',
    ],
    ['congestion: { openWait: 10us, closeWait: 20us }', 'congestion.closeWait'],
    ['nodes: [{ id: 1, name: a }, { id: 1, name: b }]', 'nodes'],
  ])('%s needs %s', (text, path) => expect(problemsOf(text)[0]).toMatch(new RegExp(`^${path.replace(/[[\]]/g, '\\$&')}: `)));

  it('of YAML itself name the line', () => expect(problemsOf('http: {\n  port: 1')[0]).toMatch(/line \d+, column \d+$/));

  it.each([
    [
      'webhooks: [{ name: a, url: "http://x", secret: text }]',
      'webhooks[0].secret: must be settings with names, like { name: value }',
    ],
    ['ingest: { sources: [{ addresses: 10.0.0.0/8 }] }', 'ingest.sources[0].addresses: must be a list, like [one, two]'],
    ['nodes: [{ id: 1 }]', 'nodes[0].name: must be given: text'],
  ])('%s is answered with the accepted form', (text, problem) => expect(problemsOf(text)).toEqual([problem]));

  it('are none for a section whose contents are commented out', () =>
    expect(problemsOf('ingest:\n  # port: 1\nhttp:\n')).toEqual([]));
});

describe('secrets', () => {
  const config = parseConfig(`
http: { token: { env: HOPSCOPE_TEST_TOKEN } }
influx: { url: "http://127.0.0.1:8086", password: { file: /nonexistent } }
webhooks:
  - { name: a, url: "http://127.0.0.1:1", secret: { env: HOPSCOPE_TEST_SHORT } }
  - { name: b, url: "http://127.0.0.1:1", secret: { env: HOPSCOPE_TEST_MISSING } }
`);

  it('that are missing or too short are named all at once, without any value', () => {
    process.env['HOPSCOPE_TEST_TOKEN'] = 'a token of the test';
    process.env['HOPSCOPE_TEST_SHORT'] = 'hunter2';
    let message = '';
    try {
      readSecrets(config);
    } catch (error) {
      message = (error as ConfigError).message;
    }
    expect(message).toContain('influx.password.file: /nonexistent is not set or cannot be read');
    expect(message).toContain('webhooks[0].secret.env: variable HOPSCOPE_TEST_SHORT must hold at least 24 characters');
    expect(message).toContain('webhooks[1].secret.env: variable HOPSCOPE_TEST_MISSING is not set');
    expect(message).not.toContain('hunter2');
  });

  it('come from the environment or a file', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'hopscope-secret-')), 'token');
    writeFileSync(path, 'a token that lies in a file\n');
    const { httpToken } = readSecrets(parseConfig(JSON.stringify({ http: { token: { file: path } } })));
    expect(httpToken).toBe('a token that lies in a file');
    process.env['HOPSCOPE_TEST_TOKEN'] = 'a token of the test';
    expect(readSecrets(parseConfig('http: { token: { env: HOPSCOPE_TEST_TOKEN } }')).httpToken).toBe('a token of the test');
  });
});

it.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
])('%s is loopback: %s', (address, expected) => expect(isLoopback(address)).toBe(expected));

describe('docs/configuration.md', () => {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'configuration.md'), 'utf8');
  const yaml = /```yaml\n([\s\S]*?)```/.exec(page)![1];

  it('is a valid configuration', () => expect(() => parseConfig(yaml)).not.toThrow());

  it('shows every default as it is', () => {
    const shown = parseConfig(yaml);
    const defaults = parseConfig('');
    for (const part of ['congestion', 'remediation', 'limits', 'store'] as const) expect(shown[part]).toEqual(defaults[part]);
    expect({ ...shown.ingest, sources: [] }).toEqual(defaults.ingest);
  });
});
