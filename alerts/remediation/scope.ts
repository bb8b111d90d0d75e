// What a single target may be: hosts by their own addresses, workloads by their names, buckets of one group. Whatever came in is looked at as if it
// could be anything: a plan that was made wrong must not become a change of everything.

import ipaddr from 'ipaddr.js';
import { isClusterAction, type ActionKind } from './change.ts';

/** As Kubernetes has them (RFC 1123 labels, and subdomains for workloads). */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const MAX_ADDRESSES = 8;
const BUCKETS = 256;
const MAX_ID = 0xffff;

/** Why a change may not have this target; empty where it may. `culprit` is namespace/workload. */
export function targetFaults(
  target: unknown,
  action: ActionKind,
  culprit: string,
  protectedAddresses: readonly string[],
): string[] {
  if (target === null || typeof target !== 'object') return ['a target is nothing'];
  const fields = target as Record<string, unknown>;
  const kind = action === 'shift-ecmp' ? MEMBER : isClusterAction(action) ? WORKLOAD : FLOW;
  const strange = Object.keys(fields).filter((key) => !kind.fields.includes(key));
  return [
    ...strange.map((key) => `a target has ${key}, which means nothing here`),
    ...kind.faultsOf(fields, culprit, protectedAddresses),
  ];
}

interface Kind {
  fields: readonly string[];
  faultsOf(fields: Record<string, unknown>, culprit: string, protectedAddresses: readonly string[]): string[];
}

const FLOW: Kind = {
  fields: ['source', 'destination', 'protocol', 'destinationPort'],
  faultsOf: ({ source, destination, protocol, destinationPort }, _culprit, protectedAddresses) => {
    const faults = [source, destination].flatMap((address) => hostFault(address, protectedAddresses) ?? []);
    if (!isWithin(protocol, 1, 254)) faults.push(`protocol ${String(protocol)} is none`);
    if (destinationPort !== undefined && !isWithin(destinationPort, 1, 65_535))
      faults.push(`port ${JSON.stringify(destinationPort)} is none`);
    return faults;
  },
};

const WORKLOAD: Kind = {
  fields: ['namespace', 'workload', 'addresses'],
  faultsOf: ({ namespace, workload, addresses }, culprit, protectedAddresses) => {
    const faults: string[] = [];
    if (typeof namespace !== 'string' || !LABEL.test(namespace))
      faults.push(`${String(namespace)} is not the name of one namespace`);
    if (typeof workload !== 'string' || !SUBDOMAIN.test(workload))
      faults.push(`${String(workload)} is not the name of one workload`);
    if (`${String(namespace)}/${String(workload)}` !== culprit) faults.push(`a target is not the culprit ${culprit}`);
    if (!Array.isArray(addresses) || addresses.length === 0 || addresses.length > MAX_ADDRESSES) {
      faults.push(`a workload must come with one to ${MAX_ADDRESSES} addresses of its pods`);
    } else faults.push(...addresses.flatMap((address) => hostFault(address, protectedAddresses) ?? []));
    return faults;
  },
};

const MEMBER: Kind = {
  fields: ['group', 'firstBucket', 'lastBucket', 'nexthop'],
  faultsOf: ({ group, firstBucket, lastBucket, nexthop }) => {
    const faults: string[] = [];
    if (!isWithin(group, 1, MAX_ID)) faults.push(`group ${String(group)} is none`);
    if (!isWithin(nexthop, 1, MAX_ID)) faults.push(`next hop ${String(nexthop)} is none`);
    if (!isWithin(firstBucket, 0, BUCKETS - 1) || !isWithin(lastBucket, Number(firstBucket), BUCKETS - 1)) {
      faults.push(`buckets ${String(firstBucket)} to ${String(lastBucket)} are none`);
    } else if (Number(lastBucket) - Number(firstBucket) + 1 === BUCKETS)
      faults.push('all buckets of a group are more than a share of it');
    return faults;
  },
};

function hostFault(address: unknown, protectedAddresses: readonly string[]): string | undefined {
  if (typeof address !== 'string' || !ipaddr.isValid(address)) return `${String(address)} is not the address of one host`;
  if (!isHost(address)) return `${address} is no host's own address`;
  // However it is written: a mapped IPv4 address is the same host.
  const text = ipaddr.process(address).toString();
  return protectedAddresses.some((one) => ipaddr.process(one).toString() === text) ? `${address} is protected` : undefined;
}

/** An address of one host in full, and neither multicast, broadcast, loopback nor unspecified. */
function isHost(address: string): boolean {
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !address.includes(':')) return false;
  return ['unicast', 'private', 'carrierGradeNat', 'uniqueLocal'].includes(ipaddr.process(address).range());
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}
