// The files that are shipped for real servers, checked by the real tools: rules by promtool, configuration by promtool and amtool,
// compose by docker-compose; and everything generated is as its code says.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { parse } from 'yaml';
import { rulesYaml } from '../../alerts/rules/generate.ts';
import { RULE_GROUPS } from '../../alerts/rules/rules.ts';
import { loadConfig, parseConfig } from '../../collector/config.ts';
import { DASHBOARDS, dashboardJson } from '../../dashboards/grafana/generate.ts';
import { performancePage } from '../bench/page.ts';
import { codesPage, metricsPage } from '../../docs/generate.ts';
import { readSwitchFile } from '../../collector/switch-file.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { wantedOf } from '../../p4-int/runtime/wanted.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { scenarioNamed } from '../../p4-int/fabric/scenario-file.ts';

const root = join(import.meta.dirname, '..', '..');
const { promtool, amtool, compose } = inject('servers');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

function run(program: string, args: string[], env: NodeJS.ProcessEnv = {}, cwd = root): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

describe('generated files are as their code says (npm run generate)', () => {
  it.each<[string, () => string]>([
    ['alerts/rules/hopscope.yaml', rulesYaml],
    ...Object.keys(DASHBOARDS).map(
      (name) => [`dashboards/grafana/${name}.json`, () => dashboardJson(name)] as [string, () => string],
    ),
    ['docs/metrics.md', metricsPage],
    ['docs/reference/codes.md', codesPage],
    ['docs/reference/performance.md', performancePage],
  ])('%s', (path, generate) => expect(text(path)).toBe(generate()));
});

describe.skipIf(promtool === undefined)('promtool', () => {
  it('accepts the rules', () => expect(run(promtool!, ['check', 'rules', 'alerts/rules/hopscope.yaml'])).toContain('SUCCESS'));

  it('runs the rule tests, which test every alert', () => {
    expect(run(promtool!, ['test', 'rules', 'hopscope.test.yaml'], {}, join(root, 'alerts/rules'))).toContain('SUCCESS');
    const tested = new Set(
      parse(text('alerts/rules/hopscope.test.yaml')).tests.flatMap((t: any) => t.alert_rule_test.map((a: any) => a.alertname)),
    );
    for (const rule of RULE_GROUPS.flatMap((group) => group.rules)) if ('alert' in rule) expect(tested).toContain(rule.alert);
  });

  it('accepts the Prometheus configuration with the rules mounted beside it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'hopscope-promtool-'));
    writeFileSync(join(folder, 'prometheus.yml'), text('compose/prometheus.yml'));
    copyFileSync(join(root, 'alerts/rules/hopscope.yaml'), join(folder, 'hopscope.yaml'));
    expect(run(promtool!, ['check', 'config', join(folder, 'prometheus.yml')])).toContain('SUCCESS');
  });
});

it.skipIf(amtool === undefined)('amtool accepts the Alertmanager configuration', () => {
  expect(run(amtool!, ['check-config', 'compose/alertmanager.yml'])).toContain('SUCCESS');
});

describe('docker-compose.yml', () => {
  const file = parse(text('docker-compose.yml'));

  it.skipIf(compose === undefined)('is accepted by docker-compose config, with all profiles', () => {
    const env = { PYTHONPATH: join(compose!, 'usr/lib/python3/dist-packages') };
    const script = join(compose!, 'usr/bin/docker-compose');
    const accepted = parse(run('/usr/bin/python3', [script, '--profile', 'demo', '--profile', 'bmv2', 'config'], env));
    expect(Object.keys(accepted.services).sort()).toEqual(Object.keys(file.services).sort());
    expect(accepted.services.fabric.profiles).toEqual(['demo']);
  });

  it('mounts only paths that exist', () => {
    const mounts = Object.values<any>(file.services).flatMap((service) => service.volumes ?? []);
    const paths = mounts.map((mount: string) => mount.split(':')[0]).filter((path: string) => path.startsWith('.'));
    expect(paths.length).toBeGreaterThan(5);
    for (const path of paths) expect(existsSync(join(root, path)), path).toBe(true);
  });

  it('pins every image', () => {
    for (const { image } of Object.values<any>(file.services)) {
      // The reference switch is published without versions; its `stable` is of 2021, and has no queues.
      if (image !== 'p4lang/behavioral-model:latest') expect(image).toMatch(/:v?\d+\.\d+(\.\d+)?$/);
    }
    for (const line of text('Dockerfile')
      .split('\n')
      .filter((l) => l.startsWith('FROM')))
      expect(line).toMatch(/node:\d+\.\d+\.\d+/);
  });

  it('starts the collector with a configuration that is valid and knows the simulated fabric', () => {
    const config = loadConfig(join(root, 'compose/hopscope.yaml'));
    const known = parseConfig(JSON.stringify(scenarioSettings(scenarioNamed('noisy-backup'))));
    expect(config.nodes).toEqual(known.nodes);
    expect(config.inventory).toEqual(known.inventory);
  });

  it('brings up the switches of the bmv2 profile, whose nodes its collector knows, on the interfaces that they have', () => {
    const config = loadConfig(join(root, 'compose/bmv2/hopscope.yaml'));
    const specs = readSwitchFile(join(root, 'compose/bmv2/switches.yaml'));
    expect(config.nodes).toMatchObject(specs.map(({ nodeId, target }) => ({ id: nodeId, name: target.name })));
    for (const spec of specs) {
      const { program } = shippedProgram(spec.program);
      for (const entry of wantedOf(spec).entries) expect(() => program.encode(entry)).not.toThrow();
      const { networks } = file.services[spec.target.name];
      const addresses = Object.values<any>(networks).flatMap(({ ipv4_address: address }) => address ?? []);
      const ports = addresses.map((address: string) => Number(address.split('.')[3]) - 200);
      const used = [...spec.nexthops.map((nexthop) => nexthop.interface), spec.report!.interface];
      expect(ports.sort()).toEqual(used.sort());
      expect(spec.target.address).toBe(`${spec.target.name}:9559`);
    }
    for (const [name, { address, mac }] of Object.entries({
      app: { address: '10.0.1.10', mac: '02:00:00:00:00:01' },
      backup: { address: '10.0.2.10', mac: '02:00:00:00:00:02' },
      storage: { address: '10.0.3.10', mac: '02:00:00:00:00:03' },
    })) {
      expect(file.services[name]).toMatchObject({ mac_address: mac, networks: { [name]: { ipv4_address: address } } });
      expect(text('compose/bmv2/switches.yaml')).toContain(`${name}: { interface:`);
    }
  });

  it('gives Grafana data sources and a folder that are mounted', () => {
    const { datasources } = parse(text('compose/grafana/provisioning/datasources/hopscope.yaml'));
    const boards = Object.keys(DASHBOARDS).map((name) => `dashboards/grafana/${name}.json`);
    for (const path of boards) expect(file.services.grafana.volumes.join()).toContain(path);
    const used = [
      ...boards
        .map(text)
        .join()
        .matchAll(/"uid": "(hopscope-prom[^"]*)"/g),
    ].map((match) => match[1]);
    expect(used.length).toBeGreaterThan(10);
    for (const uid of used) expect(datasources.map((d: any) => d.uid)).toContain(uid);
    const [provider] = parse(text('compose/grafana/provisioning/dashboards/hopscope.yaml')).providers;
    expect(file.services.grafana.volumes.join()).toContain(provider.options.path);
  });
});
