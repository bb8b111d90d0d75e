// Scenario files: what is wrong is told at once, with its place; what ships is complete and runs.

import { describe, expect, it } from 'vitest';
import { parseScenario, ScenarioError, scenarioNamed, scenarioNames } from '../../../p4-int/fabric/scenario-file.ts';
import { Simulator } from '../../../p4-int/fabric/simulator.ts';

const GOOD = `
name: good
about: one
trap: none
duration: 1ms
fabric: { leaves: 1, spines: 1, hostsPerLeaf: 2 }
workloads: [{ name: a/a, pods: [{ host: 0, address: 10.0.0.1 }] }, { name: a/b, pods: [{ host: 1, address: 10.0.0.2 }] }]
traffic: [{ name: t, kind: poisson, from: a/a, to: a/b, rate: 1G }]
`;

describe('problems', () => {
  it('are told all at once', () => {
    const bad = GOOD.replace('1ms', 'soon').replace('rate: 1G', 'rate: fast').replace('hostsPerLeaf: 2', 'hostsPerLeaf: none');
    const told = () => parseScenario(bad, 'bad.yaml');
    expect(told).toThrow(ScenarioError);
    expect(told).toThrow(/bad\.yaml has 3 problems/);
    expect(told).toThrow(/duration: must be a time with its unit/);
    expect(told).toThrow(/traffic\[0\]\.rate: must be a rate in bits per second/);
  });

  it.each([
    ['a workload that is not there', GOOD.replace('to: a/b', 'to: a/c'), 'traffic[0].to: no workload is called a/c'],
    ['a host that is not there', GOOD.replace('host: 1', 'host: 9'), 'workloads[1].pods[0].host: there are 2 hosts, 0 to 1'],
    ['a setting that is not there', GOOD.replace('trap:', 'trip:'), 'Unrecognized key: "trip"'],
    ['no YAML', 'a: [', 'has 1 problem'],
  ])('%s', (_name, text, problem) => {
    expect(() => parseScenario(text, 'bad.yaml')).toThrow(problem);
  });

  it('a name that is not there is answered with those that are', () => {
    expect(() => scenarioNamed('wat')).toThrow(/does not exist; there are .*decoy-elephant/);
  });

  it.each([
    [
      'a node',
      'faults: [{ kind: acl, node: leaf-9, prefix: 10.0.0.0/8, at: 0s }]',
      'no switch is called leaf-9; there are leaf-1, spine-1',
    ],
    [
      'an interface',
      'faults: [{ kind: silent-loss, node: leaf-1, interface: 7, probability: 1, at: 0s }]',
      'leaf-1 has interfaces 1 to 3, not 7',
    ],
  ])('%s of a fault that is not there', (_name, faults, problem) => {
    expect(() => new Simulator(parseScenario(GOOD + faults, 'bad.yaml'), 1, [])).toThrow(problem);
  });
});

describe.each(scenarioNames())('%s', (name) => {
  const scenario = scenarioNamed(name);

  it('says what it tests and what its trap is, and runs', () => {
    expect(scenario.name).toBe(name);
    expect(scenario.about.length).toBeGreaterThan(80);
    expect(scenario.trap.length).toBeGreaterThan(30);
    const simulator = new Simulator(scenario, 1, []);
    simulator.run(scenario.duration / 50);
    expect(simulator.totals.sent).toBeGreaterThan(0);
  });
});
