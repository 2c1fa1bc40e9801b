/* Logging: see log.h. */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

static const char *log_name = "stoker";
static const char *log_id;
static enum stk_log_level log_level = STK_LOG_INFO;
static int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void stk_log_init(const char *name, const char *id)
{
	log_name = name;
	log_id = id;
}

void stk_log_set_level(enum stk_log_level level)
{
	log_level = level;
}

void stk_log_set_fd(int fd)
{
	log_fd = fd;
}

int stk_log_parse_level(const char *text, enum stk_log_level *ret_level)
{
	if (strcasecmp(text, "warning") == 0) {
		*ret_level = STK_LOG_WARN;
		return 0;
	}
	for (unsigned i = 0; i < 4; i++) {
		if (strcasecmp(text, level_names[i]) == 0) {
			*ret_level = (enum stk_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* UTC. Not by gmtime_r and strftime: at their first use these read the time zone file, which a
 * confined thread may not. Days to a date in the Gregorian calendar, years beginning in March. */
static size_t put_date(char *buf, size_t cap, time_t t)
{
	unsigned sec = (unsigned)(t % 86400);
	unsigned z = (unsigned)(t / 86400) + 719468;
	unsigned era = z / 146097, doe = z % 146097;
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	unsigned month = mp < 10 ? mp + 3 : mp - 9;
	int n = snprintf(buf, cap, "%04u-%02u-%02uT%02u:%02u:%02u", yoe + era * 400 + (month <= 2), month,
			 doy - (153 * mp + 2) / 5 + 1, sec / 3600, sec / 60 % 60, sec % 60);

	return n > 0 ? (size_t)n : 0;
}

void stk_log(enum stk_log_level level, const char *fmt, ...)
{
	char line[1024];
	struct timespec ts;
	va_list ap;
	size_t n;
	int saved_errno = errno;

	if (level > log_level)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	n = put_date(line, sizeof(line), ts.tv_sec);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s%s%s: ", ts.tv_nsec / 1000000,
			      log_name, level_names[level], log_id ? " " : "", log_id ? log_id : "");
	va_start(ap, fmt);
	if (n < sizeof(line)) {
		int m = vsnprintf(line + n, sizeof(line) - n, fmt, ap);

		if (m > 0)
			n += (size_t)m;
	}
	va_end(ap);
	if (n > sizeof(line) - 1)
		n = sizeof(line) - 1;
	/* A guest's or client's text must not forge lines. */
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[n++] = '\n';
	if (write(log_fd, line, n) < 0) {
		/* Nowhere left to say it. */
	}
	errno = saved_errno;
}

bool stk_log_allow(struct stk_log_limit *lim)
{
	uint64_t now = stk_now_ns();

	if (now - lim->window_start_ns > 5000000000ULL) {
		lim->window_start_ns = now;
		lim->used = 0;
	}
	if (lim->used < lim->burst) {
		lim->used++;
		return true;
	}
	lim->suppressed++;
	return false;
}
