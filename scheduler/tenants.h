/* Tenants: each has functions and layers of its own, under names that others may use as well, an account id for its ARNs, and
 * may have a bound on its calls. Inside the host a function is known as NAME, or NAME.TENANT for all but the default tenant.
 * Loop thread only. */
#ifndef SCHEDULER_TENANTS_H
#define SCHEDULER_TENANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "scheduler/policy/planner.h"
#include "scheduler/refusals.h"

#define TENANTS_DEFAULT "default"
#define TENANT_NAME_MAX 64

struct auth;
struct auth_principal;
struct fn_settings;

struct tenant {
	struct tenant *next;
	char name[TENANT_NAME_MAX + 1];
	char account[13];
	int limit;          /* calls that run or wait at the same time; -1: none */
	unsigned in_flight;
	unsigned log_readers; /* requests that read its logs */
	unsigned code_readers; /* requests that read its packages */
	struct plan_tenant plan; /* its share of starts: dispatch.c */
	struct tenant_refusals refusals;
};

struct tenants {
	struct tenant *first; /* the default one; there are few */
};

int tenants_init(struct tenants *t); /* -ENOMEM */
void tenants_fini(struct tenants *t);
/* Accounts and limits are those of the key file from now on. */
void tenants_adopt(struct tenants *t, const struct auth *a);
/* Finds or makes. NULL: out of memory. name "" is the default one. */
struct tenant *tenants_get(struct tenants *t, const char *name);
/* The one a function of this name belongs to; the default one when memory is short. */
struct tenant *tenants_of(struct tenants *t, const char *function);
/* What the host calls a function that a client calls `text`: NAME[:QUALIFIER], or with the tenant, NAME.TENANT[:QUALIFIER],
 * which must be its own unless there are no keys (who->unbound; or who NULL). -EACCES, -ENAMETOOLONG. */
int tenants_scope(const struct auth_principal *who, const char *text, char *ret, size_t cap);
/* Whether who is shown a function or layer of this name. */
bool tenants_shows(const struct auth_principal *who, const char *name);
/* Whether it is its own. Any thread. */
bool tenants_owns(const struct auth_principal *who, const char *name);
/* The account in the ARN of what has this name. Loop thread. */
const char *tenants_account(const struct tenants *t, const char *name);
/* Layers that were named by a client: their names inside the host. -EACCES, -ENAMETOOLONG; -EEXIST: two names, with the
 * tenant and without, of the same one. */
int tenants_scope_layers(const struct auth_principal *who, struct fn_settings *s);

#endif
