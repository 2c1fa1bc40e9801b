/* Functions that are web servers of their own (handler "http"): instead of a runtime that asks for events there is a
 * server on a loopback port. When it accepts a connection (and its ready path answers, if there is one) the init phase is
 * over; the invocation is one HTTP request to it, made of the function-URL event, and its answer is streamed as an HTTP
 * integration's. Any other event is POSTed to /events, and the body of the answer is the result.
 * The owner's epoll loop drives it; single-threaded, no allocation. */
#ifndef GUEST_INIT_WEB_H
#define GUEST_INIT_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-init/runtime_api.h"
#include "guest-init/webmsg.h"

#define WEB_READY_MAX 127u

enum web_state {
	WEB_OFF,      /* this function is none */
	WEB_STARTING, /* tried again at timer_ns */
	WEB_PROBING,  /* its ready path is asked */
	WEB_READY,
	WEB_SENDING,
	WEB_HEAD,
	WEB_BODY,
	WEB_CUT, /* the connection has ended too early: at timer_ns this is told, if the process has not ended till then */
	WEB_DONE,
};

struct web {
	const struct runtime_api_ops *ops; /* room, stream, response, error */
	void (*ready)(void *ctx);
	void *ctx;
	int epfd;
	uint64_t tag;
	enum web_state state;
	unsigned port;                /* 0: the function is no web server */
	char path[WEB_READY_MAX + 1]; /* "": none */
	int fd;                       /* -1: none */
	uint32_t events;              /* that are listened for */
	uint64_t timer_ns;            /* monotonic; 0: none */
	struct webmsg_request request;
	struct webmsg_response response;
	struct webmsg_chunks chunks;
	size_t sent;
	uint64_t left, total; /* of the body */
	size_t in_len;
	char out[WEBMSG_HEAD]; /* the request's head, then the answer's prelude */
	char in[WEBMSG_HEAD];
};

/* ready is called when it is (with ctx, as ops). */
void web_init(struct web *w, int epfd, uint64_t tag, const struct runtime_api_ops *ops, void (*ready)(void *ctx),
	      void *ctx);
/* Reads ".http_port" (port 0 afterwards: the function is none) and ".http_ready". */
void web_configure(struct web *w, const struct gw_start *start);
/* Its process was started. */
void web_start(struct web *w);
/* The invocation; event is written into. */
void web_invoke(struct web *w, uint8_t *event, size_t len, const char *request_id);
void web_event(struct web *w);
/* When timer_ns has come. */
void web_timer(struct web *w);
/* There is room again. */
void web_resume(struct web *w);
/* For when the process is dead: takes in what it still sent. True when nothing more can come. */
bool web_settle(struct web *w);
void web_close(struct web *w);

#endif
