// Queue reports: every packet that waited for long, watched or not, until the quota is spent; a short wait fills it again.

const bit<32> QUEUES = 4096;

control QueueWatch(inout metadata_t meta) {
    /// By interface and queue: the reports of this excursion.
    register<bit<32>>(QUEUES) spent;

    action watch_queue(bit<32> trigger_us, bit<32> reset_us, bit<32> quota) {
        bit<32> latency_us = (bit<32>)(meta.egress_us - meta.ingress_us);
        bit<32> index = (bit<32>)(meta.egress_interface[8:0] ++ meta.queue_id[2:0]);
        bit<32> so_far;
        spent.read(so_far, index);
        meta.is_congested_queue = latency_us >= trigger_us && so_far < quota ? 1w1 : 1w0;
        so_far = so_far + (bit<32>)meta.is_congested_queue;
        spent.write(index, latency_us < reset_us ? 0 : so_far);
    }

    table queue_watch {
        key = {
            meta.egress_interface: exact @name("interface");
            meta.queue_id: exact @name("queue_id");
        }
        actions = { watch_queue; NoAction; }
        const default_action = NoAction;
        size = QUEUES;
    }

    apply {
        queue_watch.apply();
    }
}
