// Names of everything a decoder refuses or warns about: the index is the counter, the name is what people read.
// Rule: codes are values, never exceptions; a new code goes to the end so that indices stay stable within a process.

/** Why a datagram or one of its reports was refused; 0 is "not refused". */
export const REFUSALS = [
  'ok',
  'E_GROUP_SHORT',
  'E_VERSION',
  'E_NO_REPORT',
  'E_NPROTO',
  'E_REPORT_OVERRUN',
  'E_REPLEN',
  'E_MD_SHORT',
  'E_REPTYPE',
  'E_HDR_LENGTH',
  'E_MD_MISPLACED',
  'E_HOST_INT_PACKET',
  'E_TEMPLATE',
  'E_DIALECT',
] as const;
export type RefusalName = (typeof REFUSALS)[number];

export const Refusal = {
  none: 0,
  groupShort: 1,
  version: 2,
  noReport: 3,
  nextProtocol: 4,
  reportOverrun: 5,
  reportLength: 6,
  metadataShort: 7,
  reportType: 8,
  headerLength: 9,
  metadataMisplaced: 10,
  hostIntPacket: 11,
  template: 12,
  dialect: 13,
} as const;

/** What each refusal means, for people; `where` is the octet offset within the datagram. */
export const REFUSAL_TEXT: Record<RefusalName, string> = {
  ok: '',
  E_GROUP_SHORT: 'shorter than the fixed header of its version',
  E_VERSION: 'not a telemetry report version that is decoded',
  E_NO_REPORT: 'a group header without any report',
  E_NPROTO: 'next protocol is not known',
  E_REPORT_OVERRUN: 'Report Length reaches beyond the datagram',
  E_REPLEN: 'Report Length is smaller than its own contents',
  E_MD_SHORT: 'RepMdBits need more metadata than MD Length gives',
  E_REPTYPE: 'report type has no defined contents',
  E_MD_MISPLACED: 'a packet begins where the metadata should be, and none where the packet should be',
  E_HOST_INT_PACKET: 'no IPv4 packet with the Host-INT shim stands behind the header',
  E_TEMPLATE: 'the template of this data set has not been seen yet',
  E_DIALECT: 'not one of the dialects that the profile of this source lists',
  E_HDR_LENGTH: 'header Length is below its minimum or beyond the datagram',
};

/** What a decoder noticed without refusing; the index is the bit in `ReportColumns.warnings`. */
export const WARNINGS = [
  'W_TRAILING',
  'W_REPLEN_FF_SHORT',
  'W_REPLEN_ZERO',
  'W_MD_EXTRA',
  'W_DSMD_MISSING',
  'W_DS_UNKNOWN',
  'W_INNER_TRUNCATED',
  'W_INT_TRUNCATED',
  'W_INTYPE_MISMATCH',
  'W_INTYPE_RESERVED',
  'W_INNER_WITH_INTYPE_0',
  'E_INT_SHORT',
  'E_INT_LENGTH',
  'E_INT_VERSION',
  'E_HOPML',
  'E_INT_STACK_REMAINDER',
  'E_TLV_OVERRUN',
  'W_DQF_MISPLACED',
  'W_VERSION_NIBBLE',
  'W_INT_WIDTHS',
  'W_INT_HOPS_MISSING',
  'E_IOAM',
  'E_IFA',
  'W_NODE_ID_CUT',
  'W_MX_STACK',
  'W_LATENCY_IS_TIME',
] as const;
export type WarningName = (typeof WARNINGS)[number];

/** What each warning means, for people. Those that begin with E refuse a part of a report and leave its flow. */
export const WARNING_TEXT: Record<WarningName, string> = {
  W_TRAILING: 'octets behind the last report or sample',
  W_REPLEN_FF_SHORT: 'Report Length 255 with less than 255 words behind it',
  W_REPLEN_ZERO: 'Report Length 0 of an INT report: read to the end of the datagram, as BMv2 programs mean it',
  W_MD_EXTRA: 'more metadata than RepMdBits announce, and no domain-specific bit: passed over',
  W_DSMD_MISSING: 'domain-specific bits without domain-specific metadata',
  W_DS_UNKNOWN: 'metadata of a domain that the profile does not know: passed over, or the stack cannot be split',
  W_INNER_TRUNCATED: 'the fragment ends inside a header: what is whole is kept',
  W_INT_TRUNCATED: 'the fragment ends inside the stack: its newest entries are kept, the others listed empty',
  W_INTYPE_MISMATCH: 'the packet is not what InType says: read as what it is',
  W_INTYPE_RESERVED: 'contents of a kind that is not read',
  W_INNER_WITH_INTYPE_0: 'InType 0 announces nothing, and something is there',
  E_INT_SHORT: 'the INT headers are cut',
  E_INT_LENGTH: 'the Length of the INT shim is below its headers, or contradicts the hop count',
  E_INT_VERSION: 'not an INT version that is read',
  E_HOPML: 'the size of a stack entry contradicts the instruction bitmap',
  E_INT_STACK_REMAINDER: 'the stack is no whole number of entries',
  E_TLV_OVERRUN: 'a TLV reaches beyond its report',
  W_DQF_MISPLACED: 'report v1.0 with D, Q and F before the reserved bits, as in ONOS',
  W_VERSION_NIBBLE:
    'a version nibble that is not that of the layout: INT v1.0 as version 0 (ONOS), or the profile says which report version it is',
  W_INT_WIDTHS: 'INT v1.0 with timestamps of 64 bits and short level-2 interfaces, as in GEANT’s programs',
  W_INT_HOPS_MISSING:
    'the header says that nodes did not add themselves (E, M, or the overflow flag): there are holes in the path',
  E_IOAM: 'lengths of an IOAM trace contradict its trace type',
  E_IFA: 'no IFA header where the profile’s IP protocol announces one, or a stack that is no whole number of records',
  W_NODE_ID_CUT: 'a node id of 56 bits, of which the lower 32 are kept',
  W_MX_STACK: 'INT-MX metadata behind the header, as the profile says',
  W_LATENCY_IS_TIME: 'a latency without an ingress time is the egress time itself, as in GEANT’s sinks: dropped',
};

export const Warning = {
  trailing: 1 << 0,
  reportLength255Short: 1 << 1,
  reportLengthZero: 1 << 2,
  metadataExtra: 1 << 3,
  domainMetadataMissing: 1 << 4,
  domainUnknown: 1 << 5,
  innerTruncated: 1 << 6,
  intTruncated: 1 << 7,
  innerTypeMismatch: 1 << 8,
  innerTypeReserved: 1 << 9,
  innerWithInnerType0: 1 << 10,
  intShort: 1 << 11,
  intLength: 1 << 12,
  intVersion: 1 << 13,
  hopMl: 1 << 14,
  intStackRemainder: 1 << 15,
  tlvOverrun: 1 << 16,
  flagsMisplaced: 1 << 17,
  versionNibble: 1 << 18,
  intWidths: 1 << 19,
  intHopsMissing: 1 << 20,
  ioam: 1 << 21,
  ifa: 1 << 22,
  nodeIdCut: 1 << 23,
  mxStack: 1 << 24,
  latencyIsTime: 1 << 25,
} as const;

/** Formats that arrive at report ports and are not telemetry that can be decoded; counted by name. */
export const UNKNOWN_DIALECTS = ['netflow-v5', 'netflow-v9', 'unrecognised'] as const;

/** Names of the warning bits that are set, in bit order. Allocates: for the edges only. */
export function warningNames(bits: number): WarningName[] {
  return WARNINGS.filter((_, bit) => (bits & (1 << bit)) !== 0);
}
