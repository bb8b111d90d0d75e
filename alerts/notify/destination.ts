// Where Hopscope may connect to when it tells somebody something: public addresses, and of all others those that the configuration file
// lists. Asked with the address that a name was resolved to, at the moment of connecting: a name that changes its mind gets nowhere.
// Rule: link-local addresses (metadata services above all), transition prefixes that hide an IPv4 address, and places of our own are never allowed.

import ipaddr from 'ipaddr.js';

/** An entry of the allow-list: a network, and the port if one is said. */
export interface AllowedDestination {
  network: string;
  port?: number;
}

/** A place that is refused even where the list has it; without a port, all of them. */
export interface ForbiddenDestination {
  address: string;
  port?: number;
  /** What is there, for the sentence that refuses it. */
  what: string;
}

/** Private to a site: needs an entry. Loopback needs one with its port: whoever listens on this machine trusts what comes from it. */
const PRIVATE = ['private', 'uniqueLocal', 'carrierGradeNat'];
const LOOPBACK = 'loopback';
const PUBLIC = 'unicast';

/** `10.0.0.0/8`, `10.0.0.5:9000`, `[fd00::5]:9000`, `fd00::/8`, `127.0.0.1:9000`; undefined where it is none of these. */
export function allowedDestinationOf(text: string): AllowedDestination | undefined {
  const withPort = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const network = withPort === null ? text : (withPort[1] ?? withPort[2]);
  const port = withPort === null ? undefined : Number(withPort[3]);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  const isNetwork =
    ipaddr.isValidCIDR(network) ||
    (network.includes(':') ? ipaddr.isValid(network) : ipaddr.IPv4.isValidFourPartDecimal(network));
  return isNetwork ? { network, ...(port !== undefined && { port }) } : undefined;
}

export class Destinations {
  readonly #allowed: readonly AllowedDestination[];
  readonly #forbidden: readonly ForbiddenDestination[];

  constructor(allowed: readonly AllowedDestination[], forbidden: readonly ForbiddenDestination[] = []) {
    this.#allowed = allowed;
    this.#forbidden = forbidden;
  }

  /** Why nothing is sent to this address; undefined where it may be. */
  refusalOf(address: string, port: number): string | undefined {
    // An IPv4 address in IPv6 clothes is what it is inside.
    const parsed = ipaddr.process(address);
    const own = this.#forbidden.find((one) => isIn(parsed, one.address) && (one.port ?? port) === port);
    if (own !== undefined) return `${address} port ${port} is ${own.what}`;
    const range = parsed.range();
    // IPv4-compatible addresses (RFC 4291 §2.5.5.1) hide an IPv4 address, too, and pass for public ones.
    if (range === PUBLIC && !isIn(parsed, '::/96')) return undefined;
    const listed = this.#allowed.filter(({ network, port: only }) => isIn(parsed, network) && (only ?? port) === port);
    if (PRIVATE.includes(range)) return listed.length > 0 ? undefined : `${address} is not public, and not in egress.allow`;
    if (range !== LOOPBACK) return `${address} is ${range}, which is never sent to`;
    const isNamed = listed.some(({ port: only }) => only === port);
    return isNamed ? undefined : `${address} is this machine: egress.allow must list it with port ${port}`;
  }
}

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, network: string): boolean {
  const [base, length] = network.includes('/')
    ? ipaddr.parseCIDR(network)
    : ([ipaddr.parse(network), network.includes(':') ? 128 : 32] as [ipaddr.IPv4 | ipaddr.IPv6, number]);
  return base.kind() === address.kind() && address.match(base, length);
}
