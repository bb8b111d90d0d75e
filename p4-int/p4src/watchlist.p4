// Which packets are watched, and whether this one is worth a report: change filter, sampling and the filter of drop reports, as in
// SD-Fabric (stratum/fabric-tna, p4src/tna/include/control/int.p4): two
// registers of fingerprints.

const bit<32> FILTER_SIZE = 65536;

control Watchlist(inout headers_t hdr, inout metadata_t meta) {
    /// The masks quantise latency and time, as in SD-Fabric: 0xffffff00 reports a change of 256 us. Masks of 0: every packet.
    action watch(bit<32> latency_mask_us, bit<48> period_mask_us, bit<48> drop_period_mask_us, bit<32> sample_up_to) {
        meta.is_watched = 1;
        meta.is_filtered = (latency_mask_us | (bit<32>)period_mask_us) == 0 ? 1w0 : 1w1;
        meta.latency_mask_us = latency_mask_us;
        meta.period_mask_us = period_mask_us;
        meta.drop_period_mask_us = drop_period_mask_us;
        meta.sample_up_to = sample_up_to;
    }

    /// Reports themselves: whatever happens to them is nobody's business, or there would be reports about reports about reports.
    action never_report() {
        meta.is_never_reported = 1;
    }

    table watchlist {
        key = { FLOW_SET_KEY; }
        actions = { watch; never_report; NoAction; }
        const default_action = NoAction;
        size = 1024;
    }

    apply {
        watchlist.apply();
        hash(meta.flow_hash, HashAlgorithm.crc32, 32w0,
            { meta.source, meta.destination, meta.protocol, meta.source_port, meta.destination_port }, 64w0x100000000);
        // What stays the same on a packet's whole way, so that all switches sample the same packets (trajectory sampling,
        // Duffield and Grossglauser, 2000); not its length, to which INT adds. Of an invalid header zeros are taken.
        bit<16> identification = 0;
        bit<16> checksum = 0;
        bit<32> sequence = 0;
        bit<32> acknowledgment = 0;
        if (hdr.ipv4.isValid()) {
            identification = hdr.ipv4.identification;
        }
        if (hdr.tcp.isValid()) {
            checksum = hdr.tcp.checksum;
            sequence = hdr.tcp.sequence;
            acknowledgment = hdr.tcp.acknowledgment;
        } else if (hdr.udp.isValid()) {
            checksum = hdr.udp.checksum;
        }
        hash(meta.packet_hash, HashAlgorithm.crc32, 32w0,
            { meta.flow_hash, identification, checksum, sequence, acknowledgment }, 64w0x100000000);
        // In another order than for the filters, so that none of them sees one member's flows alone. CRC-16 would put flows whose
        // ports follow one another into the same few buckets.
        hash(meta.bucket, HashAlgorithm.crc32, 8w0,
            { meta.destination_port, meta.source_port, meta.protocol, meta.source, meta.destination }, 16w256);
    }
}

/// Two registers of fingerprints, each under one half of the flow's hash: new is what neither has seen last.
control FingerprintFilter(in bit<32> flow_hash, in bit<16> fingerprint, out bit<1> is_new) {
    register<bit<16>>(FILTER_SIZE) first_seen;
    register<bit<16>>(FILTER_SIZE) second_seen;

    apply {
        bit<16> first;
        bit<16> second;
        first_seen.read(first, (bit<32>)flow_hash[31:16]);
        second_seen.read(second, (bit<32>)flow_hash[15:0]);
        is_new = first == fingerprint || second == fingerprint ? 1w0 : 1w1;
        first_seen.write((bit<32>)flow_hash[31:16], fingerprint);
        second_seen.write((bit<32>)flow_hash[15:0], fingerprint);
    }
}

/// Whether a watched packet that leaves is to be reported: when its flow's latency or way has changed, or a period has passed.
control FlowFilter(inout metadata_t meta, out bit<1> is_passed) {
    FingerprintFilter() filter;

    apply {
        is_passed = meta.packet_hash > meta.sample_up_to ? 1w0 : 1w1;
        // Only what may be reported is remembered as reported.
        if (is_passed == 1 && meta.is_filtered == 1) {
            bit<32> latency_us = (bit<32>)(meta.egress_us - meta.ingress_us) & meta.latency_mask_us;
            bit<48> period = meta.egress_us & meta.period_mask_us;
            bit<16> fingerprint;
            hash(fingerprint, HashAlgorithm.crc16, 16w0,
                { meta.ingress_interface, meta.egress_interface, latency_us, meta.flow_hash, period }, 32w65536);
            filter.apply(meta.flow_hash, fingerprint, is_passed);
        }
    }
}

/// Whether a watched packet that is dropped is to be reported: once per flow, reason and period.
control DropFilter(inout metadata_t meta, out bit<1> is_passed) {
    FingerprintFilter() filter;

    apply {
        is_passed = 1;
        if (meta.drop_period_mask_us != 0) {
            bit<48> period = meta.ingress_us & meta.drop_period_mask_us;
            bit<16> fingerprint;
            hash(fingerprint, HashAlgorithm.crc16, 16w0, { meta.flow_hash, meta.drop_reason, period }, 32w65536);
            filter.apply(meta.flow_hash, fingerprint, is_passed);
        }
    }
}
