// A clone becomes a report: who sends it to whom, what it says, and how much of the packet it carries. Version 2.0, or 0.5 with
// -DREPORT_V05. Times of the switch are microseconds; reports tell nanoseconds.

/// The clone session of reports; its port leads to the collector.
const bit<32> REPORT_SESSION = 1;
const bit<16> ETHERNET_BYTES = 14;
const bit<16> IPV4_UDP_BYTES = 28;
#ifdef REPORT_V05
const bit<16> FIXED_BYTES = 12;
const bit<16> LOCAL_BYTES = 16;
const bit<16> DROP_BYTES = 12;
#else
const bit<16> IPV6_BYTES = 40;
const bit<16> UDP_BYTES = 8;
/// Group header and the three words of an individual report before its metadata.
const bit<16> FIXED_BYTES = 20;
/// RepMdBits and octets: interfaces, latency, queue, both times; or interfaces, ingress time, drop reason.
const bit<16> LOCAL_BITS = 0x7c00;
const bit<16> LOCAL_BYTES = 28;
const bit<16> DROP_BITS = 0x4801;
const bit<16> DROP_BYTES = 16;
#endif

control Report(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    /// One source, one sequence. Reports leave by one port, so one thread of the switch counts them.
    register<bit<32>>(1) next_sequence;

    action send(
        bit<48> source_mac, bit<48> destination_mac, bit<32> source, bit<32> destination, bit<16> source_port,
        bit<16> destination_port, bit<6> dscp, bit<32> node_id, bit<6> hw_id, bit<32> fragment_limit_bytes) {
        hdr.report_ethernet.setValid();
        hdr.report_ethernet.destination = destination_mac;
        hdr.report_ethernet.source = source_mac;
        hdr.report_ethernet.ether_type = ETHERTYPE_IPV4;
        hdr.report_ipv4.setValid();
        hdr.report_ipv4.version = 4;
        hdr.report_ipv4.ihl = 5;
        hdr.report_ipv4.dscp = dscp;
        hdr.report_ipv4.flags = 2;
        hdr.report_ipv4.ttl = 64;
        hdr.report_ipv4.protocol = PROTOCOL_UDP;
        hdr.report_ipv4.source = source;
        hdr.report_ipv4.destination = destination;
        hdr.report_udp.setValid();
        hdr.report_udp.source_port = source_port;
        hdr.report_udp.destination_port = destination_port;
        meta.node_id = node_id;
        meta.hw_id = hw_id;
        meta.fragment_limit_bytes = fragment_limit_bytes;
    }

    action discard() {
        mark_to_drop(standard_metadata);
    }

    table report_session {
        key = { meta.is_dropped: exact @name("is_dropped"); }
        actions = { send; discard; }
        const default_action = discard;
        size = 2;
    }

    apply {
        if (!report_session.apply().hit) {
            return;
        }
        bit<32> sequence;
        next_sequence.read(sequence, 0);
        next_sequence.write(0, sequence + 1);
        bit<16> head_bytes = FIXED_BYTES + (meta.is_dropped == 1 ? DROP_BYTES : LOCAL_BYTES);
        bit<32> fragment_bytes = meta.packet_bytes < meta.fragment_limit_bytes ? meta.packet_bytes : meta.fragment_limit_bytes;
#ifdef REPORT_V05
        hdr.report_fixed.setValid();
        hdr.report_fixed.version = 0;
        hdr.report_fixed.next_protocol = meta.is_dropped == 1 ? 4w1 : 4w2;
        hdr.report_fixed.dropped = meta.is_dropped;
        hdr.report_fixed.congested_queue = meta.is_congested_queue;
        hdr.report_fixed.tracked_flow = meta.is_tracked_flow;
        hdr.report_fixed.reserved = 0;
        hdr.report_fixed.hw_id = meta.hw_id;
        hdr.report_fixed.sequence = sequence;
        hdr.report_fixed.ingress_ns = (bit<32>)((bit<64>)meta.ingress_us * 1000);
        hdr.report_where.setValid();
        hdr.report_where.switch_id = meta.node_id;
        hdr.report_where.ingress_port = meta.ingress_interface;
        // As SD-Fabric: of a packet that was dropped before it had a way, 0.
        hdr.report_where.egress_port = meta.is_dropped == 1 ? 0 : meta.egress_interface;
        hdr.report_where.queue_id = meta.queue_id;
        if (meta.is_dropped == 1) {
            hdr.report_drop.setValid();
            hdr.report_drop.drop_reason = meta.drop_reason;
            hdr.report_drop.pad = 0;
        } else {
            hdr.report_local.setValid();
            hdr.report_local.queue_occupancy = meta.queue_occupancy;
            hdr.report_local.egress_ns = (bit<32>)((bit<64>)meta.egress_us * 1000);
        }
#else
        // Lengths are words, packets are not. A packet that ends with its headers is filled up, so that they are whole; of one that
        // goes on behind them, at most three octets more are left out: nothing can be added behind a payload.
        bit<32> header_bytes = (bit<32>)ETHERNET_BYTES;
        if (hdr.ipv4.isValid()) {
            header_bytes = header_bytes + ((bit<32>)hdr.ipv4.ihl << 2);
        } else if (hdr.ipv6.isValid()) {
            header_bytes = header_bytes + (bit<32>)IPV6_BYTES;
        }
        if (hdr.tcp.isValid()) {
            header_bytes = header_bytes + ((bit<32>)hdr.tcp.data_offset << 2);
        } else if (hdr.udp.isValid()) {
            header_bytes = header_bytes + (bit<32>)UDP_BYTES;
        }
#ifdef EMBEDDED
        if (hdr.int_shim.isValid()) {
            header_bytes = header_bytes + (((bit<32>)hdr.int_shim.length + 1) << 2);
        }
#endif
        if (header_bytes == meta.packet_bytes && fragment_bytes == header_bytes && fragment_bytes[1:0] != 0) {
            bit<2> missing = 0 - fragment_bytes[1:0];
            hdr.report_fill[0].setValid();
            hdr.report_fill[0].octet = 0;
            if (missing != 1) {
                hdr.report_fill[1].setValid();
                hdr.report_fill[1].octet = 0;
            }
            if (missing == 3) {
                hdr.report_fill[2].setValid();
                hdr.report_fill[2].octet = 0;
            }
            fragment_bytes = fragment_bytes + (bit<32>)missing;
        } else {
            fragment_bytes = fragment_bytes & 0xfffffffc;
        }
        hdr.report_group.setValid();
        hdr.report_group.version = 2;
        hdr.report_group.hw_id = meta.hw_id;
        hdr.report_group.sequence = sequence[21:0];
        hdr.report_group.node_id = meta.node_id;
        bit<16> metadata_bytes = head_bytes - FIXED_BYTES;
        hdr.report_individual.setValid();
        hdr.report_individual.report_type = 1;
        hdr.report_individual.inner_type = 3;
        hdr.report_individual.report_length = (bit<8>)((8 + metadata_bytes + (bit<16>)fragment_bytes) >> 2);
        hdr.report_individual.metadata_length = (bit<8>)(metadata_bytes >> 2);
        hdr.report_individual.dropped = meta.is_dropped;
        hdr.report_individual.congested_queue = meta.is_congested_queue;
        hdr.report_individual.tracked_flow = meta.is_tracked_flow;
        hdr.report_individual.metadata_bits = meta.is_dropped == 1 ? DROP_BITS : LOCAL_BITS;
        hdr.report_interfaces.setValid();
        hdr.report_interfaces.ingress = meta.ingress_interface;
        hdr.report_interfaces.egress = meta.egress_interface;
        hdr.report_ingress.setValid();
        hdr.report_ingress.ingress_ns = (bit<64>)meta.ingress_us * 1000;
        if (meta.is_dropped == 1) {
            hdr.report_drop.setValid();
            hdr.report_drop.queue_id = meta.queue_id;
            hdr.report_drop.drop_reason = meta.drop_reason;
            hdr.report_drop.pad = 0;
        } else {
            bit<48> latency_us = meta.egress_us - meta.ingress_us;
            hdr.report_queue.setValid();
            // 32 bits of nanoseconds are 4.29 s; all ones would mean that it is not known.
            hdr.report_queue.hop_latency_ns = latency_us > 4294967 ? 32w0xfffffffe : (bit<32>)latency_us * 1000;
            hdr.report_queue.queue_id = meta.queue_id;
            hdr.report_queue.queue_occupancy = meta.queue_occupancy;
            hdr.report_egress.setValid();
            hdr.report_egress.egress_ns = (bit<64>)meta.egress_us * 1000;
        }
#endif
        hdr.report_udp.length = 8 + head_bytes + (bit<16>)fragment_bytes;
        hdr.report_ipv4.total_length = IPV4_UDP_BYTES + head_bytes + (bit<16>)fragment_bytes;
        truncate((bit<32>)(ETHERNET_BYTES + IPV4_UDP_BYTES + head_bytes) + fragment_bytes);
    }
}
