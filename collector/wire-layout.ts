// Headers as tables of fields, in the specifications' words: what `hopscope decode --explain` walks over. The decoders do not use them, so that the
// two check one another.
// A layout is a list of NAME:BITS; x behind the bits asks for hexadecimal, a for an IPv4 address, A for an IPv6 address.

export interface WireField {
  readonly name: string;
  readonly bits: number;
  readonly format: 'number' | 'hex' | 'ipv4' | 'ipv6';
}

const FORMATS = { x: 'hex', a: 'ipv4', A: 'ipv6' } as const;

function layout(text: string): readonly WireField[] {
  return text.split(' ').map((field) => {
    const [, name, bits, suffix] = /^([^:]+):(\d+)([xaA]?)$/.exec(field)!;
    return { name, bits: Number(bits), format: suffix === '' ? 'number' : FORMATS[suffix as keyof typeof FORMATS] };
  });
}

export const LAYOUTS = {
  reportV05: layout('Ver:4 NProto:4 D:1 Q:1 F:1 Reserved:15 hw_id:6 Sequence:32 IngressTimestamp:32'),
  reportV05Drop: layout('SwitchID:32 IngressPort:16 EgressPort:16 QueueID:8 DropReason:8 Pad:16'),
  reportV05Local: layout('SwitchID:32 IngressPort:16 EgressPort:16 QueueID:8 QueueOccupancy:24 EgressTimestamp:32'),
  reportV10: layout(
    'Ver:4 Length:4 NProt:3 RepMdBits:6x Reserved:6 D:1 Q:1 F:1 hw_id:6 SwitchID:32 Sequence:32 IngressTimestamp:32',
  ),
  reportV20Group: layout('Ver:4 hw_id:6 Sequence:22 NodeID:32'),
  reportV20Head: layout('RepType:4 InType:4 ReportLength:8 MDLength:8 D:1 Q:1 F:1 I:1 Reserved:4'),
  reportV20Main: layout('RepMdBits:16x DomainSpecificID:16x DSMdBits:16x DSMdstatus:16x'),
  hostIntDrop: layout('SourceNode:32 SinkNode:32 SourcePort:16 SinkPort:16 GapTimestamp:32 GapSequence:32 GapCount:32'),
  ethernet: layout('Destination:48x Source:48x EtherType:16x'),
  vlan: layout('PCP:3 DEI:1 VID:12 EtherType:16x'),
  mpls: layout('Label:20 TC:3 S:1 TTL:8'),
  ipv4: layout(
    'Version:4 IHL:4 DSCP:6 ECN:2 TotalLength:16 Identification:16 Flags:3 FragmentOffset:13 TTL:8 Protocol:8 Checksum:16x Source:32a Destination:32a',
  ),
  ipv6: layout('Version:4 DSCP:6 ECN:2 FlowLabel:20x PayloadLength:16 NextHeader:8 HopLimit:8 Source:128A Destination:128A'),
  ipv6Extension: layout('NextHeader:8 HdrExtLen:8'),
  tcp: layout(
    'SourcePort:16 DestinationPort:16 Sequence:32 Acknowledgment:32 DataOffset:4 Reserved:4 Flags:8x Window:16 Checksum:16x Urgent:16',
  ),
  udp: layout('SourcePort:16 DestinationPort:16 Length:16 Checksum:16x'),
  sctp: layout('SourcePort:16 DestinationPort:16 VerificationTag:32x Checksum:32x'),
  icmp: layout('Type:8 Code:8 Checksum:16x RestOfHeader:32x'),
  gre: layout('C:1 R:1 K:1 S:1 Reserved:9 Version:3 Protocol:16x'),
  vxlan: layout('Flags:8x Reserved:24x VNI:24 Reserved:8'),
  geneve: layout('Version:2 OptLen:6 O:1 C:1 Reserved:6 Protocol:16x VNI:24 Reserved:8'),
  gtpu: layout('Version:3 PT:1 Spare:1 E:1 S:1 PN:1 MessageType:8 Length:16 TEID:32x'),
  gtpuOptions: layout('Sequence:16 N-PDU:8 NextExtension:8x'),
  shimV2: layout('Type:4 NPT:2 R:2 Length:8 Field:16x'),
  shimOlder: layout('Type:8 Reserved:8 Length:8 DSCP:6 R:2'),
  intV2: layout(
    'Ver:4 D:1 E:1 M:1 Reserved:12 HopML:5 RemainingHops:8 Instructions:16x DomainSpecificID:16x DSInstruction:16x DSFlags:16x',
  ),
  intMx: layout('Ver:4 D:1 Reserved:27 Instructions:16x DomainSpecificID:16x DSInstruction:16x DSFlags:16x'),
  intV1: layout('Ver:4 Rep:2 C:1 E:1 M:1 Reserved:10 HopML:5 RemainingHops:8 Instructions:16x Reserved:16x'),
  intV05: layout('Ver:4 Rep:2 C:1 E:1 R:3 InsCnt:5 MaxHopCnt:8 TotalHopCnt:8 Instructions:16x Reserved:16x'),
  ioamOption: layout('OptionType:8x OptDataLen:8 Reserved:8 IOAMOptType:8'),
  ioamTrace: layout('NamespaceID:16 NodeLen:5 Flags:4x RemainingLen:7 TraceType:24x Reserved:8'),
  ifa: layout('Ver:4 GNS:4 NextHeader:8 Flags:8x MaxLength:8'),
  sflow: layout('Version:32 AddressType:32'),
  sflowTail: layout('SubAgentID:32 Sequence:32 Uptime:32 Samples:32'),
  sflowSample: layout('Enterprise:20 Format:12 Length:32'),
  sflowFlow: layout(
    'Sequence:32 SourceType:8 SourceIndex:24 SamplingRate:32 SamplePool:32 Drops:32 Input:32x Output:32x Records:32',
  ),
  sflowCounters: layout('Sequence:32 SourceType:8 SourceIndex:24 Records:32'),
  sflowRaw: layout('Protocol:32 FrameLength:32 Stripped:32 HeaderLength:32'),
  ipfix: layout('Version:16 Length:16 ExportTime:32 Sequence:32 ObservationDomain:32'),
  ipfixSet: layout('SetID:16 Length:16'),
} as const;

/** Metadata by instruction bit, first bit first; reserved bits take a word. `v2` widths: timestamps of 64 bits. */
export const INT_METADATA = {
  v2: intMetadata(64, layout('Level2Ingress:32 Level2Egress:32')),
  v1: intMetadata(32, layout('Level2Ingress:32 Level2Egress:32')),
  v05: intMetadata(32, layout('QueueID:8 QueueCongestion:24')),
} as const;

function intMetadata(stampBits: number, bit6: readonly WireField[]): readonly (readonly WireField[])[] {
  return [
    layout('NodeID:32'),
    layout('IngressInterface:16 EgressInterface:16'),
    layout('HopLatency:32'),
    layout('QueueID:8 QueueOccupancy:24'),
    layout(`IngressTimestamp:${stampBits}`),
    layout(`EgressTimestamp:${stampBits}`),
    bit6,
    layout('TxUtilization:32'),
    layout('BufferID:8 BufferOccupancy:24'),
  ];
}

/** What the queue and drop-reason bit of a report carries. */
export const DROP_METADATA = layout('QueueID:8 DropReason:8 Pad:16');
