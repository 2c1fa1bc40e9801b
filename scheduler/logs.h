/* Function output: one file per function, DIR/NAME.log, bounded by rotation to NAME.log.1. Lines are
 * collected in memory and written by a pool thread; what comes faster than the disk takes it is
 * dropped and counted. Loop thread only. logread.h reads the files. */
#ifndef SCHEDULER_LOGS_H
#define SCHEDULER_LOGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <uv.h>

#include "common/base/list.h"

#define LOGS_FILE_MAX (1u << 20)
#define LOGS_LINE_MAX 8192
#define LOGS_STAMP_MAX 160

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
/* The time as lines have it: 2026-01-02T03:04:05.678Z. */
struct stk_text;
void logs_time(struct logsink *s, struct stk_text *t);
/* What stands in front of a line that is written now: time and request id. Returns its length; 0: the id is too long. */
size_t logs_stamp(struct logsink *s, char buf[LOGS_STAMP_MAX], const char *id);
/* One line with that in front. */
void logs_line(struct logsink *s, const char *id, const char *text, size_t len);
/* Output as it comes: split into lines. */
void logs_feed(struct logsink *s, struct logline *line, const char *id, const uint8_t *data, size_t len);
void logs_flush_line(struct logsink *s, struct logline *line, const char *id);
/* Text of any number of lines. text NULL is fine. */
void logs_text(struct logsink *s, const char *id, const char *text);

/* Who reads the file as it is written. `written` is called when there is more in it, `ended` when no more is to be waited for:
 * the function was deleted, or the host is shutting down. Both may call logs_unwatch. */
struct logs_watch {
	struct stk_list node;
	void (*written)(struct logs_watch *w);
	void (*ended)(struct logs_watch *w);
};
void logs_watch(struct logsink *s, struct logs_watch *w);
void logs_unwatch(struct logs_watch *w);
/* All that was given to the sink before now is in the file when logs_done says so of this number. */
uint64_t logs_mark(const struct logsink *s);
bool logs_done(const struct logsink *s, uint64_t mark);
/* For logread_open. Lives as long as struct logs. */
const unsigned *logs_rotations(const struct logsink *s);
const char *logs_name(const struct logsink *s);
const char *logs_dir(const struct logsink *s);
/* The function was deleted: those that watch are told the end, the files are removed, and what its last calls still say is
 * not kept. NULL is fine. */
void logs_remove(struct logsink *s);
/* A function of this name is there again. */
void logs_again(struct logsink *s);
/* At the start: removes the files of functions that there are no more. Blocks. */
void logs_sweep(struct logs *l, bool (*known)(void *ctx, const char *name), void *ctx);
/* All of them; from now on logs_ended. */
void logs_end_all(struct logs *l);
bool logs_ended(const struct logs *l);
/* Each may end itself. */
void logs_each_watch(struct logs *l, void (*each)(struct logs_watch *w));

#endif
