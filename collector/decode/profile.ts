// What a source means by its numbers: units and markers that no specification fixes (INT v2.1 section 4.7 leaves them out of band).
// The decoder converts by it; the identity profile leaves raw values as they were on the wire.

/** How to read the reports of one source. */
export interface SourceProfile {
  /** Bit set of the dialects (index into DIALECTS) that the source may speak; 0: whatever is recognised. */
  readonly dialects: number;
  /** Index into DIALECTS of the Telemetry Report version that the source speaks whatever its version nibble says; -1: believe the nibble. */
  readonly reportVersion: number;
  /** Nanoseconds per unit of timestamps, and of latencies: programs exist whose units differ. */
  readonly timestampUnitNs: number;
  readonly latencyUnitNs: number;
  /** Octets per unit of queue occupancy; 0 when the unit is not known (depth then comes from the wait). */
  readonly occupancyUnitBytes: number;
  /** Packets for each that is reported: the source samples one in so many. Reports of congestion and drops are past the sampler. */
  readonly samplingRate: number;
  /** The source reports a packet only when the latency of its flow has changed, or after a second (SD-Fabric's filter). */
  readonly changeFilter: boolean;
  /** Rate of the source's ports in octets per nanosecond; 0 when it is not known. */
  readonly portBytesPerNs: number;
  /** Latency of a packet that finds the queue empty, ns; Infinity when it has to be learned. */
  readonly emptyLatencyNs: number;
  /** DSCP value that announces INT behind TCP or UDP (INT v2.1 section 5.5.1; the specification's example is 0x17). */
  readonly intDscp: number;
  /** UDP destination port that announces INT; 0 when none is used. No number is assigned. */
  readonly intUdpPort: number;
  /** GRE protocol and Geneve option class that announce INT; 0 when none is used. No GRE protocol is assigned, INT v2.1 names class 0x0103. */
  readonly intGreProtocol: number;
  readonly intGeneveClass: number;
  /** The nodes of INT-MX put their metadata behind its header, as programs of laofan13/P4-INT do. */
  readonly intMxStack: boolean;
  /** IP protocol that announces IFA 2.0; 0 when none is used. No number is assigned: 131 and 253 are seen. */
  readonly ifaProtocol: number;
  /** Parts of a second in the fraction of IOAM timestamps: 1e9 (PTP), 1e6 (POSIX), 2^32 (NTP); RFC 9197 section 5. */
  readonly ioamFractionsPerSecond: number;
  /** Octets of source-only metadata by Domain Specific ID of INT v2.x: their number is not on the wire (INT v2.1 section 5.8). */
  readonly intSourceOnlyBytes: ReadonlyMap<number, number>;
  /** Elements of IPFIX records that are not registered, by their key (see ipfix-template): what they are good for, a FieldRole. */
  readonly ipfixElements: ReadonlyMap<number, number>;
  /** Interface ids as they are known elsewhere, by those on the wire: device ports, say, to front-panel numbers. Empty: as on the wire. */
  readonly interfaces: ReadonlyMap<number, number>;
  /** Refuse what a tolerant reading would accept with a warning. */
  readonly strict: boolean;
}

/** Nanoseconds, occupancy unit and port rate unknown, INT announced by DSCP 0x17: raw values are left alone. */
export const IDENTITY_PROFILE: SourceProfile = {
  dialects: 0,
  reportVersion: -1,
  timestampUnitNs: 1,
  latencyUnitNs: 1,
  occupancyUnitBytes: 0,
  samplingRate: 1,
  changeFilter: false,
  portBytesPerNs: 0,
  emptyLatencyNs: Infinity,
  intDscp: 0x17,
  intUdpPort: 0,
  intGreProtocol: 0,
  intGeneveClass: 0x0103,
  intMxStack: false,
  ifaProtocol: 0,
  ioamFractionsPerSecond: 1e9,
  intSourceOnlyBytes: new Map(),
  ipfixElements: new Map(),
  interfaces: new Map(),
  strict: false,
};
