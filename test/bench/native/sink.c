// The least that receiving can cost: recvmmsg as the product does it, and nothing done with what came.
// Usage: sink SECONDS BUFFER_BYTES
// Prints its port, then after SECONDS what it received and the processor time of its thread, as JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
enum { MESSAGES = 64, BUFFER = 65536 + 64, CONTROL = 64 };

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  double seconds = atof(argv[1]);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1, size = atoi(argv[2]) / 2;
  struct timeval timeout = {0, 100000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
  setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t own_length = sizeof own;
  if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0) return perror("bind"), 1;
  getsockname(fd, (struct sockaddr *)&own, &own_length);
  printf("%d\n", ntohs(own.sin_port));
  fflush(stdout);

  uint8_t *bytes = malloc((size_t)MESSAGES * BUFFER), *control = malloc(MESSAGES * CONTROL);
  struct mmsghdr messages[MESSAGES];
  struct iovec vectors[MESSAGES];
  struct sockaddr_in6 names[MESSAGES];
  uint64_t received = 0, cpu = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
  uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    for (int i = 0; i < MESSAGES; i++) {
      vectors[i] = (struct iovec){bytes + (size_t)i * BUFFER, BUFFER};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &vectors[i],
                                            .msg_iovlen = 1, .msg_control = control + i * CONTROL, .msg_controllen = CONTROL};
    }
    int count = recvmmsg(fd, messages, MESSAGES, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      uint32_t segment = messages[i].msg_len;
      for (struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr); c != NULL; c = CMSG_NXTHDR(&messages[i].msg_hdr, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) memcpy(&segment, CMSG_DATA(c), sizeof segment);
      received += segment == 0 ? 1 : (messages[i].msg_len + segment - 1) / segment;
    }
  }
  cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
  printf("{\"received\":%llu,\"cpuNs\":%llu}\n", (unsigned long long)received, (unsigned long long)cpu);
  return 0;
}
