/* The monitor's control interface: HTTP over a Unix socket, shaped like Firecracker's (openapi.yaml).
 * One request at a time per connection; handlers run to their end on the main thread, so that no two
 * changes of the machine overlap. */
#ifndef VMM_API_API_SERVER_H
#define VMM_API_API_SERVER_H

#include <uv.h>

#include "common/base/err.h"
#include "vmm/vm.h"

struct api_server;

/* id is copied; vm is borrowed and must outlive the server. A socket file left behind by a process
 * that has gone is replaced; one that answers is not. Main thread. */
int api_server_start(uv_loop_t *loop, const char *sock_path, const char *id, struct vm *vm,
		     struct api_server **ret, struct stk_err *err);

/* A failed /snapshot/load has left the process good for nothing but exit: called after its answer
 * has been sent. Without it all further requests are refused. */
void api_server_on_fatal(struct api_server *s, void (*on_fatal)(void *ctx), void *ctx);

/* Takes the socket file away at once. Memory and descriptors are given back by the next turns of the
 * loop; at the end of the process there need not be any. NULL is allowed. */
void api_server_stop(struct api_server *s);

#endif
