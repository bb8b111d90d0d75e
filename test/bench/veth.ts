// The rate without loss over a pair of virtual Ethernet ports, with eight exporters in turn, so that nothing can be coalesced.

import { execFileSync } from 'node:child_process';
import { startCollectorProcess } from './collector-process.ts';
import { lossFreeRates, warmUp } from './ingest.ts';
import { measureOf, type Family, type Measure } from './measure.ts';
import { compileNative } from './native.ts';

const NAMESPACE = 'hopscope-bench';
const [OUTER, INNER] = ['hopscope-b0', 'hopscope-b1'];
const [OWN, THEIRS] = ['198.18.77.1', '198.18.77.2'];
const EXPORTERS = 8;
const TRIAL_DATAGRAMS = 200_000;

export const vethFamily: Family = {
  names: ['ingest.veth.loss-free-rate'],
  async run(_wanted, say): Promise<Measure[]> {
    const native = compileNative();
    if (native === undefined || !makeNetwork()) {
      say('bench: a network namespace and a C compiler are needed for the rate over veth: not measured');
      native?.dispose();
      return [];
    }
    try {
      const collector = await startCollectorProcess({ ingest: { address: OWN } });
      try {
        await warmUp(native, collector, { address: OWN, namespace: NAMESPACE });
        const load = { address: OWN, namespace: NAMESPACE, segments: 1, sockets: EXPORTERS, flows: 1000 };
        return [
          measureOf('ingest.veth.loss-free-rate', 'datagrams/s', await lossFreeRates(native, collector, load, TRIAL_DATAGRAMS)),
        ];
      } finally {
        await collector.stop();
      }
    } finally {
      removeNetwork();
      native.dispose();
    }
  },
};

/** False where this may not be done: without privileges, or without the tools. */
function makeNetwork(): boolean {
  removeNetwork();
  try {
    ip(`netns add ${NAMESPACE}`);
    ip(`link add ${OUTER} type veth peer name ${INNER}`);
    ip(`link set ${INNER} netns ${NAMESPACE}`);
    ip(`addr add ${OWN}/24 dev ${OUTER}`);
    ip(`link set ${OUTER} up`);
    ip(`-n ${NAMESPACE} addr add ${THEIRS}/24 dev ${INNER}`);
    ip(`-n ${NAMESPACE} link set ${INNER} up`);
    return true;
  } catch {
    removeNetwork();
    return false;
  }
}

/** Removes what is there of it; a pair goes with its namespace. */
function removeNetwork(): void {
  for (const command of [`link del ${OUTER}`, `netns del ${NAMESPACE}`]) {
    try {
      ip(command);
    } catch {
      // It was not there.
    }
  }
}

function ip(command: string): void {
  execFileSync('ip', command.split(' '), { stdio: 'ignore' });
}
