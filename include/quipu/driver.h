/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quipu driver ABI, version 1: what a shared object must provide to feed key material from a QKD device into Quipu's
 * key management system.
 *
 * A driver exports exactly one symbol, the constant `quipu_driver` of type struct quipu_driver. It is loaded by the
 * program quipu-driver, one process per device, which has no capability, no right to start programs and no memory in
 * common with the key store. The process can open TCP and UDP sockets and has the folder of the driver, the system's
 * libraries, CA certificates and name resolution to read; it can write no file and reach no socket of the file system.
 * Where /etc/resolv.conf is a file and not a link, its successor cannot be read by a process that is running already: a
 * driver that cannot resolve a name any more says so by QUIPU_E_DEVICE, or ends its process, and is started again.
 *
 * C only; nothing may be thrown across. Integers are the host's; octet strings have a length.
 *
 * No ownership crosses: every buffer, in either direction, belongs to the caller and is valid during the call only.
 * What is to be kept is copied. The exceptions are named: the device handle (open to close) and
 * secret_alloc/secret_free.
 *
 * The host calls a driver from one thread, one call at a time, and expects each call to return within a second (open
 * and stop: ten). A driver that does longer work has threads of its own. A driver whose calls do not return is killed
 * and started again.
 *
 * Host callbacks may be called from any thread, and from within calls of the host, between the start of open and the
 * end of close.
 *
 * Key octets go through deliver_block only: never into a log line, telemetry, or a file. While the
 * driver holds them they are in memory from secret_alloc, or in memory as good.
 *
 * A structure keeps its size for as long as the ABI keeps its number. Where `size` is set by the driver, the host
 * refuses a smaller one. Reserved fields are zero; where one gets a meaning, zero means what a driver that does not
 * know it means.
 *
 * Every function returns QUIPU_OK or one of the codes below. The reason for people goes through the log callback.
 */
#ifndef QUIPU_DRIVER_H
#define QUIPU_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when anything below becomes incompatible. The host loads only drivers of its own number. */
#define QUIPU_DRIVER_ABI 1u

#if defined(__GNUC__)
#define QUIPU_DRIVER_EXPORT __attribute__((visibility("default")))
#else
#define QUIPU_DRIVER_EXPORT
#endif

/* Results. */
#define QUIPU_OK 0            /* done */
#define QUIPU_BUSY 1          /* the receiver is full: keep it and offer it again after resume */
#define QUIPU_E_ARGUMENT 2    /* an argument is outside what this header permits */
#define QUIPU_E_OPTION 3      /* an option is unknown, missing or wrong: starting again will not help */
#define QUIPU_E_DEVICE 4      /* the device does not answer or reports a fault: starting again may help */
#define QUIPU_E_STATE 5       /* not possible in this state */
#define QUIPU_E_UNSUPPORTED 6 /* not something that this driver or device does */
#define QUIPU_E_CLOSED 7      /* the host is going away: stop delivering */

/*
 * Roles: what a driver supplies (struct quipu_driver.roles, a sum). This host takes QUIPU_ROLE_KEY alone and refuses a
 * driver with another role.
 */
#define QUIPU_ROLE_KEY 1u     /* blocks of key that a device at the other end of a link delivers there too */
#define QUIPU_ROLE_ENTROPY 2u /* random octets that are known here only */

/*
 * Capabilities (struct quipu_driver.capabilities, a sum). This host calls neither pull nor inject, and refuses a driver
 * without QUIPU_CAP_PUSH.
 */
#define QUIPU_CAP_PUSH 1u /* delivers blocks as they arise */
#define QUIPU_CAP_PULL 2u /* delivers blocks when asked (pull) */
#define QUIPU_CAP_PEER_MESSAGES                                                                                   \
  4u                           /* talks to the driver at the other end through the host (peer_send, peer_receive) \
                                */
#define QUIPU_CAP_SIMULATED 8u /* not quantum: used only where the configuration permits it, and shown as SIMULATED */
#define QUIPU_CAP_INJECT 16u   /* takes injected faults; only together with QUIPU_CAP_SIMULATED */

/* Technology of a key source (struct quipu_driver.technology): decides which telemetry has a meaning. */
#define QUIPU_TECH_OTHER 0u
#define QUIPU_TECH_DV_BB84 1u /* discrete variable, decoy-state BB84 and its kin: QBER */
#define QUIPU_TECH_COW 2u     /* coherent one-way: QBER and visibility */
#define QUIPU_TECH_CV 3u      /* continuous variable: excess noise, no QBER */

/* State of a device, in the order in which a link comes up (struct quipu_telemetry.state). */
#define QUIPU_STATE_STOPPED 0u
#define QUIPU_STATE_STARTING 1u  /* connecting to the device, warming up */
#define QUIPU_STATE_ALIGNING 2u  /* synchronising with the device at the other end */
#define QUIPU_STATE_RUNNING 3u   /* exchanging and distilling: keys arrive */
#define QUIPU_STATE_LINK_DOWN 4u /* no light or no peer: tried again by itself */
#define QUIPU_STATE_ABORTED 5u   /* no secure key can be had (eavesdropping, noise): tried again by itself */
#define QUIPU_STATE_FAULT 6u     /* needs hands: `detail` says what */

/* Levels of log lines. */
#define QUIPU_LOG_ERROR 0u
#define QUIPU_LOG_WARNING 1u
#define QUIPU_LOG_INFO 2u
#define QUIPU_LOG_DEBUG 3u

/* Limits that both sides hold to. */
#define QUIPU_MAX_BLOCK_OCTETS 65536u
#define QUIPU_MAX_ENTROPY_OCTETS 65536u
#define QUIPU_MAX_PEER_MESSAGE_OCTETS 65536u
#define QUIPU_MAX_PULL_BLOCKS 1024u
#define QUIPU_MAX_OPTIONS 64u
#define QUIPU_MAX_TEXT 1024u /* octets of an option's key or value, a log line, a name; without the final zero */

/* The driver's own structure behind its handle. */
struct quipu_device;
/* The host's own structure behind its callbacks. */
struct quipu_host_context;

/* One `key = value` of the configuration's link.options. Zero-terminated UTF-8. */
struct quipu_option {
  const char* key;
  const char* value;
};

/* Flags of a block (a sum). */
#define QUIPU_BLOCK_SIMULATED 1u        /* set on every block of a driver with QUIPU_CAP_SIMULATED, and on no other */
#define QUIPU_BLOCK_DURABLE_SEQUENCE 2u /* `sequence` goes on across restarts, so an older number is a repetition */

/*
 * A block of secret key that the other end of the link gets too, under the same id and with the same octets. A driver
 * delivers each block once, and only blocks that both ends hold or can still come to hold. No device has the ids of
 * another: where a device's own are mere counts, its driver makes UUIDs that both ends come to, of its serial number
 * and the count, for instance.
 */
struct quipu_block {
  uint32_t size;         /* sizeof(struct quipu_block) */
  uint32_t flags;        /* QUIPU_BLOCK_... */
  uint8_t id[16];        /* the same at both ends, never used again; a UUID where the device has no ids of its own */
  const uint8_t* octets; /* the key */
  size_t octet_count;    /* 1 to QUIPU_MAX_BLOCK_OCTETS */
  int64_t created_ns; /* when it was distilled: nanoseconds since 1970-01-01 UTC by this machine's clock; 0 = unknown */
  uint64_t sequence;  /* counts the blocks of this device from 0, the same at both ends */
  uint64_t request;   /* the pull that it answers; 0 for a push */
  double failure_probability; /* bound on the probability that the key is not secret (epsilon); negative = not known */
};

/* Which fields of struct quipu_telemetry hold a value (`present`, a sum). An absent field is shown as absent, not as 0.
 */
#define QUIPU_T_SKR 1u
#define QUIPU_T_QBER 2u
#define QUIPU_T_VISIBILITY 4u
#define QUIPU_T_EXCESS_NOISE 8u
#define QUIPU_T_SIFTED 16u
#define QUIPU_T_DETECTIONS 32u
#define QUIPU_T_BLOCKS 64u
#define QUIPU_T_LOSS 128u
#define QUIPU_T_TEMPERATURE 256u
#define QUIPU_T_STORED 512u

/* How a device is doing. The host asks about once a second; an answer also proves that the driver is alive. */
struct quipu_telemetry {
  uint32_t size;             /* set by the host: sizeof(struct quipu_telemetry) */
  uint32_t state;            /* QUIPU_STATE_...; always valid */
  uint64_t present;          /* QUIPU_T_... */
  double skr_bit_s;          /* SKR: secret key rate, bit/s, averaged as the device does */
  double qber;               /* quantum bit error rate, ratio 0 to 1 */
  double visibility;         /* interference visibility, ratio 0 to 1 */
  double excess_noise_snu;   /* excess noise at the receiver's input, shot-noise units */
  double sifted_bit_s;       /* sifted key rate, bit/s */
  double detections_s;       /* detector counts, 1/s */
  uint64_t blocks_delivered; /* blocks since open (QUIPU_T_BLOCKS) ... */
  uint64_t blocks_failed;    /* ... and those given up in distillation or for want of the other end (QUIPU_T_BLOCKS) */
  double loss_db;            /* optical loss of the quantum channel, dB */
  double temperature_c;      /* the device's critical temperature, degrees Celsius */
  uint64_t stored_bits;      /* key that waits in the device, bits */
  char detail[256];          /* one line of printable ASCII for people, zero-terminated; may be empty */
};

/* What the host wants from a pull source. */
struct quipu_pull {
  uint32_t size;     /* sizeof(struct quipu_pull) */
  uint32_t count;    /* blocks wanted, 1 to QUIPU_MAX_PULL_BLOCKS */
  uint64_t request;  /* not 0; comes back in each block */
  uint32_t octets;   /* octets per block wanted; 0 = the device's own size */
  uint32_t id_count; /* 0: any fresh blocks. `count`: these blocks, which the other end has pulled */
  const uint8_t (*ids)[16];
};

/* Callbacks into the host. `context` is passed to each. */
struct quipu_host {
  uint32_t abi;  /* QUIPU_DRIVER_ABI */
  uint32_t size; /* sizeof(struct quipu_host) */
  struct quipu_host_context* context;

  /* One line of printable ASCII, at most QUIPU_MAX_TEXT octets (longer ones are cut). Never key material. */
  void (*log)(struct quipu_host_context* context, uint32_t level, const char* text);

  /*
   * QUIPU_OK: taken, the driver forgets it. QUIPU_BUSY: the key store is behind; keep the block (or stop making them),
   * and offer it again when the host calls resume. QUIPU_E_CLOSED: stop. QUIPU_E_ARGUMENT: a bug of the driver; also
   * logged.
   */
  int (*deliver_block)(struct quipu_host_context* context, const struct quipu_block* block);

  /*
   * Random octets of an entropy source, 1 to QUIPU_MAX_ENTROPY_OCTETS. Results as above; QUIPU_E_UNSUPPORTED from a
   * host that takes none, as this one.
   */
  int (*deliver_entropy)(struct quipu_host_context* context, const uint8_t* octets, size_t octet_count);

  /*
   * A message for the driver at the other end, 1 to QUIPU_MAX_PEER_MESSAGE_OCTETS, over the authenticated and encrypted
   * KM link: in order, each at most once, lost when the KM link breaks or the driver there does not take it.
   * QUIPU_BUSY while the KM link is behind: offer it again when the host calls resume. Messages that wait for the KM
   * link take the place of blocks. QUIPU_E_UNSUPPORTED without QUIPU_CAP_PEER_MESSAGES; else results as above.
   */
  int (*peer_send)(struct quipu_host_context* context, const uint8_t* octets, size_t octet_count);

  /* Fills `out` with random octets of the host's own generator. */
  int (*random)(struct quipu_host_context* context, uint8_t* out, size_t octet_count);

  /* Memory for secrets: locked, left out of core dumps, zero-filled, wiped by secret_free. Null when there is none. */
  void* (*secret_alloc)(struct quipu_host_context* context, size_t size);
  void (*secret_free)(struct quipu_host_context* context, void* memory, size_t size);

  void* reserved[8];
};

/* The exported symbol. Functions for which a driver has no use are null where that is said. */
struct quipu_driver {
  uint32_t abi;          /* QUIPU_DRIVER_ABI: checked before anything else is read */
  uint32_t size;         /* sizeof(struct quipu_driver): checked before anything else is read */
  const char* name;      /* as the configuration names it: 1 to 32 of a-z 0-9 - _ */
  const char* version;   /* the driver's own, for people */
  uint32_t roles;        /* QUIPU_ROLE_... */
  uint32_t capabilities; /* QUIPU_CAP_... */
  uint32_t technology;   /* QUIPU_TECH_... */
  uint32_t reserved0;

  /*
   * Reads the options and makes a handle; need not have reached the device yet. `host` is valid until close returns. On
   * an error, which has been logged, there is no handle.
   */
  int (*open)(const struct quipu_host* host, const struct quipu_option* options, size_t option_count,
              struct quipu_device** device);

  /* Begins delivering. */
  int (*start)(struct quipu_device* device);

  /* Ends delivering: when this returns, no callback but log and secret_free is made until the next start. */
  int (*stop)(struct quipu_device* device);

  /* Stops if need be, wipes what is secret, and frees the handle. */
  void (*close)(struct quipu_device* device);

  /* Fills *out, of which `size` is set and the rest zero. */
  int (*telemetry)(struct quipu_device* device, struct quipu_telemetry* out);

  /* There is room again after QUIPU_BUSY. Null: the driver polls by itself. */
  int (*resume)(struct quipu_device* device);

  /* QUIPU_CAP_PULL: begins fetching; blocks come through deliver_block, now or later. Null without. */
  int (*pull)(struct quipu_device* device, const struct quipu_pull* request);

  /* QUIPU_CAP_PEER_MESSAGES: a message from the driver at the other end. Null without. */
  int (*peer_receive)(struct quipu_device* device, const uint8_t* octets, size_t octet_count);

  /* QUIPU_CAP_INJECT: a fault to simulate, by a name of the driver's own, with arguments. Null without. */
  int (*inject)(struct quipu_device* device, const char* scenario, const struct quipu_option* arguments,
                size_t argument_count);

  /*
   * Reads the options as open does, without a handle and without a word to the device, which another process may be
   * using: so that a configuration can be checked before it is used. QUIPU_OK or QUIPU_E_OPTION; then the reason has
   * been logged, and *wrong, which the host has set to option_count, is the index of the option that it is about; it is
   * left alone when the reason is none of those given (one is missing). Called in place of open, in a process that ends
   * after it. Null: nobody knows before open.
   */
  int (*check)(const struct quipu_host* host, const struct quipu_option* options, size_t option_count, size_t* wrong);

  void* reserved[7];
};

/* In a driver's source: QUIPU_DRIVER_EXPORT const struct quipu_driver quipu_driver = { QUIPU_DRIVER_ABI, sizeof ... };
 */
#define QUIPU_DRIVER_SYMBOL "quipu_driver"
extern QUIPU_DRIVER_EXPORT const struct quipu_driver quipu_driver;

#ifdef __cplusplus
}
#endif

#endif
