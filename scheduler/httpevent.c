/* Events of HTTP requests: see httpevent.h. */
#include "scheduler/httpevent.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/host/router.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/cloudevents.h"
#include "scheduler/furl.h"

bool httpevent_make(struct http_req *req, const struct router_match *m, const char *id, size_t max, uint8_t **ret_event,
		    size_t *ret_len, bool *ret_cloud)
{
	struct furl_request f = {
		.method = http_req_method(req),
		.path = m->rest && *m->rest ? m->rest : "/",
		.query = http_req_query(req),
		.protocol = "HTTP/1.1",
		.peer = http_req_peer(req),
		.request_id = id,
		.function = m->value[0],
		.drop_authorization = auth_of(req) && !auth_of(req)->anonymous,
		.wall_ms = stk_wall_ns() / STK_NS_PER_MS,
	};
	struct stk_err err = {0};
	enum cloudevents_mode mode;
	char text[160];
	int rc;

	f.header_count = http_req_headers(req, &f.headers);
	f.body = http_req_body(req, &f.body_len);
	mode = cloudevents_mode(f.headers, f.header_count);
	*ret_cloud = mode != CLOUDEVENTS_NONE;
	if (mode == CLOUDEVENTS_UNKNOWN) {
		answer_error(req, 415, "UnsupportedMediaType",
			     "CloudEvents are taken one by one, in binary mode or as JSON", id);
		return false;
	}
	if (mode == CLOUDEVENTS_NONE)
		rc = furl_event(&f, max, ret_event, ret_len);
	else
		rc = cloudevents_event(mode, f.headers, f.header_count, f.body, f.body_len, max, ret_event, ret_len, &err);
	if (rc == -EMSGSIZE) {
		snprintf(text, sizeof(text),
			 "the event made from this request is larger than %zu MB (bodies that are not text grow by a third)",
			 max >> 20);
		answer_error(req, 413, "PayloadTooLarge", text, id);
	} else if (rc == -EINVAL) {
		answer_error(req, 400, "BadCloudEvent", err.text, id);
	} else if (rc) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
	}
	return rc == 0;
}
