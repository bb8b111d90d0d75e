// Bytes to headers, and the flow's key. A packet that is not understood keeps its Ethernet header alone.

parser PacketParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    state start {
        transition select(standard_metadata.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition accept;
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_ARP: parse_arp;
            default: accept;
        }
    }

    state parse_arp {
        packet.extract(hdr.arp);
        transition accept;
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        meta.source = 80w0 ++ 16w0xffff ++ hdr.ipv4.source;
        meta.destination = 80w0 ++ 16w0xffff ++ hdr.ipv4.destination;
        meta.protocol = hdr.ipv4.protocol;
        meta.dscp = hdr.ipv4.dscp;
        meta.ttl = hdr.ipv4.ttl;
        transition select(hdr.ipv4.ihl) {
            0 .. 4: accept;
            5: parse_ipv4_payload;
            default: parse_ipv4_options;
        }
    }

    state parse_ipv4_options {
        packet.extract(hdr.ipv4_options, (bit<32>)(((bit<9>)hdr.ipv4.ihl - 5) << 5));
        transition parse_ipv4_payload;
    }

    state parse_ipv4_payload {
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_TCP): parse_tcp;
            (0, PROTOCOL_UDP): parse_udp;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        meta.source = hdr.ipv6.source;
        meta.destination = hdr.ipv6.destination;
        meta.protocol = hdr.ipv6.next_header;
        meta.dscp = hdr.ipv6.dscp;
        meta.ttl = hdr.ipv6.hop_limit;
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_UDP: parse_udp;
            default: accept;
        }
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        meta.source_port = hdr.tcp.source_port;
        meta.destination_port = hdr.tcp.destination_port;
        transition select(hdr.tcp.data_offset) {
            6 .. 15: parse_tcp_options;
            default: parse_marker;
        }
    }

    state parse_tcp_options {
        packet.extract(hdr.tcp_options, (bit<32>)(((bit<9>)hdr.tcp.data_offset - 5) << 5));
        transition parse_marker;
    }

    state parse_udp {
        packet.extract(hdr.udp);
        meta.source_port = hdr.udp.source_port;
        meta.destination_port = hdr.udp.destination_port;
        transition parse_marker;
    }

#ifdef EMBEDDED
    state parse_marker {
        transition select(meta.dscp) {
            INT_DSCP: parse_int;
            default: accept;
        }
    }

    state parse_int {
        // Type MD, NPT 0; behind the length and the original DSCP, version 2. Another packet may have the marker's DSCP by chance.
        transition select(packet.lookahead<bit<36>>()) {
            0x100000002 &&& 0xfc000000f: parse_int_md;
            default: accept;
        }
    }

    state parse_int_md {
        packet.extract(hdr.int_shim);
        packet.extract(hdr.int_md);
        // What it had before the marker took its place.
        meta.dscp = hdr.int_shim.original_dscp;
        // The shim counts itself out and the three words of the metadata header in.
        transition select(hdr.int_shim.length) {
            0 .. 3: accept;
            default: parse_int_stack;
        }
    }

    state parse_int_stack {
        packet.extract(hdr.int_stack, (bit<32>)(((bit<13>)hdr.int_shim.length - 3) << 5));
        transition accept;
    }
#else
    state parse_marker {
        transition accept;
    }
#endif
}

control NoVerification(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}
