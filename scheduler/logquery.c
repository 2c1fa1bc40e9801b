/* Queries for logs: see logquery.h. */
#include "scheduler/logquery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/host/http_server.h"

#define LINES_DEFAULT 100

int logquery_since(const char *text, int64_t now_ms, char ret[LOGREAD_TIME_LEN + 1])
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	size_t len = strlen(text);
	char number[16];
	uint64_t n;

	for (size_t i = 0; len > 1 && len <= sizeof(number) && i < STK_ARRAY_LEN(units); i++) {
		time_t secs;
		struct tm tm;
		int64_t ms;

		if (text[len - 1] != units[i].unit)
			continue;
		memcpy(number, text, len - 1);
		number[len - 1] = '\0';
		if (stk_parse_u64(number, 0, 36500u * 86400u, &n))
			return -EINVAL;
		ms = now_ms - (int64_t)n * units[i].ms;
		ms = ms < 0 ? 0 : ms;
		secs = (time_t)(ms / 1000);
		gmtime_r(&secs, &tm);
		if (strftime(ret, 20, "%Y-%m-%dT%H:%M:%S", &tm) != 19)
			return -EINVAL;
		snprintf(ret + 19, LOGREAD_TIME_LEN - 18, ".%03uZ", (unsigned)(ms % 1000));
		return 0;
	}
	if (len == LOGREAD_TIME_LEN)
		memcpy(ret, text, len + 1);
	else if (len == 20 && text[19] == 'Z')
		snprintf(ret, LOGREAD_TIME_LEN + 1, "%.19s.000Z", text);
	else
		return -EINVAL;
	for (size_t i = 0; i < LOGREAD_TIME_LEN; i++) {
		if (form[i] == 'd' ? ret[i] < '0' || ret[i] > '9' : ret[i] != form[i])
			return -EINVAL;
	}
	return 0;
}

int logquery_id(const char *text, char ret[LOGREAD_ID_MAX + 1])
{
	return !*text || !stk_only(text, "-_.:") || stk_strcpy(ret, LOGREAD_ID_MAX + 1, text) ? -EINVAL : 0;
}

static int bad(struct stk_err *err, const char *text)
{
	return stk_err_set(err, -EINVAL, "%s", text);
}

int logquery_read(const char *query, int64_t now_ms, struct logread_filter *f, struct stk_err *err)
{
	static const char known[] = "the query may have lines, since, request-id and follow (yes or no)";
	char key[32], value[128];
	uint64_t lines = UINT64_MAX;
	int rc;

	while ((rc = http_query_next(&query, key, sizeof(key), value, sizeof(value))) == 1) {
		if (strcmp(key, "lines") == 0) {
			if (stk_parse_u64(value, 0, LOGREAD_LINES_MAX, &lines))
				return bad(err, "lines is a number from 0 to 100000");
		} else if (strcmp(key, "since") == 0) {
			if (logquery_since(value, now_ms, f->since))
				return bad(err,
					   "since is a time like 2026-01-02T03:04:05Z, or how long ago: a number and s, m, h or d");
		} else if (strcmp(key, "request-id") == 0) {
			if (logquery_id(value, f->id))
				return bad(err, "request-id is the id of one request");
		} else if (strcmp(key, "follow") == 0 && (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
			f->follow = value[0] == 'y';
		} else {
			return bad(err, known);
		}
	}
	if (rc)
		return bad(err, known);
	if (lines == UINT64_MAX)
		lines = f->since[0] || f->id[0] ? LOGREAD_LINES_MAX : LINES_DEFAULT;
	f->lines = (unsigned)lines;
	return 0;
}
