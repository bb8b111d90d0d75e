// Templates of IPFIX (RFC 7011 section 3.4): what the fields of a data record are, as far as a report can be made of them.
// Rule: bounded. A template has a place of its own while there is room; beyond that the newest takes the place of another, and the data sets of
// that one are refused until its exporter sends it again.

import type { SourceProfile } from './profile.ts';

const TEMPLATES = 256;
export const MAX_TEMPLATE_FIELDS = 64;
/** Field length that means: the length stands in the record (section 7). */
export const VARIABLE_LENGTH = 0xffff;

/** What a field is good for. */
export const FieldRole = {
  skipped: 0,
  /** dataLinkFrameSection, or ipHeaderPacketSection: the head of the packet. */
  frame: 1,
  ipPacket: 2,
  /** Octet arrays of draft-spiegel-ippm-ioam-rawexport: the option data as it was in the packet. */
  ioamPreallocatedTrace: 3,
  ioamIncrementalTrace: 4,
  /** Drop, queue and flow, as D, Q and F of a telemetry report. */
  reportFlags: 5,
} as const;
const IP_HEADER_PACKET_SECTION = 313;
const DATA_LINK_FRAME_SECTION = 315;

/** Key of an information element in `SourceProfile.ipfixElements`. */
export function elementKeyOf(enterprise: number, id: number): number {
  return enterprise * 0x8000 + id;
}

export class TemplateTable {
  /** A place each: who sent it, its observation domain, and its id (0: free). */
  readonly #senders = new Uint32Array(TEMPLATES);
  readonly #domains = new Uint32Array(TEMPLATES);
  readonly #ids = new Uint16Array(TEMPLATES);
  readonly fieldCounts = new Uint8Array(TEMPLATES);
  /** MAX_TEMPLATE_FIELDS a template: role and length of each field. */
  readonly roles = new Uint8Array(TEMPLATES * MAX_TEMPLATE_FIELDS);
  readonly lengths = new Uint16Array(TEMPLATES * MAX_TEMPLATE_FIELDS);
  #next = 0;

  /** Place of a template, or -1. */
  find(sender: number, domain: number, id: number): number {
    for (let place = 0; place < TEMPLATES; place++) {
      if (this.#ids[place] === id && this.#domains[place] === domain && this.#senders[place] === sender) return place;
    }
    return -1;
  }

  /** A place for a template, its own when it has one. */
  place(sender: number, domain: number, id: number): number {
    const known = this.find(sender, domain, id);
    if (known >= 0) return known;
    const place = this.#next;
    this.#next = (place + 1) % TEMPLATES;
    this.#senders[place] = sender;
    this.#domains[place] = domain;
    this.#ids[place] = id;
    return place;
  }

  /** Forgets a template that its exporter withdrew. */
  withdraw(sender: number, domain: number, id: number): void {
    const place = this.find(sender, domain, id);
    if (place >= 0) this.#ids[place] = 0;
  }
}

/** What the element of a field is good for: the profile's own elements first, then the registered ones. */
export function roleOf(enterprise: number, id: number, profile: SourceProfile): number {
  const own = profile.ipfixElements.get(elementKeyOf(enterprise, id));
  if (own !== undefined) return own;
  if (enterprise !== 0) return FieldRole.skipped;
  if (id === DATA_LINK_FRAME_SECTION) return FieldRole.frame;
  return id === IP_HEADER_PACKET_SECTION ? FieldRole.ipPacket : FieldRole.skipped;
}
