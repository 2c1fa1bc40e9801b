/* Lists in pages: ?MaxItems= and ?Marker=, and the NextMarker of a page. A marker says behind which key the next page
 * begins, so it stays right when things are added or deleted between two pages. To clients it is opaque: it carries the
 * list's letter and a checksum, and one that was not made here for this list is refused. Pure; any thread. */
#ifndef SCHEDULER_LAMBDA_PAGING_H
#define SCHEDULER_LAMBDA_PAGING_H

#include <stdbool.h>

#include "scheduler/lambda/error.h"

#define LAMBDA_PAGE_MAX   50
#define LAMBDA_KEY_MAX    256
#define LAMBDA_MARKER_MAX 360 /* with NUL */

struct lambda_page {
	unsigned max;                   /* 1 to LAMBDA_PAGE_MAX */
	bool has_after;
	char after[LAMBDA_KEY_MAX + 1]; /* the page begins with the first key behind this one */
};

/* Which list a marker belongs to: any ASCII letter, one for each operation. */

/* query: raw, as http_req_query gives it; other parameters are left alone. max_items: what the operation takes as
 * MaxItems, 10000 (functions, versions, aliases) or 50 (the others); pages have at most LAMBDA_PAGE_MAX in any case.
 * LAMBDA_VALIDATION or LAMBDA_INVALID_PARAMETER. */
int lambda_page_parse(const char *query, char list, unsigned max_items, struct lambda_page *ret,
		      struct lambda_err *err);

/* The marker of a page that ended with `key` (at most LAMBDA_KEY_MAX bytes). Only to be given when more follows. */
int lambda_page_marker(char list, const char *key, char ret_marker[LAMBDA_MARKER_MAX]);

/* The last value of one query parameter, decoded. 1: found, 0: not there, -EINVAL: the query is malformed (err says
 * so). For the other parameters of an operation: Qualifier, FunctionVersion, List. */
int lambda_query(const char *query, const char *name, char *ret_value, size_t cap, struct lambda_err *err);

#endif
