/* For agent.c and agent_extensions.c alone. */
#ifndef GUEST_INIT_AGENT_INTERNAL_H
#define GUEST_INIT_AGENT_INTERNAL_H

#include "guest-init/agent.h"

/* Ends the init phase or the invocation. What the function has printed goes first. */
void agent_report(struct agent *a, enum gw_error_kind kind, int detail, const char *body, size_t len);
/* Starts the runtime, which is prepared; a failure is reported. */
void agent_start_runtime(struct agent *a);

/* agent_extensions.c. Starts the external extensions, if there are any. False: none, or a failure was reported. */
bool agent_extensions_start(struct agent *a);
/* One has registered, asks for an event, or reports an error. */
void agent_extensions_changed(struct agent *a);
/* The process of one has ended. */
void agent_extensions_exited(struct agent *a, int status);
/* One has failed before there was an invocation: true, and this is told. */
bool agent_extensions_failed(struct agent *a);
/* In AGENT_DONE, whenever something may have changed: what extensions may still do, in its time. */
void agent_linger(struct agent *a);

#endif
