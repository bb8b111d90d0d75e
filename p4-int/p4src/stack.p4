// INT-MD v2.1 over TCP and UDP: a source adds the headers, every node its hop, a sink takes all of it off and reports it.

const bit<16> INT_HEADER_BYTES = 16;

// Of whichever header is there: an invalid one may be written, and is not sent.
#define SET_DSCP(value)                                                  \
    hdr.ipv4.dscp = hdr.ipv4.isValid() ? value : hdr.ipv4.dscp;          \
    hdr.ipv6.dscp = hdr.ipv6.isValid() ? value : hdr.ipv6.dscp;

#define GROW_BY(octets)                                                  \
    if (hdr.ipv4.isValid()) {                                            \
        hdr.ipv4.total_length = hdr.ipv4.total_length + octets;          \
    } else {                                                             \
        hdr.ipv6.payload_length = hdr.ipv6.payload_length + octets;      \
    }                                                                    \
    if (hdr.udp.isValid()) {                                             \
        hdr.udp.length = hdr.udp.length + octets;                        \
    }

control Embedded(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    /// What the packet has grown by.
    bit<16> added_bytes = 0;
    bit<16> removed_bytes = 0;

    bit<1> is_wanted = 0;
    bit<16> instructions = 0;
    bit<5> hop_words = 0;
    bit<8> remaining_hops = 0;

    /// hop_words are the words of the metadata that the instructions ask for (INT v2.1, section 5.6).
    action start_int(bit<16> instructions_wanted, bit<5> words, bit<8> hops) {
        is_wanted = 1;
        instructions = instructions_wanted;
        hop_words = words;
        remaining_hops = hops;
    }

    table int_source {
        key = { FLOW_SET_KEY; }
        actions = { start_int; NoAction; }
        const default_action = NoAction;
        size = 256;
    }

    action end_int() {
        removed_bytes = ((bit<16>)hdr.int_shim.length + 1) << 2;
        SET_DSCP(hdr.int_shim.original_dscp)
        hdr.kept_shim = hdr.int_shim;
        hdr.kept_md = hdr.int_md;
        hdr.kept_stack = hdr.int_stack;
        hdr.int_shim.setInvalid();
        hdr.int_md.setInvalid();
        hdr.int_stack.setInvalid();
    }

    /// Interfaces behind which nobody understands INT: hosts.
    table int_sink {
        key = { meta.egress_interface: exact @name("interface"); }
        actions = { end_int; NoAction; }
        const default_action = NoAction;
        size = 512;
    }

    /// The versions of INT that this node has a part in.
    bit<4> int_version = 2;
    bit<32> mtu_bytes = 0;

    /// No packet grows beyond the MTU, its Ethernet header not counted.
    action take_part(bit<32> node_id, bit<16> mtu) {
        meta.node_id = node_id;
        mtu_bytes = (bit<32>)mtu;
    }

    table int_node {
        key = { int_version: exact @name("int_version"); }
        actions = { take_part; NoAction; }
        const default_action = NoAction;
        size = 16;
    }

    apply {
        if (!hdr.tcp.isValid() && !hdr.udp.isValid()) {
            return;
        }
        if (!int_node.apply().hit) {
            return;
        }
        bit<32> bytes = meta.packet_bytes - (bit<32>)ETHERNET_BYTES;
        if (!hdr.int_shim.isValid() && meta.is_never_reported == 0) {
            int_source.apply();
            if (is_wanted == 1 && bytes + (bit<32>)INT_HEADER_BYTES + ((bit<32>)hop_words << 2) <= mtu_bytes) {
                hdr.int_shim.setValid();
                hdr.int_shim.type = INT_TYPE_MD;
                hdr.int_shim.length = 3;
                hdr.int_shim.original_dscp = meta.dscp;
                hdr.int_md.setValid();
                hdr.int_md.version = 2;
                hdr.int_md.hop_words = hop_words;
                hdr.int_md.remaining_hops = remaining_hops;
                hdr.int_md.instructions = instructions;
                added_bytes = INT_HEADER_BYTES;
                SET_DSCP(INT_DSCP)
            }
        }
        if (!hdr.int_shim.isValid()) {
            // Nobody behind us may take it for one that carries INT (INT v2.1, section 5.8.1).
            if (meta.dscp == INT_DSCP) {
                SET_DSCP(0)
            }
            return;
        }
        // What the instructions ask of us, in words. Where a hop is said to have another length, there is something that we do not know.
        bit<16> asked = hdr.int_md.instructions;
        bit<5> known_words = (bit<5>)asked[15:15] + (bit<5>)asked[14:14] + (bit<5>)asked[13:13] + (bit<5>)asked[12:12] +
            ((bit<5>)asked[11:11] << 1) + ((bit<5>)asked[10:10] << 1) + ((bit<5>)asked[9:9] << 1) + (bit<5>)asked[8:8] +
            (bit<5>)asked[7:7] + (bit<5>)asked[0:0];
        bit<16> stack_words = (bit<16>)hdr.int_shim.length + (bit<16>)hdr.int_md.hop_words;
        bytes = bytes + (bit<32>)added_bytes + ((bit<32>)hdr.int_md.hop_words << 2);
        if (int_sink.apply().hit) {
            // The sink's own hop stands in the report that it sends. A copy that was made for INT alone ends here.
            if (hdr.kept_md.discard == 1) {
                mark_to_drop(standard_metadata);
            }
        } else if (known_words != hdr.int_md.hop_words || (asked & 0x007e) != 0) {
            // All of a hop or nothing of it (section 5.6).
        } else if (stack_words > 255) {
            hdr.int_md.exceeded = 1;
        } else if (hdr.int_md.remaining_hops == 0) {
            hdr.int_md.exceeded = 1;
        } else if (bytes > mtu_bytes) {
            hdr.int_md.mtu_exceeded = 1;
        } else {
            if (asked[15:15] == 1) {
                hdr.int_node_id.setValid();
                hdr.int_node_id.value = meta.node_id;
            }
            if (asked[14:14] == 1) {
                hdr.int_interfaces.setValid();
                hdr.int_interfaces.value = meta.ingress_interface ++ meta.egress_interface;
            }
            if (asked[13:13] == 1) {
                bit<48> latency_us = meta.egress_us - meta.ingress_us;
                hdr.int_hop_latency.setValid();
                hdr.int_hop_latency.value = latency_us > 4294967 ? 32w0xfffffffe : (bit<32>)latency_us * 1000;
            }
            if (asked[12:12] == 1) {
                hdr.int_queue.setValid();
                hdr.int_queue.value = meta.queue_id ++ meta.queue_occupancy;
            }
            if (asked[11:11] == 1) {
                hdr.int_ingress_time.setValid();
                hdr.int_ingress_time.value = (bit<64>)meta.ingress_us * 1000;
            }
            if (asked[10:10] == 1) {
                hdr.int_egress_time.setValid();
                hdr.int_egress_time.value = (bit<64>)meta.egress_us * 1000;
            }
            // Not available here: all ones.
            if (asked[9:9] == 1) {
                hdr.int_level2_interfaces.setValid();
                hdr.int_level2_interfaces.value = 0xffffffffffffffff;
            }
            if (asked[8:8] == 1) {
                hdr.int_utilisation.setValid();
                hdr.int_utilisation.value = 0xffffffff;
            }
            if (asked[7:7] == 1) {
                hdr.int_buffer.setValid();
                hdr.int_buffer.value = 0xffffffff;
            }
            if (asked[0:0] == 1) {
                hdr.int_checksum_complement.setValid();
                hdr.int_checksum_complement.value = 0xffffffff;
            }
            hdr.int_shim.length = hdr.int_shim.length + (bit<8>)hdr.int_md.hop_words;
            hdr.int_md.remaining_hops = hdr.int_md.remaining_hops - 1;
            added_bytes = added_bytes + ((bit<16>)hdr.int_md.hop_words << 2);
        }
        meta.packet_bytes = meta.packet_bytes + (bit<32>)added_bytes;
        bit<16> difference = added_bytes - removed_bytes;
        GROW_BY(difference)
    }
}

/// Puts back into a report what the sink has taken off its packet.
control Kept(inout headers_t hdr) {
    apply {
        if (hdr.kept_shim.isValid()) {
            hdr.int_shim = hdr.kept_shim;
            hdr.int_md = hdr.kept_md;
            hdr.int_stack = hdr.kept_stack;
            bit<16> kept_bytes = ((bit<16>)hdr.int_shim.length + 1) << 2;
            SET_DSCP(INT_DSCP)
            GROW_BY(kept_bytes)
        }
    }
}
