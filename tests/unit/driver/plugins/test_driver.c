/* SPDX-License-Identifier: Apache-2.0 */
/* A driver that does what its option "mode" says, most of it wrong. */
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <quipu/driver.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TEST_ABI
#define TEST_ABI QUIPU_DRIVER_ABI
#endif
#ifndef TEST_SIZE
#define TEST_SIZE sizeof(struct quipu_driver)
#endif
#ifndef TEST_ROLES
#define TEST_ROLES QUIPU_ROLE_KEY
#endif
#ifndef TEST_CAPABILITIES
#define TEST_CAPABILITIES \
  (QUIPU_CAP_PUSH | QUIPU_CAP_PULL | QUIPU_CAP_PEER_MESSAGES | QUIPU_CAP_SIMULATED | QUIPU_CAP_INJECT)
#endif
#ifndef TEST_PULL
#define TEST_PULL test_pull
#endif

#ifndef TEST_CHECK
#define TEST_CHECK test_check
#endif

#define HOST_SOCKET 3

struct quipu_device {
  const struct quipu_host* host;
  char mode[32];
  char folder[200];  /* of other people's files */
  unsigned blocks;   /* still to deliver */
  unsigned messages; /* still to send, each of the longest size that is permitted, and its number in the first octets */
  uint32_t said;     /* messages, till now */
  uint32_t reported; /* of these, when telemetry was asked for last */
  uint64_t sequence;
  double qber;
};

static void hang(void) {
  for (;;)
    pause();
}

static uint32_t simulated_flag(void) {
  return (TEST_CAPABILITIES & QUIPU_CAP_SIMULATED) != 0 ? QUIPU_BLOCK_SIMULATED : 0;
}

static int deliver(struct quipu_device* device) {
  const size_t octets = 100;
  struct quipu_block block;
  memset(&block, 0, sizeof block);
  block.size = sizeof block;
  block.flags = simulated_flag();
  if (strcmp(device->mode, "wrong_flag") == 0) block.flags ^= QUIPU_BLOCK_SIMULATED;
  uint8_t* key = device->host->secret_alloc(device->host->context, octets);
  memset(key, (int)(device->sequence + 1), octets);
  device->host->random(device->host->context, block.id, sizeof block.id);
  block.octets = key;
  block.octet_count = octets;
  block.created_ns = 1700000000000000000;
  block.sequence = device->sequence;
  block.failure_probability = -1;
  const int result = device->host->deliver_block(device->host->context, &block);
  if (result == QUIPU_OK) ++device->sequence;
  device->host->secret_free(device->host->context, key, octets);
  return result;
}

static void deliver_all(struct quipu_device* device) {
  while (device->blocks > 0 && deliver(device) == QUIPU_OK)
    --device->blocks;
}

static void send_all(struct quipu_device* device) {
  static uint8_t octets[QUIPU_MAX_PEER_MESSAGE_OCTETS];
  for (; device->messages > 0; --device->messages) {
    for (unsigned i = 0; i < 4; ++i)
      octets[i] = (uint8_t)(device->said >> (24 - 8 * i));
    if (device->host->peer_send(device->host->context, octets, sizeof octets) != QUIPU_OK) return;
    ++device->said;
  }
}

/* Once nobody takes what it has to say, it tells how much that was, and gives no sign of life any more. */
static void hang_when_stuck(struct quipu_device* device) {
  char text[64];
  const int stuck = device->said > 0 && device->said == device->reported;
  device->reported = device->said;
  if (!stuck) return;
  snprintf(text, sizeof text, "said %u", (unsigned)device->said);
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
  hang();
}

/* Many lines, and room for all of them in the socket while the host does not read. */
static void talk(struct quipu_device* device) {
  const int room = 1 << 20;
  setsockopt(HOST_SOCKET, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  for (int i = 0; i < 150; ++i)
    device->host->log(device->host->context, QUIPU_LOG_INFO, "a wrong option");
}

static int test_open(const struct quipu_host* host, const struct quipu_option* options, size_t option_count,
                     struct quipu_device** out) {
  struct quipu_device* device = calloc(1, sizeof *device);
  if (device == NULL) return QUIPU_E_DEVICE;
  device->host = host;
  device->qber = 0.02;
  for (size_t i = 0; i < option_count; ++i) {
    if (strcmp(options[i].key, "mode") == 0) {
      snprintf(device->mode, sizeof device->mode, "%s", options[i].value);
    } else if (strcmp(options[i].key, "blocks") == 0) {
      device->blocks = (unsigned)strtoul(options[i].value, NULL, 10);
    } else if (strcmp(options[i].key, "messages") == 0) {
      device->messages = (unsigned)strtoul(options[i].value, NULL, 10);
    } else if (strcmp(options[i].key, "folder") == 0) {
      snprintf(device->folder, sizeof device->folder, "%s", options[i].value);
    } else {
      host->log(host->context, QUIPU_LOG_ERROR, "unknown option");
      free(device);
      return QUIPU_E_OPTION;
    }
  }
  *out = device;
  if (strcmp(device->mode, "absent") == 0) return free(device), QUIPU_E_DEVICE;
  if (strcmp(device->mode, "talk") == 0) return talk(device), free(device), QUIPU_E_OPTION;
  return QUIPU_OK;
}

__attribute__((unused)) static void chatter(const struct quipu_host* host, unsigned lines) {
  for (unsigned i = 0; i < lines; ++i)
    host->log(host->context, QUIPU_LOG_ERROR, "a reason among many");
}

__attribute__((unused)) static int test_check(const struct quipu_host* host, const struct quipu_option* options,
                                              size_t option_count, size_t* wrong) {
  int has_mode = 0;
  for (size_t i = 0; i < option_count; ++i) {
    if (strcmp(options[i].key, "mode") == 0) {
      has_mode = 1;
      if (strcmp(options[i].value, "hang") == 0) hang();
      if (strcmp(options[i].value, "crash") == 0) raise(SIGKILL);
      if (strcmp(options[i].value, "chatter") == 0) chatter(host, UINT_MAX);
      if (strcmp(options[i].value, "verbose") == 0) return chatter(host, 10000), QUIPU_E_OPTION;
    } else if (strcmp(options[i].key, "blocks") != 0) {
      host->log(host->context, QUIPU_LOG_INFO, "reading options");
      host->log(host->context, QUIPU_LOG_ERROR, "unknown option");
      *wrong = i;
      return QUIPU_E_OPTION;
    }
  }
  if (has_mode) return QUIPU_OK;
  host->log(host->context, QUIPU_LOG_ERROR, "mode is missing");
  return QUIPU_E_OPTION;
}

static void try_to_escape(struct quipu_device* device) {
  char text[200];
  const pid_t child = fork();
  const int fork_error = child < 0 ? errno : 0;
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, NULL, 0);
  char* arguments[] = {"/bin/true", NULL};
  execv("/bin/true", arguments);
  const int exec_error = errno;
  struct rlimit core = {1, 1};
  getrlimit(RLIMIT_CORE, &core);
  const int kill_error = kill(getppid(), 0) == 0 ? 0 : errno;
  snprintf(text, sizeof text, "fork %d exec %d core %d kill %d packet %d", fork_error == EPERM, exec_error == EPERM,
           (int)core.rlim_max, kill_error == EPERM, socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
}

static int refused(int result) {
  return result < 0 && errno == EPERM;
}

/* Whether a stream's owner, who gets its signals, can be somebody else; and what every program does with descriptors.
 */
static void try_to_signal(struct quipu_device* device) {
  char text[200];
  int pair[2] = {-1, -1};
  int waiting = -1;
  int other = getppid();
  struct f_owner_ex owner = {F_OWNER_PID, other};
  const int pairs = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0;
  const int fcntls = refused(fcntl(pair[0], F_SETOWN, other)) && refused(fcntl(pair[0], F_SETOWN_EX, &owner)) &&
                     refused(fcntl(pair[0], F_SETSIG, SIGKILL)) && refused(fcntl(pair[0], F_SETFL, O_ASYNC));
  const int ioctls = refused(ioctl(pair[0], FIOSETOWN, &other)) && refused(ioctl(pair[0], SIOCSPGRP, &other)) &&
                     refused(ioctl(pair[0], FIOASYNC, &other));
  const int works = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && (fcntl(pair[0], F_GETFL) & O_NONBLOCK) != 0 &&
                    ioctl(pair[0], FIONREAD, &waiting) == 0 && waiting == 0 && fcntl(pair[0], F_DUPFD_CLOEXEC, 9) >= 9;
  snprintf(text, sizeof text, "pair %d fcntl %d ioctl %d works %d", pairs, fcntls, ioctls, works);
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
}

static int opens(const char* path, int flags) {
  const int fd = open(path, flags, 0600);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

/* Whether a socket reaches who listens at the path; a pair may be turned away from its other end. */
static int connects(int fd, const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  return fd >= 0 && connect(fd, (const struct sockaddr*)&address, sizeof address) == 0;
}

/* The folder has a file `store`, and the sockets `stream` and `datagram`, at which somebody listens. */
static void try_to_reach_files(struct quipu_device* device) {
  char store[256];
  char fresh[256];
  char stream[256];
  char datagram[256];
  char text[200];
  int pair[2] = {-1, -1};
  snprintf(store, sizeof store, "%s/store", device->folder);
  snprintf(fresh, sizeof fresh, "%s/fresh", device->folder);
  snprintf(stream, sizeof stream, "%s/stream", device->folder);
  snprintf(datagram, sizeof datagram, "%s/datagram", device->folder);
  const int datagrams = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0 && connects(pair[0], datagram);
  const int pairs = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0;
  const int streams =
      connects(socket(AF_UNIX, SOCK_STREAM, 0), stream) || connects(pair[0], stream) || connects(HOST_SOCKET, stream);
  const int reads = opens(store, O_RDONLY);
  const int writes = opens(store, O_WRONLY);
  const int makes = opens(fresh, O_WRONLY | O_CREAT);
  const int moves = rename(store, fresh) == 0;
  const int removes = unlink(moves ? fresh : store) == 0;
  snprintf(text, sizeof text, "read %d write %d make %d move %d remove %d list %d memory %d stream %d datagram %d",
           reads, writes, makes, moves, removes, opens(device->folder, O_RDONLY | O_DIRECTORY),
           opens("/proc/self/mem", O_RDONLY), streams, datagrams);
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
  snprintf(text, sizeof text, "libraries %d certificates %d names %d random %d pair %d", opens("/usr/lib", O_RDONLY),
           opens("/etc/ssl/certs", O_RDONLY), opens("/etc/hosts", O_RDONLY), opens("/dev/urandom", O_RDONLY), pairs);
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
}

/* The folder, that of this driver, has a file `beside`. */
static void try_to_empty(struct quipu_device* device) {
  char beside[256];
  char text[200];
  snprintf(beside, sizeof beside, "%s/beside", device->folder);
  snprintf(text, sizeof text, "read %d empty %d", opens(beside, O_RDONLY), opens(beside, O_RDONLY | O_TRUNC));
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
}

static void list_descriptors(struct quipu_device* device) {
  char text[200] = "descriptors";
  for (int fd = 0; fd < 256; ++fd) {
    if (lseek(fd, 0, SEEK_CUR) < 0 && errno == EBADF) continue;
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, " %d", fd);
  }
  device->host->log(device->host->context, QUIPU_LOG_INFO, text);
}

static int test_start(struct quipu_device* device) {
  if (strcmp(device->mode, "escape") == 0) try_to_escape(device);
  if (strcmp(device->mode, "signal") == 0) try_to_signal(device);
  if (strcmp(device->mode, "files") == 0) try_to_reach_files(device);
  if (strcmp(device->mode, "empty") == 0) try_to_empty(device);
  if (strcmp(device->mode, "descriptors") == 0) list_descriptors(device);
  if (strcmp(device->mode, "exit") == 0) _exit(7);
  deliver_all(device);
  if (strcmp(device->mode, "answer") != 0) send_all(device);
  return QUIPU_OK;
}

static int test_stop(struct quipu_device* device) {
  (void)device;
  return QUIPU_OK;
}

static void test_close(struct quipu_device* device) {
  if (strcmp(device->mode, "never_close") == 0) hang();
  free(device);
}

static int test_telemetry(struct quipu_device* device, struct quipu_telemetry* out) {
  if (strcmp(device->mode, "crash") == 0) raise(SIGKILL);
  if (strcmp(device->mode, "hang") == 0) hang();
  if (strcmp(device->mode, "answer") == 0) hang_when_stuck(device);
  if (strcmp(device->mode, "garbage") == 0 && send(HOST_SOCKET, "not a frame at all", 18, 0) < 0) return QUIPU_E_DEVICE;
  if (strcmp(device->mode, "huge") == 0 && send(HOST_SOCKET, "\x43\0\0\0\x7f\xff\xff\xff", 8, 0) < 0)
    return QUIPU_E_DEVICE;
  for (int i = 0; strcmp(device->mode, "flood") == 0 && i < 1000; ++i)
    if (send(HOST_SOCKET, "\x44\0\0\0\0\0\0\1m", 9, MSG_NOSIGNAL) < 0) return QUIPU_E_DEVICE;
  out->state = QUIPU_STATE_RUNNING;
  out->present = QUIPU_T_QBER | QUIPU_T_BLOCKS;
  out->qber = device->qber;
  out->blocks_delivered = device->sequence;
  snprintf(out->detail, sizeof out->detail, "sequence\t%u", (unsigned)device->sequence);
  return QUIPU_OK;
}

static int test_resume(struct quipu_device* device) {
  deliver_all(device);
  send_all(device);
  return QUIPU_OK;
}

__attribute__((unused)) static int test_pull(struct quipu_device* device, const struct quipu_pull* request) {
  (void)device;
  (void)request;
  return QUIPU_E_DEVICE;
}

static int test_peer_receive(struct quipu_device* device, const uint8_t* octets, size_t octet_count) {
  if (octet_count == 6 && memcmp(octets, "refuse", 6) == 0) return QUIPU_E_STATE;
  if (strcmp(device->mode, "answer") == 0) return send_all(device), QUIPU_OK;
  return device->host->peer_send(device->host->context, octets, octet_count);
}

static int test_inject(struct quipu_device* device, const char* scenario, const struct quipu_option* arguments,
                       size_t argument_count) {
  if (strcmp(scenario, "qber") != 0 || argument_count != 1) return QUIPU_E_UNSUPPORTED;
  device->qber = strtod(arguments[0].value, NULL);
  return QUIPU_OK;
}

QUIPU_DRIVER_EXPORT const struct quipu_driver quipu_driver = {
    .abi = TEST_ABI,
    .size = TEST_SIZE,
    .name = "test",
    .version = "1",
    .roles = TEST_ROLES,
    .capabilities = TEST_CAPABILITIES,
    .technology = QUIPU_TECH_DV_BB84,
    .open = test_open,
    .start = test_start,
    .stop = test_stop,
    .close = test_close,
    .telemetry = test_telemetry,
    .resume = test_resume,
    .pull = TEST_PULL,
    .peer_receive = test_peer_receive,
    .inject = test_inject,
    .check = TEST_CHECK,
};
