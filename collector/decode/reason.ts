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
export type UnknownDialect = (typeof UNKNOWN_DIALECTS)[number];

/** Names of the warning bits that are set, in bit order. Allocates: for the edges only. */
export function warningNames(bits: number): WarningName[] {
  return WARNINGS.filter((_, bit) => (bits & (1 << bit)) !== 0);
}
