// Which queue a packet takes, by its DSCP. Queue 7 is served first (simple_switch --priority-queues 8).

control Queueing(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    action take_queue(bit<3> queue_id) {
        standard_metadata.priority = queue_id;
    }

    table dscp_queue {
        key = { meta.dscp: exact @name("dscp"); }
        actions = { take_queue; NoAction; }
        const default_action = NoAction;
        size = 64;
    }

    apply {
        dscp_queue.apply();
        // Reports tell the queue a packet took, whatever moved it there later.
        meta.queue_id = (bit<8>)standard_metadata.priority;
    }
}
