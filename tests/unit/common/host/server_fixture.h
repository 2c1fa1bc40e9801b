/* A server on a thread of its own, with handlers that show each behaviour, and a raw blocking client. */
#ifndef TESTS_UNIT_COMMON_HOST_SERVER_FIXTURE_H
#define TESTS_UNIT_COMMON_HOST_SERVER_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/host/http_server.h"

/* Bytes of /stream and /big: more than the kernel buffers on loopback. */
#define FIXTURE_STREAM_TOTAL (24u << 20)

struct fixture_counts {
	atomic_uint requests, closes, drains, live, sunk_max, taps;
	atomic_size_t sunk;
};
extern struct fixture_counts fixture_counts;

/* Paths: /echo /async /hold /stream /sink /sinkfail /pause /duplex /early /limit /big /headers
 * /tap (shows what a tap saw; its end is counted in taps), /tapsink (the same beside a sink), /tapearly */
void fixture_start(const struct http_limits *limits, const char *unix_path);
void fixture_stop(void);
unsigned fixture_port(void);
unsigned fixture_connections(void); /* as the server counts them, asked on its thread */
/* Calls http_server_close on the server's thread and returns; fixture_stop waits for the end. */
void fixture_begin_close(unsigned timeout_ms);

int raw_connect(void);
void raw_send(int fd, const char *text);
/* Sends as much as it can; false when the server has gone in between. */
bool raw_send_n(int fd, const void *data, size_t len);
/* Everything until the server closes (heap, NUL-terminated); fails the test after 10 s. */
char *raw_read_all(int fd);
/* Until `needle` has appeared. */
char *raw_read_until(int fd, const char *needle);
/* connect + send + raw_read_all + close. */
char *raw_talk(const char *text);

#endif
