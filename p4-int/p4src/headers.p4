// Every header and the metadata of the programs. Widths and order are those of the specifications named beside them.
#ifndef HEADERS_P4
#define HEADERS_P4

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;

/// Packets to and from the controller; simple_switch_grpc is started with this --cpu-port.
const bit<9> CPU_PORT = 510;

@controller_header("packet_out")
header packet_out_t {
    /// 1: tell the time.
    bit<8> request;
}

@controller_header("packet_in")
header packet_in_t {
    /// 1: the time.
    bit<8> answer;
    /// The switch's own clock, in microseconds.
    bit<48> switch_time_us;
}

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> ether_type;
}

header arp_t {
    bit<16> hardware_type;
    bit<16> protocol_type;
    bit<8> hardware_length;
    bit<8> protocol_length;
    bit<16> operation;
    bit<48> sender_mac;
    bit<32> sender_ip;
    bit<48> target_mac;
    bit<32> target_ip;
}

header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<6> dscp;
    bit<2> ecn;
    bit<16> total_length;
    bit<16> identification;
    bit<3> flags;
    bit<13> fragment_offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header ipv4_options_t {
    varbit<320> options;
}

header ipv6_t {
    bit<4> version;
    bit<6> dscp;
    bit<2> ecn;
    bit<20> flow_label;
    bit<16> payload_length;
    bit<8> next_header;
    bit<8> hop_limit;
    bit<128> source;
    bit<128> destination;
}

header tcp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<32> sequence;
    bit<32> acknowledgment;
    bit<4> data_offset;
    bit<12> flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

header tcp_options_t {
    varbit<320> options;
}

header udp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<16> length;
    bit<16> checksum;
}

#ifdef REPORT_V05

/// Telemetry Report v0.5, fixed header.
header report_fixed_t {
    bit<4> version;
    bit<4> next_protocol;
    bit<1> dropped;
    bit<1> congested_queue;
    bit<1> tracked_flow;
    bit<15> reserved;
    bit<6> hw_id;
    bit<32> sequence;
    bit<32> ingress_ns;
}

/// What both its drop header and its switch-local header begin with.
header report_where_t {
    bit<32> switch_id;
    bit<16> ingress_port;
    bit<16> egress_port;
    bit<8> queue_id;
}

header report_drop_t {
    bit<8> drop_reason;
    bit<16> pad;
}

header report_local_t {
    bit<24> queue_occupancy;
    bit<32> egress_ns;
}

#else

/// Telemetry Report v2.0, section 3.1: once per datagram.
header report_group_t {
    bit<4> version;
    bit<6> hw_id;
    bit<22> sequence;
    bit<32> node_id;
}

/// Section 3.2, and the main contents for RepType 1 (section 3.3.1).
header report_individual_t {
    bit<4> report_type;
    bit<4> inner_type;
    bit<8> report_length;
    bit<8> metadata_length;
    bit<1> dropped;
    bit<1> congested_queue;
    bit<1> tracked_flow;
    bit<1> intermediate;
    bit<4> reserved;
    bit<16> metadata_bits;
    bit<16> domain_id;
    bit<16> domain_metadata_bits;
    bit<16> domain_metadata_status;
}

/// Level 1 interfaces, RepMdBits bit 1.
header report_interfaces_t {
    bit<16> ingress;
    bit<16> egress;
}

/// Bits 2 and 3.
header report_queue_t {
    bit<32> hop_latency_ns;
    bit<8> queue_id;
    bit<24> queue_occupancy;
}

/// Bit 4.
header report_ingress_t {
    bit<64> ingress_ns;
}

/// Bit 5.
header report_egress_t {
    bit<64> egress_ns;
}

/// Bit 15.
header report_drop_t {
    bit<8> queue_id;
    bit<8> drop_reason;
    bit<16> pad;
}

/// Fills the last word of a fragment that ends with the packet's headers.
header report_fill_t {
    bit<8> octet;
}

#endif

#ifdef EMBEDDED

/// INT v2.1, section 5.8.1: shim of INT over TCP and UDP with NPT 0.
header int_shim_t {
    bit<4> type;
    bit<2> next_protocol_type;
    bit<2> reserved;
    bit<8> length;
    bit<8> reserved_octet;
    bit<6> original_dscp;
    bit<2> reserved_bits;
}

/// Section 5.6: INT-MD metadata header.
header int_md_t {
    bit<4> version;
    bit<1> discard;
    bit<1> exceeded;
    bit<1> mtu_exceeded;
    bit<12> reserved;
    bit<5> hop_words;
    bit<8> remaining_hops;
    bit<16> instructions;
    bit<16> domain_id;
    bit<16> domain_instructions;
    bit<16> domain_flags;
}

/// One word, or two, of a hop's metadata, in the order of the instruction bits (section 5.7).
header int_word_t {
    bit<32> value;
}

header int_double_word_t {
    bit<64> value;
}

/// What the hops before have pushed.
header int_stack_t {
    varbit<8160> hops;
}

#endif

struct headers_t {
    packet_out_t packet_out;
    packet_in_t packet_in;
    ethernet_t report_ethernet;
    ipv4_t report_ipv4;
    udp_t report_udp;
#ifdef REPORT_V05
    report_fixed_t report_fixed;
    report_where_t report_where;
    report_drop_t report_drop;
    report_local_t report_local;
#else
    report_group_t report_group;
    report_individual_t report_individual;
    report_interfaces_t report_interfaces;
    report_queue_t report_queue;
    report_ingress_t report_ingress;
    report_egress_t report_egress;
    report_drop_t report_drop;
#endif
    ethernet_t ethernet;
    arp_t arp;
    ipv4_t ipv4;
    ipv4_options_t ipv4_options;
    ipv6_t ipv6;
    tcp_t tcp;
    tcp_options_t tcp_options;
    udp_t udp;
#ifdef EMBEDDED
    int_shim_t int_shim;
    int_md_t int_md;
    int_word_t int_node_id;
    int_word_t int_interfaces;
    int_word_t int_hop_latency;
    int_word_t int_queue;
    int_double_word_t int_ingress_time;
    int_double_word_t int_egress_time;
    int_double_word_t int_level2_interfaces;
    int_word_t int_utilisation;
    int_word_t int_buffer;
    int_word_t int_checksum_complement;
    int_stack_t int_stack;
    // Taken off the packet that leaves, and put back into the report about it. Never emitted themselves.
    int_shim_t kept_shim;
    int_md_t kept_md;
    int_stack_t kept_stack;
#endif
#ifndef REPORT_V05
    report_fill_t[3] report_fill;
#endif
}

/// The fields that a clone keeps.
#define REPORT_FIELDS 1

struct metadata_t {
    // What a report says of the packet. Travels with the clone.
    @field_list(REPORT_FIELDS) bit<1> is_dropped;
    @field_list(REPORT_FIELDS) bit<1> is_congested_queue;
    @field_list(REPORT_FIELDS) bit<1> is_tracked_flow;
    @field_list(REPORT_FIELDS) bit<16> ingress_interface;
    @field_list(REPORT_FIELDS) bit<16> egress_interface;
    @field_list(REPORT_FIELDS) bit<8> queue_id;
    @field_list(REPORT_FIELDS) bit<24> queue_occupancy;
    @field_list(REPORT_FIELDS) bit<48> ingress_us;
    @field_list(REPORT_FIELDS) bit<48> egress_us;
    @field_list(REPORT_FIELDS) bit<32> packet_bytes;
    @field_list(REPORT_FIELDS) bit<8> drop_reason;
    // The flow. IPv4 addresses stand in IPv6's mapped form (::ffff:0:0/96), so that one table serves both.
    bit<128> source;
    bit<128> destination;
    bit<8> protocol;
    bit<16> source_port;
    bit<16> destination_port;
    bit<6> dscp;
    bit<8> ttl;
    bit<32> flow_hash;
    bit<32> packet_hash;
    // What the watchlist wants to know of it.
    bit<1> is_watched;
    bit<1> is_never_reported;
    bit<1> is_filtered;
    bit<32> latency_mask_us;
    bit<48> period_mask_us;
    bit<48> drop_period_mask_us;
    bit<32> sample_up_to;
    // Forwarding.
    bit<16> group_id;
    bit<16> nexthop_id;
    bit<8> bucket;
    // Remediation.
    bit<2> meter_color;
    // Report.
    bit<32> fragment_limit_bytes;
    bit<32> node_id;
    bit<6> hw_id;
}

#endif
