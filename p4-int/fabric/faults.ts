// What goes wrong, and when: the faults of a scenario as moments at which the fabric changes.

import type { FaultSpec } from './scenario.ts';
import type { Simulator } from './simulator.ts';

export interface FaultMoment {
  atPs: number;
  apply: () => void;
}

/** The moments of all faults. Throws when one names a node, interface or queue that the fabric does not have. */
export function planFaults(faults: readonly FaultSpec[], simulator: Simulator): FaultMoment[] {
  const moments: FaultMoment[] = [];
  const between = (at: number, until: number | undefined, set: (isOn: boolean) => void): void => {
    moments.push({ atPs: at, apply: () => set(true) });
    if (until !== undefined) moments.push({ atPs: until, apply: () => set(false) });
  };
  for (const fault of faults) {
    const node = simulator.topology.switchNamed(fault.node);
    switch (fault.kind) {
      case 'link-down': {
        const port = simulator.topology.portOf(node, fault.interface);
        const { at, until, detection } = fault;
        between(at, until, (isOn) => simulator.setLinkDown(port, isOn));
        between(at + detection, until === undefined ? undefined : until + detection, (isOn) =>
          simulator.routing.setDown(port, isOn),
        );
        break;
      }
      case 'silent-loss': {
        const port = simulator.topology.portOf(node, fault.interface);
        between(fault.at, fault.until, (isOn) => simulator.setLinkLoss(port, isOn ? fault.probability : 0));
        break;
      }
      case 'wrong-dscp-map': {
        const wrong = simulator.queues.classOfQueue(fault.queue);
        const right = fault.dscp.map((dscp) => simulator.classOf(node, dscp));
        between(fault.at, fault.until, (isOn) =>
          fault.dscp.forEach((dscp, i) => simulator.mapDscp(node, dscp, isOn ? wrong : right[i])),
        );
        break;
      }
      case 'acl':
      case 'blackhole':
      case 'no-route':
      case 'pinned-route':
      case 'wrong-route':
        if ('interface' in fault) simulator.topology.portOf(node, fault.interface);
        between(fault.at, fault.until, (isOn) => simulator.routing.set(fault, isOn));
    }
  }
  return moments;
}
