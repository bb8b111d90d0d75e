// The pipeline that both programs share: a leaf or a spine that routes, and reports what it sees.
//
//   ingress: watchlist ▸ queueing ▸ remedy ▸ forwarding ▸ (dropped: cloned into a report)
//   egress:  queue watch ▸ flow filter ▸ (worth it: cloned into a report) ▸ embedded INT, where the program has it
//   a clone: report
#include <core.p4>
#include <v1model.p4>

#ifdef EMBEDDED
/// Marks packets that carry INT, the value of the specification's example (INT v2.1, section 5.8.1).
const bit<6> INT_DSCP = 0x17;
const bit<4> INT_TYPE_MD = 1;
#endif

#include "headers.p4"
#include "parser.p4"
#include "queueing.p4"
#include "remedy.p4"
#include "forwarding.p4"
#include "watchlist.p4"
#include "queue-watch.p4"
#include "report.p4"
#ifdef EMBEDDED
#include "stack.p4"
#endif
#include "deparser.p4"

/// standard_metadata.instance_type of simple_switch.
const bit<32> INGRESS_CLONE = 1;
const bit<32> EGRESS_CLONE = 2;

control SwitchIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    Watchlist() watchlist;
    Queueing() queueing;
    Remedy() remedy;
    Forwarding() forwarding;
    DropFilter() drop_filter;

    apply {
        if (hdr.packet_out.isValid()) {
            // The controller asks what time it is here: what else it sends has no meaning.
            if (hdr.packet_out.request == 1) {
                hdr.packet_in.setValid();
                hdr.packet_in.answer = 1;
                hdr.packet_in.switch_time_us = standard_metadata.ingress_global_timestamp;
                standard_metadata.egress_spec = CPU_PORT;
            } else {
                mark_to_drop(standard_metadata);
            }
            hdr.packet_out.setInvalid();
            return;
        }
        meta.ingress_interface = (bit<16>)standard_metadata.ingress_port;
        meta.egress_interface = 0xffff;
        meta.ingress_us = standard_metadata.ingress_global_timestamp;
        meta.packet_bytes = standard_metadata.packet_length;
        watchlist.apply(hdr, meta);
        queueing.apply(hdr, meta, standard_metadata);
        remedy.apply(hdr, meta, standard_metadata);
        forwarding.apply(hdr, meta, standard_metadata);
        if (meta.is_dropped == 1) {
            mark_to_drop(standard_metadata);
            bit<1> is_passed;
            drop_filter.apply(meta, is_passed);
            if (meta.is_watched == 1 && meta.is_never_reported == 0 && is_passed == 1) {
                meta.is_tracked_flow = 1;
                clone_preserving_field_list(CloneType.I2E, REPORT_SESSION, REPORT_FIELDS);
            }
        }
    }
}

control SwitchEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    QueueWatch() queue_watch;
    FlowFilter() flow_filter;
    Report() report;
#ifdef EMBEDDED
    Embedded() embedded;
    Kept() kept;
#endif

    apply {
        if (standard_metadata.instance_type == INGRESS_CLONE || standard_metadata.instance_type == EGRESS_CLONE) {
#ifdef EMBEDDED
            kept.apply(hdr);
#endif
            report.apply(hdr, meta, standard_metadata);
        } else if (hdr.ipv4.isValid() || hdr.ipv6.isValid()) {
            meta.egress_us = standard_metadata.egress_global_timestamp;
            meta.queue_occupancy = (bit<24>)standard_metadata.deq_qdepth;
#ifdef EMBEDDED
            embedded.apply(hdr, meta, standard_metadata);
#endif
            if (meta.is_never_reported == 0) {
                queue_watch.apply(meta);
                if (meta.is_watched == 1) {
                    bit<1> is_passed;
                    flow_filter.apply(meta, is_passed);
                    // A packet of a watched flow that waits for long is both, whatever the filter thinks of it.
                    meta.is_tracked_flow = is_passed | meta.is_congested_queue;
                }
#ifdef EMBEDDED
                if (hdr.kept_shim.isValid()) {
                    meta.is_tracked_flow = 1;
                }
#endif
                if (meta.is_congested_queue == 1 || meta.is_tracked_flow == 1) {
                    clone_preserving_field_list(CloneType.E2E, REPORT_SESSION, REPORT_FIELDS);
                }
            }
        }
    }
}

V1Switch(PacketParser(), NoVerification(), SwitchIngress(), SwitchEgress(), Checksums(), PacketDeparser()) main;
