// Small fabrics for tests, written in the form of a scenario file.

import { parseScenario } from '../../p4-int/fabric/scenario-file.ts';
import type { Scenario } from '../../p4-int/fabric/scenario.ts';

export interface SmallFabric {
  /** What stands behind `fabric:`. */
  fabric?: string;
  /** One source a line. Workloads a/one, a/two and a/three are on hosts 0, 1 and 2 (leaf-1), b/one and b/two on 4 and 5 (leaf-2). */
  traffic: string[];
  more?: string;
  duration?: string;
}

/** A fabric of two leaves and two spines with four hosts each. */
export function smallFabric({
  fabric = 'leaves: 2, spines: 2, hostsPerLeaf: 4',
  traffic,
  more = '',
  duration = '5ms',
}: SmallFabric): Scenario {
  const text = `
name: small
about: a test
trap: none
duration: ${duration}
fabric: { ${fabric} }
workloads:
  - { name: a/one, pods: [{ host: 0, address: 10.1.0.1, address6: 'fd00::1:1' }] }
  - { name: a/two, pods: [{ host: 1, address: 10.1.0.2 }] }
  - { name: a/three, pods: [{ host: 2, address: 10.1.0.3 }] }
  - { name: b/one, pods: [{ host: 4, address: 10.2.0.1, address6: 'fd00::2:1' }] }
  - { name: b/two, pods: [{ host: 5, address: 10.2.0.2 }] }
traffic:
${traffic.map((line, i) => `  - { name: t${i}, ${line} }`).join('\n')}
${more}`;
  return parseScenario(text, 'a test');
}
