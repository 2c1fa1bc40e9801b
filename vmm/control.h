/* The line to the process that started the monitor (--control-fd): it is told "running NS" or "error TEXT"; a shell says
 * "ready" first, and is sent what fills it in (fill.h); with
 * --reusable it then says "reset", and is answered with "running NS BYTES" once the VM runs again from its snapshot.
 * BYTES: how many bytes of the lives before were ever written to the lent vsock streams; what follows them is of the
 * new life.
 * Main thread. */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/err.h"

#define CONTROL_LINE_MAX 32u

/* Lines of the other side, pure: a descriptor's bytes go in as they come. */
struct control_lines {
	char text[CONTROL_LINE_MAX];
	unsigned len;
};

enum control_word { CONTROL_NONE, CONTROL_RESET, CONTROL_BAD };

/* Takes bytes up to the end of a line. NONE: all were taken, no line has ended. *ret_used: bytes taken. BAD is final. */
enum control_word control_take(struct control_lines *l, const char *data, size_t len, size_t *ret_used);

struct control {
	uv_poll_t poll;
	int fd; /* -1: none, or closed */
	struct control_lines lines;
	bool polled;
	void (*on_reset)(void *ctx);
	void (*on_fill)(void *ctx);
	void (*on_gone)(void *ctx); /* closed by the other side, or something else than a command came */
	void *ctx;
};

/* fd -1: nobody is told anything. */
void control_init(struct control *c, int fd);
void control_say(struct control *c, const char *word, const char *text);
/* No more is said; standard descriptors stay open. */
void control_close(struct control *c);
/* Waits for commands from now on; fd must be a socket. Before the thread is confined. */
int control_listen(struct control *c, uv_loop_t *loop, void (*on_reset)(void *ctx), void (*on_gone)(void *ctx),
		   void *ctx, struct stk_err *err);
/* The same for the one message that fills a shell in: on_fill is called when something is there to be received. */
int control_await_fill(struct control *c, uv_loop_t *loop, void (*on_fill)(void *ctx), void *ctx, struct stk_err *err);
void control_stop(struct control *c);

#endif
