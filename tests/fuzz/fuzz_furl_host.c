/* A Host header, and the domain that function URLs are shown with: lines of the host, the domain, a function's name and an
 * alias. An id leads to the URL that it is made of and to no other; a URL that is shown leads back. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/furl_config.h"
#include "scheduler/furl_host.h"
#include "scheduler/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static void unused(void *ctx, struct fn_version *v)
{
	(void)ctx;
	(void)v;
}

static void check_host(const struct registry *r, const char *host)
{
	char id[FURL_ID_LEN + 1], own[FURL_ID_LEN + 1];
	const struct function *fn;
	const char *qualifier;

	if (!furl_host_id(host, id))
		return;
	require(furl_host_is(host) && strlen(id) == FURL_ID_LEN && strncasecmp(host, id, FURL_ID_LEN) == 0);
	require(strspn(id, "abcdefghijklmnopqrstuvwxyz234567") == FURL_ID_LEN);
	fn = furl_by_id(r, id, &qualifier);
	require(!fn ||
		(registry_note(fn, FURL_NOTE, qualifier) && furl_id(fn->name, qualifier, own) == 0 &&
		 strcmp(own, id) == 0));
}

static void check_url(const struct registry *r, const struct function *fn, const char *alias, const char *domain)
{
	char id[FURL_ID_LEN + 1], got[FURL_ID_LEN + 1], host[256];
	const char *qualifier;

	require(furl_id(fn->name, alias, id) == 0);
	require(furl_by_id(r, id, &qualifier) == fn && strcmp(qualifier, alias) == 0);
	if (!furl_domain_valid(domain))
		return;
	require(snprintf(host, sizeof(host), "%s.lambda-url.%s", id, domain) < (int)sizeof(host));
	require(furl_host_id(host, got) && strcmp(got, id) == 0);
	check_host(r, host);
}

static void try(const char *host, const char *domain, const char *name, const char *alias)
{
	static struct registry r;
	struct function *fn;

	registry_init(&r, unused, NULL);
	fn = registry_add(&r, fn_name_valid(name) ? name : "f");
	require(fn && registry_note_set(fn, FURL_NOTE, "", "{}") == 0 && registry_note_set(fn, FURL_NOTE, "a", "{}") == 0);
	check_host(&r, host);
	check_url(&r, fn, "", domain);
	if (strlen(alias) <= 128 && registry_note_set(fn, FURL_NOTE, alias, "{}") == 0)
		check_url(&r, fn, alias, domain);
	registry_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *line[4], *rest;

	if (size > 4096)
		return 0;
	text = malloc(size + 1);
	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	rest = text;
	for (unsigned i = 0; i < 4; i++) {
		char *end = rest + strcspn(rest, "\n");

		line[i] = rest;
		rest = *end ? end + 1 : end;
		*end = '\0';
	}
	try(line[0], line[1], line[2], line[3]);
	free(text);
	return 0;
}
