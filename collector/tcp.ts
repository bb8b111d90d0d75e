// What the sequence numbers of TCP say about octets on the wire.

/** Octets of IPv4 and TCP headers in the length of a segment, and the usual payload of a full one: added to steps of the sequence. */
export const TCP_HEADER_BYTES = 40;
export const TCP_SEGMENT_BYTES = 1460;
/** Steps of a sequence are taken modulo 2^32; from here on they lead back (RFC 9293, section 3.4). */
export const HALF_SEQUENCE = 0x8000_0000;
