// The heads of the packets of each flow, made when they are first wanted.

import type { Flow } from '../flow.ts';
import { PacketHead } from '../../wire/packet-head.ts';
import type { Layer } from '../../wire/layers.ts';

const GTPU_PORT = 2152;

/** Locally administered addresses; what they are is of no account. */
const ETHERNET: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };

export class Heads {
  readonly #heads: PacketHead[] = [];

  of(flow: Flow): PacketHead {
    return (this.#heads[flow.index] ??= new PacketHead([ETHERNET, ...layersOf(flow)]));
  }
}

/** The headers of the flow's packets from IP on; lengths are put in per packet. */
function layersOf(flow: Flow): Layer[] {
  const { gtpu, dscp, sourcePort, destinationPort, protocol } = flow;
  const ip = (source: string, destination: string): Layer => ({
    kind: destination.includes(':') ? 'ipv6' : 'ipv4',
    source,
    destination,
    dscp,
  });
  const inner: Layer[] = [
    ip(flow.sourceAddress, flow.destinationAddress),
    protocol === 6 ? { kind: 'tcp', sourcePort, destinationPort } : { kind: 'udp', sourcePort, destinationPort },
  ];
  if (gtpu === undefined) return inner;
  return [
    ip(gtpu.outerSource, gtpu.outerDestination),
    { kind: 'udp', sourcePort: GTPU_PORT, destinationPort: GTPU_PORT, checksum: 0 },
    { kind: 'gtpu', teid: gtpu.teid, extensions: [{ kind: 'pduSession', direction: gtpu.direction, qfi: gtpu.qfi }] },
    ...inner,
  ];
}
