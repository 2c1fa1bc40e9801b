/* Events: see event.h. */
#include "scheduler/async/event.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"

struct event *event_new(enum event_kind kind)
{
	struct event *e = calloc(1, sizeof(*e));

	if (e) {
		e->kind = kind;
		stk_list_init(&e->node);
	}
	return e;
}

void event_free(struct event *e)
{
	if (!e)
		return;
	free(e->target);
	free(e->context);
	free(e->tenant_id);
	free(e->payload);
	free(e);
}

void event_flow_of_function(struct event *e)
{
	stk_strcpy(e->flow, sizeof(e->flow), e->function);
}

void event_flow_of_url(struct event *e, const struct weburl *url)
{
	/* No function's name has a slash. */
	stk_snprintf(e->flow, sizeof(e->flow), "//%s", url->authority);
}

size_t event_cost(const struct event *e)
{
	return EVENT_COST + e->payload_len + (e->target ? strlen(e->target) : 0) +
	       (e->context ? strlen(e->context) : 0) + (e->tenant_id ? strlen(e->tenant_id) : 0);
}
