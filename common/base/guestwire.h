/* guestwire: frames between the host (stokerd, stoker-snapshot) and the guest agent (stoker-init)
 * over one vsock stream. CONTRACT: a change here needs a new version or a new type.
 *
 * A frame is a 20-byte little-endian header and `length` bytes of payload:
 *   u32 magic "STKW"   u16 version   u16 type   u32 flags   u32 stream   u32 length
 * `stream` is 0 for the session and 1 for the one invocation a VM serves.
 *
 *   boot:     agent connects to CID 2, port GW_PORT    HELLO(booted) ->   <- START
 *             LOG* ->   READY -> (init phase over)  or  ERROR(init) ->
 *   snapshot:                                          <- TRIM   TRIMMED ->   (paused here, stream kept)
 *   clone:                            <- SECRETS (or none)   <- PREFAULT (or none)   <- RESUME   RESUMED -> (or none)
 *   call:                                              <- INVOKE   LOG* -> RESPONSE*(last: FIN) | ERROR ->
 *   streamed answer:                                   <- INVOKE   LOG* -> STREAM -> RESPONSE*(last: FIN) | ERROR ->
 *   extensions, behind the call's end:                 LOG* -> BYE ->
 *   extensions, the call took too long:                <- INVOKE   LOG* ->   <- EXPIRED   LOG* -> BYE ->
 *   end:                                               <- BYE (or SIGKILL from outside)
 *
 * Both sides treat the other as hostile: header and payload are checked before use, lengths are
 * bounded, a violation ends the session. All parsing is pure and allocation-free.
 */
#ifndef COMMON_BASE_GUESTWIRE_H
#define COMMON_BASE_GUESTWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cursor.h"

#define GW_PORT          1024u
#define GW_MAGIC         0x574b5453u /* "STKW" in memory */
#define GW_VERSION       1
#define GW_HEADER_LEN    20u
#define GW_MAX_EVENT     (6u * 1024 * 1024 + 100) /* Lambda's synchronous limit */
#define GW_MAX_RESPONSE  (6u * 1024 * 1024 + 100)
#define GW_MAX_STREAM    (20u * 1024 * 1024)      /* bytes of a streamed answer */
#define GW_MAX_TYPE      255u                     /* media type of a streamed answer */
#define GW_MAX_FRAME     (GW_MAX_EVENT + 65536u)  /* largest payload of any frame */
#define GW_MAX_CHUNK     65536u                   /* largest RESPONSE or LOG payload */
#define GW_MAX_ERROR     65536u                   /* largest ERROR payload */
#define GW_ENTROPY_LEN   32u
#define GW_MAX_KV        16u                      /* pairs that go with an event */
#define GW_MAX_RANGES    8192u                    /* of pages in PREFAULT */
/* Pairs in START: Lambda's 4 KiB of variables, "AB=" and a NUL at least, and those of the host. */
#define GW_MAX_ENV       1100u

enum gw_type {
	GW_HELLO = 1,     /* agent: u8 state (0 booted, 1 ready), u16 length + text: agent version */
	GW_START = 2,     /* host: u64 wall_ns, u32 init_timeout_ms, entropy, kv list */
	GW_READY = 3,     /* agent: u64 init phase duration in ns */
	GW_TRIM = 4,      /* host: u64 bytes of memory it has given so far; leave zeros in what of it is free (file caches stay) */
	GW_TRIMMED = 5,   /* agent: u64 bytes of memory in use after it */
	GW_RESUME = 6,    /* host: u64 wall_ns, entropy, u16 length + host name, u8 enum gw_resume_how */
	GW_RESUMED = 7,   /* agent: nothing */
	GW_INVOKE = 8,    /* host: struct gw_invoke */
	GW_RESPONSE = 9,  /* agent: bytes of the answer; GW_F_FIN on the last (may be empty) */
	GW_ERROR = 10,    /* agent: struct gw_error; ends the invocation (or the init phase) */
	GW_LOG = 11,      /* agent: u8 descriptor (1 or 2), bytes */
	GW_BYE = 12,      /* host: power off now; agent: its extensions are done, nothing follows */
	GW_PREFAULT = 13, /* host: u32 first page frame, u32 count of pages; again and again */
	/* agent: media type of the answer (text, may be empty), which is streamed: before its first RESPONSE.
	 * An ERROR behind it is a failure in mid-stream. */
	GW_STREAM = 14,
	GW_SECRETS = 15,  /* host: kv list; before the RESUME of a clone, or the INVOKE of a VM that was booted */
	GW_EXPIRED = 16,  /* host: the call's time is up, no answer is waited for; to an agent that may LINGER */
	GW_TYPE_MAX = GW_EXPIRED,
};

#define GW_F_FIN    1u
/* On the frame that ends the invocation (ERROR, or RESPONSE with FIN): extensions are told that it is over; the agent says
 * BYE when they are done. On READY and RESUMED: there are extensions that want to be told. */
#define GW_F_LINGER 2u
/* On the frame that ends the invocation: */
#define GW_F_PEAK_SHIFT 16 /* above: MiB of memory that the function has used at most; 0: not known */

/* ERROR kinds. `detail` is the exit status or the signal number where there is one. */
enum gw_error_kind {
	GW_ERR_INIT = 1,       /* POST init/error: body is the runtime's own JSON */
	GW_ERR_FUNCTION = 2,   /* POST invocation/ID/error: body is the runtime's own JSON */
	GW_ERR_EXIT = 3,       /* runtime exited, detail = status */
	GW_ERR_SIGNAL = 4,     /* runtime was killed, detail = signal */
	GW_ERR_OOM = 5,        /* runtime was killed for lack of guest memory */
	GW_ERR_ENTRYPOINT = 6, /* no bootstrap, or it cannot be executed; body is text */
	GW_ERR_TOO_LARGE = 7,  /* answer over GW_MAX_RESPONSE */
	GW_ERR_INIT_TIMEOUT = 8,
	GW_ERR_AGENT = 9,      /* the agent itself failed; body is text */
};

struct gw_header {
	uint16_t type;
	uint32_t flags;
	uint32_t stream;
	uint32_t length;
};

struct gw_kv {
	const char *key; /* not NUL-terminated */
	uint16_t key_len;
	const char *value;
	uint32_t value_len;
};

/* START. Keys of the list that begin with '.' are for the agent, all others are the function's
 * environment. Agent keys: ".hostname", ".memory_mib", ".nofile", ".snapstart" (1: restore/next is offered),
 * ".account" (of the function's ARN, 12 digits), ".http_port" (the function is a web server on it), ".http_ready" (path
 * that answers when it is ready). */
struct gw_start {
	uint64_t wall_ns;
	uint32_t init_timeout_ms;
	uint8_t entropy[GW_ENTROPY_LEN];
	struct gw_kv kv[GW_MAX_ENV];
	unsigned kv_count;
};

enum gw_resume_how {
	GW_RESUME_TELL = 0,    /* RESUMED when it has resumed */
	/* The clone will wait for its invocation: before RESUMED a runtime client that offers it goes
	 * once more over its own code (never the function's), so that its pages are there. */
	GW_RESUME_WARM_UP = 1,
	GW_RESUME_QUIET = 2,   /* no RESUMED: it has resumed from this state before, and is believed to do so again */
};

struct gw_resume {
	uint64_t wall_ns;
	uint8_t entropy[GW_ENTROPY_LEN];
	const char *hostname; /* not NUL-terminated */
	uint16_t hostname_len;
	uint8_t how; /* enum gw_resume_how */
};

/* INVOKE. The kv list becomes response headers of the runtime's pending `next`
 * (lower-case names, for example lambda-runtime-invoked-function-arn). */
struct gw_invoke {
	uint64_t deadline_ms; /* epoch */
	uint64_t wall_ns;
	uint8_t entropy[GW_ENTROPY_LEN];
	const char *request_id; /* not NUL-terminated, 1 to 128 bytes */
	uint16_t request_id_len;
	struct gw_kv kv[GW_MAX_KV];
	unsigned kv_count;
	const uint8_t *event; /* the rest of the frame */
	uint32_t event_len;
};

/* PREFAULT: memory (page frames of 4 KiB, guest physical) that the clone is going to use. The agent reads a byte of
 * each page, so that the host has mapped it before the invocation comes. Answered by nothing. */
struct gw_page_range {
	uint32_t first;
	uint32_t count;
};

/* SECRETS: values that are in no snapshot, and become files of the function's. Answered by nothing. */
#define GW_MAX_SECRETS     32u
#define GW_MAX_SECRET_NAME 64u /* letters, digits, _ */

struct gw_secrets {
	struct gw_kv kv[GW_MAX_SECRETS];
	unsigned kv_count;
};

struct gw_error {
	uint16_t kind; /* enum gw_error_kind */
	int32_t detail;
	const char *body; /* JSON or text, not NUL-terminated */
	uint32_t body_len;
};

/* Checks magic, version, type, flags and length. 0 or -EPROTO. buf holds GW_HEADER_LEN bytes. */
int gw_header_decode(const uint8_t *buf, struct gw_header *ret_hdr);
void gw_header_encode(uint8_t *buf, const struct gw_header *hdr);

/* Payload decoders: pointers in the result point into buf. 0 or -EPROTO (also for trailing bytes). */
int gw_start_decode(const uint8_t *buf, size_t len, struct gw_start *ret_start);
int gw_resume_decode(const uint8_t *buf, size_t len, struct gw_resume *ret_resume);
int gw_invoke_decode(const uint8_t *buf, size_t len, struct gw_invoke *ret_invoke);
int gw_error_decode(const uint8_t *buf, size_t len, struct gw_error *ret_error);
/* How many ranges a PREFAULT payload holds, and range i of them. */
int gw_prefault_decode(const uint8_t *buf, size_t len, unsigned *ret_count);
struct gw_page_range gw_prefault_range(const uint8_t *buf, unsigned i);
int gw_secrets_decode(const uint8_t *buf, size_t len, struct gw_secrets *ret_secrets);
int gw_u64_decode(const uint8_t *buf, size_t len, uint64_t *ret_value); /* READY, TRIM, TRIMMED */
int gw_hello_decode(const uint8_t *buf, size_t len, uint8_t *ret_state);
/* STREAM: *ret_type becomes text of at most GW_MAX_TYPE printable characters. */
int gw_stream_decode(const uint8_t *buf, size_t len, char ret_type[GW_MAX_TYPE + 1]);

/* Whole-frame encoders (header included) into buf. Return the frame's length, or -ENOBUFS.
 * gw_invoke_encode writes all but the event's bytes: the header's length counts inv->event_len,
 * and the caller sends the event right behind (writev), so that it is never copied. */
int gw_start_encode(uint8_t *buf, size_t cap, const struct gw_start *start);
int gw_resume_encode(uint8_t *buf, size_t cap, const struct gw_resume *resume);
int gw_invoke_encode(uint8_t *buf, size_t cap, const struct gw_invoke *inv);
int gw_prefault_encode(uint8_t *buf, size_t cap, const struct gw_page_range *range, unsigned count);
int gw_secrets_encode(uint8_t *buf, size_t cap, const struct gw_secrets *secrets);
int gw_error_encode(uint8_t *buf, size_t cap, const struct gw_error *error);
int gw_u64_encode(uint8_t *buf, size_t cap, enum gw_type type, uint64_t value);
int gw_hello_encode(uint8_t *buf, size_t cap, uint8_t state, const char *version);
int gw_empty_encode(uint8_t *buf, size_t cap, enum gw_type type);
int gw_stream_encode(uint8_t *buf, size_t cap, const char *type);
/* Sets the flags of an encoded frame. */
void gw_set_flags(uint8_t *frame, uint32_t flags);

/* Adds a pair by reference to a list of at most `max`; -ENOBUFS when it is full. */
int gw_kv_add(struct gw_kv *kv, unsigned max, unsigned *count, const char *key, const char *value);

#endif
