/* Route tables: see router.h. */
#include "common/host/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum match { MATCH_NO, MATCH_YES, MATCH_BAD };

static enum match match_path(const char *pat, const char *path, struct router_match *m)
{
	m->count = 0;
	m->rest = "";
	while (*pat == '/') {
		const char *seg, *end;
		size_t plen;

		if (strcmp(pat, "/*") == 0) { /* the rest, with its '/' as it came, or nothing */
			m->rest = path;
			return *path == '\0' || *path == '/' ? MATCH_YES : MATCH_NO;
		}
		if (*path != '/')
			return MATCH_NO;
		pat++;
		seg = path + 1;
		end = strchrnul(seg, '/');
		plen = (size_t)(strchrnul(pat, '/') - pat);
		if (*pat == ':') {
			if (end == seg || m->count >= ROUTER_MAX_PARAMS)
				return MATCH_NO;
			if (http_url_decode(seg, (size_t)(end - seg), false, m->value[m->count],
					    ROUTER_PARAM_MAX) < 0)
				return MATCH_BAD;
			m->count++;
		} else if (plen != (size_t)(end - seg) || memcmp(pat, seg, plen) != 0) {
			return MATCH_NO;
		}
		pat += plen;
		path = end;
	}
	return *pat == '\0' && *path == '\0' ? MATCH_YES : MATCH_NO;
}

static void add_allow(char *allow, size_t cap, const char *method)
{
	size_t n = strlen(allow), len = strlen(method);

	for (const char *p = strstr(allow, method); p; p = strstr(p + 1, method)) {
		if ((p == allow || p[-1] == ' ') && (p[len] == '\0' || p[len] == ','))
			return;
	}
	if (n + len + 3 <= cap)
		snprintf(allow + n, cap - n, "%s%s", n ? ", " : "", method);
}

const struct router_route *router_find(const struct router_route *routes, unsigned count,
				       const char *method, const char *path,
				       struct router_match *ret_match, int *ret_status, char *allow,
				       size_t allow_cap)
{
	if (allow_cap)
		allow[0] = '\0';
	*ret_status = 404;
	for (unsigned i = 0; i < count; i++) {
		switch (match_path(routes[i].pattern, path, ret_match)) {
		case MATCH_NO:
			continue;
		case MATCH_BAD:
			if (*ret_status == 404)
				*ret_status = 400;
			continue;
		case MATCH_YES:
			break;
		}
		if (strcmp(routes[i].method, "*") == 0 || strcmp(routes[i].method, method) == 0) {
			*ret_status = 200;
			return &routes[i];
		}
		*ret_status = 405;
		if (allow_cap)
			add_allow(allow, allow_cap, routes[i].method);
	}
	return NULL;
}
