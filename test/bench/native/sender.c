// Sends telemetry reports as fast as asked: a template datagram in which node, sequence number, flow and times are set for each sending.
// Usage: sender ADDRESS PORT SECONDS RATE SEGMENTS SOCKETS FLOWS TEMPLATE
//   RATE datagrams a second in all (0: as fast as it can), SEGMENTS datagrams in one message (UDP_SEGMENT), SOCKETS source ports in turn,
//   TEMPLATE the datagram in hexadecimal, with one INT-XD postcard as test/support/postcards writes it.
// Prints what it sent, in how long, as JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
enum { MESSAGES = 64, NODES = 16, MAX_SOCKETS = 64 };
// Offsets in the template: node, egress interface, ingress and egress time, source address and port of the packet inside.
enum { NODE = 4, INTERFACE = 22, INGRESS = 32, EGRESS = 40, ADDRESS = 76, PORT = 82 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put16(uint8_t *b, uint32_t v) {
  b[0] = (uint8_t)(v >> 8);
  b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v) {
  put16(b, v >> 16);
  put16(b + 2, v & 0xffff);
}

static void put64(uint8_t *b, uint64_t v) {
  put32(b, (uint32_t)(v >> 32));
  put32(b + 4, (uint32_t)v);
}

int main(int argc, char **argv) {
  if (argc != 9) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &to.sin_addr);
  double seconds = atof(argv[3]), rate = atof(argv[4]);
  int segments = atoi(argv[5]), sockets = atoi(argv[6]);
  uint32_t flows = (uint32_t)atol(argv[7]);
  size_t length = strlen(argv[8]) / 2;
  if (segments < 1 || sockets < 1 || sockets > MAX_SOCKETS || flows == 0 || length < 96) return 2;

  int fds[MAX_SOCKETS];
  for (int i = 0; i < sockets; i++) {
    fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
    int size = 1 << 20, segment = (int)length;
    setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (segments > 1 && setsockopt(fds[i], SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) return perror("UDP_SEGMENT"), 1;
    if (connect(fds[i], (struct sockaddr *)&to, sizeof to) < 0) return perror("connect"), 1;
  }
  size_t message_bytes = length * (size_t)segments;
  uint8_t *bytes = malloc(message_bytes * MESSAGES);
  for (int i = 0; i < segments * MESSAGES; i++)
    for (size_t o = 0; o < length; o++) sscanf(argv[8] + o * 2, "%2hhx", &bytes[(size_t)i * length + o]);
  struct mmsghdr messages[MESSAGES];
  struct iovec vectors[MESSAGES];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < MESSAGES; i++) {
    vectors[i] = (struct iovec){bytes + (size_t)i * message_bytes, message_bytes};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  // At a rate, small batches: bursts are not what is measured.
  int batch = rate > 0 && rate * 0.0005 / segments < MESSAGES ? (int)(rate * 0.0005 / segments) + 1 : MESSAGES;
  uint32_t sequences[NODES] = {0}, random = 0x2545f491;
  uint64_t sent = 0, turn = 0, started = now_ns(), end = started + (uint64_t)(seconds * 1e9);
  uint64_t now = started;
  while (now < end) {
    if (rate > 0) {
      uint64_t due = started + (uint64_t)((double)sent * 1e9 / rate);
      while ((now = now_ns()) < due) {
        // Sleeping gives the core away for as long as there is time; the last of it is spent here.
        if (due - now > 150000) nanosleep(&(struct timespec){0, (long)(due - now - 100000)}, NULL);
      }
    }
    for (int i = 0; i < batch * segments; i++) {
      uint8_t *b = bytes + (size_t)i * length;
      random ^= random << 13, random ^= random >> 17, random ^= random << 5;
      uint32_t flow = random % flows, node = (uint32_t)(sent + (uint64_t)i) % NODES;
      put32(b, 2u << 28 | (sequences[node]++ & 0x3fffff));
      put32(b + NODE, node + 1);
      put16(b + INTERFACE, random >> 5 & 7);
      put64(b + INGRESS, now);
      put64(b + EGRESS, now + 1200);
      put16(b + ADDRESS, flow & 0xffff);
      put16(b + PORT, 32768 + (flow >> 16));
    }
    int done = sendmmsg(fds[turn++ % (uint64_t)sockets], messages, (unsigned)batch, 0);
    // What was not taken is sent no more: its numbers are lost, as on a wire that was full.
    if (done > 0) sent += (uint64_t)done * (uint64_t)segments;
    now = now_ns();
  }
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", (unsigned long long)sent, (double)(now - started) / 1e9);
  return 0;
}
