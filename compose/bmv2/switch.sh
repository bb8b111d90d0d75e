#!/bin/sh
# A BMv2 switch in a container: whichever interface has an address that ends with 201 to 209 is its port 1 to 9.
# The kernel only lends the interface: packets are addressed to the switch's own MAC, which the kernel does not have.
ports=$(python3 - <<'PYTHON'
import fcntl, socket, struct

for _, name in socket.if_nameindex():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            request = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack('256s', name.encode()))  # SIOCGIFADDR
        except OSError:
            continue
    last = request[23]
    if 201 <= last <= 209:
        print(f'--interface {last - 200}@{name}')
PYTHON
)
# shellcheck disable=SC2086
exec simple_switch_grpc --device-id 1 --no-p4 --thrift-port 9090 $ports \
  -- --grpc-server-addr 0.0.0.0:9559 --cpu-port 510 --priority-queues 8
