/* A method and a path, as the public listener looks them up in its two tables of routes. First line: method; the rest: path.
 * What is found must lead to the same when the path is written anew from its pattern, must need the right kind of proof of
 * who sends it, and its name must not lead to another tenant; what is not found must have a reason that holds. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "scheduler/auth/auth.h"
#include "scheduler/front.h"
#include "scheduler/lambda/api.h"
#include "scheduler/registry.h"
#include "scheduler/routes.h"
#include "scheduler/tenants.h"

#define INPUT_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef const struct router_route *lookup_fn(const char *method, const char *path, struct router_match *m,
					     struct route_none *ret_why);

static void require(int ok)
{
	if (!ok)
		abort();
}

/* --- what is found --------------------------------------------------------------------------------- */

static char *put_segment(char *at, const char *value, const char *end)
{
	for (; *value; value++) {
		require(end - at > 4);
		at += sprintf(at, "%%%02X", (unsigned char)*value);
	}
	return at;
}

/* The path of a pattern with these values, each byte of which is written as an escape. */
static void write_path(const char *pattern, const struct router_match *m, char *buf, size_t cap)
{
	char *at = buf, *end = buf + cap;
	unsigned n = 0;

	while (*pattern && strcmp(pattern, "/*") != 0) {
		require(end - at > 2);
		if (*pattern != ':') {
			*at++ = *pattern++;
			continue;
		}
		require(n < m->count && m->value[n][0]);
		at = put_segment(at, m->value[n++], end);
		pattern += strcspn(pattern, "/");
	}
	require(n == m->count && strlen(m->rest) < (size_t)(end - at));
	strcpy(at, m->rest);
}

static void check_found(lookup_fn *lookup, const char *method, const char *path, const struct router_route *route,
			const struct router_match *m)
{
	static char again[INPUT_MAX + ROUTER_MAX_PARAMS * 3 * ROUTER_PARAM_MAX];
	size_t len = strlen(path), rest_len = strlen(m->rest);
	struct router_match second;
	struct route_none why;

	require(m->count <= ROUTER_MAX_PARAMS);
	for (unsigned i = 0; i < m->count; i++)
		require(memchr(m->value[i], '\0', ROUTER_PARAM_MAX) != NULL);
	require(rest_len == 0 || m->rest == path + len - rest_len);
	require(rest_len == 0 || (m->rest[0] == '/' && strcmp(route->pattern + strlen(route->pattern) - 2, "/*") == 0));
	write_path(route->pattern, m, again, sizeof(again));
	require(lookup(method, again, &second, &why) == route && second.count == m->count);
	for (unsigned i = 0; i < m->count; i++)
		require(strcmp(second.value[i], m->value[i]) == 0);
	require(strcmp(second.rest, m->rest) == 0);
}

/* --- what is not ----------------------------------------------------------------------------------- */

static int has_long_segment(const char *path)
{
	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len >= ROUTER_PARAM_MAX)
			return 1;
	}
	return 0;
}

/* Every method that is said to be allowed is, and no other of them all. */
static void check_allow(lookup_fn *lookup, const char *path, const char *allow)
{
	static const char *const all[] = {"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"};
	unsigned count = 0, commas = 0;

	for (const char *p = allow; *p; p++)
		commas += *p == ',';
	for (size_t i = 0; i < STK_ARRAY_LEN(all); i++) {
		size_t len = strlen(all[i]);
		struct router_match m;
		struct route_none why;
		int listed = 0;

		for (const char *p = allow; *p && !listed; p += strcspn(p, ","), p += *p ? 2 : 0)
			listed = strncmp(p, all[i], len) == 0 && (p[len] == ',' || p[len] == '\0');
		require((lookup(all[i], path, &m, &why) != NULL) == listed);
		count += (unsigned)listed;
	}
	require(count > 0 && count == commas + 1);
}

static void check_none(lookup_fn *lookup, const char *method, const char *path, const struct route_none *why)
{
	struct router_match m;
	struct route_none other;

	require(memchr(why->allow, '\0', sizeof(why->allow)) != NULL);
	switch (why->status) {
	case 405:
		check_allow(lookup, path, why->allow);
		break;
	case 400:
		require(!why->allow[0] && (strchr(path, '%') || has_long_segment(path)));
		break;
	case 404:
		require(!why->allow[0] && !lookup("GET", path, &m, &other) && other.status == 404);
		break;
	default:
		abort();
	}
	require(strcmp(method, "HEAD") != 0 || lookup != routes_find || !lookup("GET", path, &m, &other));
}

/* --- who may ----------------------------------------------------------------------------------------- */

/* That a path needs less than its handler takes for granted would let anybody in. */
static void check_auth(const char *path, const struct router_route *route)
{
	enum auth_route need = auth_route(path);

	if (route->handler == api_admin_health)
		require(need == AUTH_OPEN);
	else if (route->handler == api_invoke_event || route->handler == api_invoke_furl || route->handler == api_async_function)
		require(need == AUTH_INVOKE);
	else
		require(need == AUTH_PLAIN);
}

/* Whatever the text, a tenant gets at its own functions only. */
static void check_scope(const char *text)
{
	static const struct auth_principal who[] = {
		{.tenant = "acme", .account = "111122223333", .key = "k"},
		{.tenant = TENANTS_DEFAULT, .account = "000000000000", .key = "k"},
		{.tenant = TENANTS_DEFAULT, .account = "000000000000", .key = "", .anonymous = true},
	};
	char name[ROUTER_PARAM_MAX], again[ROUTER_PARAM_MAX];

	for (size_t i = 0; i < STK_ARRAY_LEN(who); i++) {
		int rc = tenants_scope(&who[i], text, name, sizeof(name));

		require(rc == 0 || rc == -EACCES || rc == -ENAMETOOLONG);
		if (rc)
			continue;
		rc = tenants_scope(&who[i], name, again, sizeof(again));
		require(rc == 0 && strcmp(name, again) == 0);
		name[strcspn(name, ":")] = '\0';
		require(tenants_owns(&who[i], name));
		require(strchr(text, ':') || fn_name_valid(name) || !fn_name_valid(text) || strlen(text) > FN_BARE_MAX);
	}
}

static void try(lookup_fn *lookup, const char *method, const char *path)
{
	struct router_match m;
	struct route_none why;
	const struct router_route *route = lookup(method, path, &m, &why);

	if (!route) {
		check_none(lookup, method, path, &why);
		return;
	}
	check_found(lookup, method, path, route, &m);
	if (lookup == routes_find)
		check_auth(path, route);
	if (m.count)
		check_scope(m.value[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *method, *path;

	if (size > INPUT_MAX)
		return 0;
	method = malloc(size + 1);
	require(method != NULL);
	memcpy(method, data, size);
	method[size] = '\0';
	path = strchr(method, '\n');
	if (path) {
		*path++ = '\0';
		/* The first look of front.c: a path belongs to one of the two. */
		require(!lambda_path(path) || auth_route(path) == AUTH_LAMBDA);
		if (lambda_path(path)) {
			try(lambda_route, method, path);
		} else {
			struct router_match m;
			struct route_none why;

			require(!lambda_route(method, path, &m, &why));
			try(routes_find, method, path);
		}
	}
	free(method);
	return 0;
}
