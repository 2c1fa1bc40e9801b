/* Logging to stderr, one line per record: time, program, level, optional VM or function id, text.
 * Programs log; libraries return errors. Thread-safe: one write(2) per line. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum stk_log_level { STK_LOG_ERROR, STK_LOG_WARN, STK_LOG_INFO, STK_LOG_DEBUG };

/* name and id are kept by reference and must outlive the process's logging; id may be NULL. */
void stk_log_init(const char *name, const char *id);
void stk_log_set_level(enum stk_log_level level);
/* Accepts error, warn, warning, info, debug in any case; returns 0 or -EINVAL. */
int stk_log_parse_level(const char *text, enum stk_log_level *ret_level);
/* Redirects to another descriptor (default 2); the descriptor stays the caller's. */
void stk_log_set_fd(int fd);
void stk_log(enum stk_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define stk_error(...) stk_log(STK_LOG_ERROR, __VA_ARGS__)
#define stk_warn(...)  stk_log(STK_LOG_WARN, __VA_ARGS__)
#define stk_info(...)  stk_log(STK_LOG_INFO, __VA_ARGS__)
#define stk_debug(...) stk_log(STK_LOG_DEBUG, __VA_ARGS__)

/* Rate limit for lines that a guest or a client can cause: at most `burst` lines each 5 s.
 * Use: static struct stk_log_limit lim = {.burst = 10}; if (stk_log_allow(&lim)) stk_warn(...);
 * Not thread-safe per struct: keep one per thread role. */
struct stk_log_limit {
	unsigned burst;
	unsigned used;
	uint64_t window_start_ns;
	uint64_t suppressed;
};
bool stk_log_allow(struct stk_log_limit *lim);

#endif
