// Where a packet goes: access list, longest prefix, the members of an ECMP group by shares of 256 buckets, next hop.

/// Names are those of SD-Fabric (stratum/fabric-tna, p4src/tna/include/define.p4).
const bit<8> DROP_TTL_ZERO = 26;
const bit<8> DROP_NO_ROUTE = 29;
const bit<8> DROP_NOT_ROUTED = 89;
const bit<8> DROP_ACL = 80;
const bit<8> DROP_NO_NEXTHOP = 128;
const bit<8> DROP_METER = 160;

control Forwarding(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    action drop(bit<8> reason) {
        meta.is_dropped = 1;
        meta.drop_reason = reason;
    }

    action deny() {
        drop(DROP_ACL);
    }

    action permit() { }

    table acl {
        key = { FLOW_SET_KEY; }
        actions = { deny; permit; }
        const default_action = permit;
        size = 1024;
    }

    action use_nexthop(bit<16> nexthop_id) {
        meta.nexthop_id = nexthop_id;
    }

    action use_group(bit<16> group_id) {
        meta.group_id = group_id;
    }

    action no_route() {
        drop(DROP_NO_ROUTE);
    }

    table route {
        key = { meta.destination: lpm @name("destination"); }
        actions = { use_nexthop; use_group; no_route; }
        const default_action = no_route;
        size = 4096;
    }

    /// Which member of a group a flow takes: each has a range of the 256 buckets, as wide as its weight.
    table ecmp_member {
        key = {
            meta.group_id: exact @name("group_id");
            meta.bucket: range @name("bucket");
        }
        actions = { use_nexthop; NoAction; }
        const default_action = NoAction;
        size = 1024;
    }

    action move_to_nexthop(bit<16> nexthop_id, bit<48> expires_us) {
        meta.nexthop_id = standard_metadata.ingress_global_timestamp < expires_us ? nexthop_id : meta.nexthop_id;
    }

    /// Remediation: other weights for a while (see remedy.p4 about the expiry).
    table ecmp_override {
        key = {
            meta.group_id: exact @name("group_id");
            meta.bucket: range @name("bucket");
        }
        actions = { move_to_nexthop; NoAction; }
        const default_action = NoAction;
        size = 256;
    }

    action forward(bit<9> egress_port, bit<48> source_mac, bit<48> destination_mac) {
        standard_metadata.egress_spec = egress_port;
        meta.egress_interface = (bit<16>)egress_port;
        hdr.ethernet.source = source_mac;
        hdr.ethernet.destination = destination_mac;
    }

    action no_nexthop() {
        drop(DROP_NO_NEXTHOP);
    }

    table nexthop {
        key = { meta.nexthop_id: exact @name("nexthop_id"); }
        actions = { forward; no_nexthop; }
        const default_action = no_nexthop;
        size = 1024;
    }

    action answer(bit<48> mac) {
        hdr.ethernet.destination = hdr.ethernet.source;
        hdr.ethernet.source = mac;
        hdr.arp.operation = 2;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.sender_mac = mac;
        bit<32> asked = hdr.arp.target_ip;
        hdr.arp.target_ip = hdr.arp.sender_ip;
        hdr.arp.sender_ip = asked;
        standard_metadata.egress_spec = standard_metadata.ingress_port;
    }

    action ignore() {
        mark_to_drop(standard_metadata);
    }

    /// Addresses of the switch itself: it answers ARP for its hosts' gateways.
    table gateway {
        key = { hdr.arp.target_ip: exact @name("address"); }
        actions = { answer; ignore; }
        const default_action = ignore;
        size = 128;
    }

    apply {
        if (hdr.arp.isValid()) {
            gateway.apply();
            return;
        }
        if (!hdr.ipv4.isValid() && !hdr.ipv6.isValid()) {
            drop(DROP_NOT_ROUTED);
            return;
        }
        if (meta.meter_color == 2) {
            drop(DROP_METER);
            return;
        }
        acl.apply();
        if (meta.is_dropped == 1) {
            return;
        }
        if (meta.ttl <= 1) {
            drop(DROP_TTL_ZERO);
            return;
        }
        route.apply();
        if (meta.is_dropped == 1) {
            return;
        }
        if (meta.group_id != 0) {
            ecmp_member.apply();
            ecmp_override.apply();
        }
        nexthop.apply();
        if (meta.is_dropped == 1) {
            return;
        }
        if (hdr.ipv4.isValid()) {
            hdr.ipv4.ttl = meta.ttl - 1;
        } else {
            hdr.ipv6.hop_limit = meta.ttl - 1;
        }
    }
}
