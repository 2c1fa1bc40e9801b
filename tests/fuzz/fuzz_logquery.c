/* The query of a request for logs. What is taken is within its limits, and reads the same when it is written as a query again;
 * what is refused has a reason. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/logquery.h"

#define NOW_MS 1767323045678

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static void check(const struct logread_filter *f)
{
	struct logread_filter again = {.lines = 0};
	struct stk_err err = {0};
	char query[512];
	int n;

	require(f->lines <= LOGREAD_LINES_MAX && !f->version[0][0]);
	require(!f->since[0] || strlen(f->since) == LOGREAD_TIME_LEN);
	require(strlen(f->id) <= LOGREAD_ID_MAX && f->id[strcspn(f->id, " \t\r\n&%")] == '\0');
	n = snprintf(query, sizeof(query), "follow=%s&lines=%u", f->follow ? "yes" : "no", f->lines);
	if (f->since[0])
		n += snprintf(query + n, sizeof(query) - (size_t)n, "&since=%s", f->since);
	if (f->id[0])
		snprintf(query + n, sizeof(query) - (size_t)n, "&request-id=%s", f->id);
	require(logquery_read(query, NOW_MS, &again, &err) == 0);
	require(again.lines == f->lines && again.follow == f->follow);
	require(strcmp(again.since, f->since) == 0 && strcmp(again.id, f->id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logread_filter f = {.lines = 0};
	struct stk_err err = {0};
	char *query;

	if (size > 8192)
		return 0;
	query = malloc(size + 1);
	require(query != NULL);
	memcpy(query, data, size);
	query[size] = '\0';
	if (logquery_read(query, NOW_MS, &f, &err) == 0)
		check(&f);
	else
		require(err.text[0] != '\0');
	free(query);
	return 0;
}
