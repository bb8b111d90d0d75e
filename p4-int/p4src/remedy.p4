// What remediation may change: a flow's DSCP, its queue, its rate. Every action ends by itself: `expires_us` is a time of the
// switch's own clock (as packet-in tells it, in microseconds), after which the entry does nothing, controller or not.

control Remedy(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    direct_meter<bit<2>>(MeterType.bytes) flow_meter;

    action remark_dscp(bit<6> dscp, bit<48> expires_us) {
        meta.dscp = standard_metadata.ingress_global_timestamp < expires_us ? dscp : meta.dscp;
    }

    action override_queue(bit<3> queue_id, bit<48> expires_us) {
        standard_metadata.priority =
            standard_metadata.ingress_global_timestamp < expires_us ? queue_id : standard_metadata.priority;
    }

    action limit_rate(bit<48> expires_us) {
        flow_meter.read(meta.meter_color);
        meta.meter_color = standard_metadata.ingress_global_timestamp < expires_us ? meta.meter_color : 0;
    }

#define FLOW_SET_KEY                                              \
    meta.source: ternary @name("source");                         \
    meta.destination: ternary @name("destination");               \
    meta.protocol: ternary @name("protocol");                     \
    meta.source_port: ternary @name("source_port");               \
    meta.destination_port: ternary @name("destination_port");     \
    meta.dscp: ternary @name("dscp")

    table dscp_remark {
        key = { FLOW_SET_KEY; }
        actions = { remark_dscp; NoAction; }
        const default_action = NoAction;
        size = 256;
    }

    table queue_override {
        key = { FLOW_SET_KEY; }
        actions = { override_queue; NoAction; }
        const default_action = NoAction;
        size = 256;
    }

    table rate_limit {
        key = { FLOW_SET_KEY; }
        actions = { limit_rate; NoAction; }
        const default_action = NoAction;
        meters = flow_meter;
        size = 256;
    }

    apply {
        rate_limit.apply();
        queue_override.apply();
        meta.queue_id = (bit<8>)standard_metadata.priority;
        dscp_remark.apply();
#ifdef EMBEDDED
        if (hdr.int_shim.isValid()) {
            hdr.int_shim.original_dscp = meta.dscp;
            return;
        }
#endif
        if (hdr.ipv4.isValid()) {
            hdr.ipv4.dscp = meta.dscp;
        } else if (hdr.ipv6.isValid()) {
            hdr.ipv6.dscp = meta.dscp;
        }
    }
}
