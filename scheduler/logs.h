/* Function output: one file per function, DIR/NAME.log, bounded by rotation to NAME.log.1. Lines are
 * collected in memory and written by a pool thread; what comes faster than the disk takes it is
 * dropped and counted. Loop thread only, except logs_tail. */
#ifndef SCHEDULER_LOGS_H
#define SCHEDULER_LOGS_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define LOGS_FILE_MAX (1u << 20)
#define LOGS_LINE_MAX 8192

struct daemon;
struct logs;
struct logsink;

/* A line under construction: output arrives in pieces. Zeroed is ready; logs_flush_line frees. */
struct logline {
	char *buf;
	size_t len;
};

struct logs *logs_new(struct daemon *d, const char *dir);
/* Writes what is left, waiting for the disk: at the very end only. */
void logs_free(struct logs *l);
void logs_close_timer(struct logs *l); /* before the loop ends */
struct logsink *logs_sink(struct logs *l, const char *name);
/* One line with time and request id in front. */
void logs_line(struct logsink *s, const char *id, const char *text, size_t len);
/* Output as it comes: split into lines. */
void logs_feed(struct logsink *s, struct logline *line, const char *id, const uint8_t *data, size_t len);
void logs_flush_line(struct logsink *s, struct logline *line, const char *id);
/* The last `lines` lines of a function's log files. Blocks: pool thread. Heap text; -ENOENT. */
int logs_tail(const char *dir, const char *name, unsigned lines, char **ret_text, size_t *ret_len);

#endif
