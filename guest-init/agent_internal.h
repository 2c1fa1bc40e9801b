/* For the files of the agent alone: agent.c (session, event loop), agent_frames.c (what the host says),
 * agent_runtime.c (the runtime), agent_extensions.c (the extensions). */
#ifndef GUEST_INIT_AGENT_INTERNAL_H
#define GUEST_INIT_AGENT_INTERNAL_H

#include "guest-init/agent.h"

/* What an event of the loop is about; of AGENT_TAG_LOGS two, of AGENT_TAG_API all from there on. */
enum { AGENT_TAG_SESSION, AGENT_TAG_SIGNAL, AGENT_TAG_LOGS, AGENT_TAG_WEB = 8, AGENT_TAG_API = 16 };

/* agent.c. A frame in two parts, or one: n2 0. What the stream does not take now is queued. */
void agent_send(struct agent *a, const void *p1, size_t n1, const void *p2, size_t n2);
/* A frame that was encoded in buf; len negative: not at all. */
void agent_send_small(struct agent *a, const uint8_t *buf, int len);
/* May producers go on? ctx is the agent. */
bool agent_has_room(void *ctx);

/* agent_runtime.c. Its interfaces, and the end of them. 0 or negative errno. */
int agent_runtime_open(struct agent *a);
void agent_runtime_close(struct agent *a);
/* START came: starts extensions and runtime, or reports why not. */
void agent_start_programs(struct agent *a, const struct gw_start *start);
/* Starts the runtime, which is prepared; a failure is reported. */
void agent_start_runtime(struct agent *a);
/* A clone has resumed: the host is told, if it wants to know. */
void agent_resumed(struct agent *a);
/* After each round of the loop: has it ended, or is its init phase too long? */
void agent_runtime_check(struct agent *a);
/* Ends the init phase or the invocation. What the function has printed goes first. */
void agent_report(struct agent *a, enum gw_error_kind kind, int detail, const char *body, size_t len);
void agent_report_text(struct agent *a, enum gw_error_kind kind, int detail, const char *text);
/* The runtime's, which is known. */
void agent_report_death(struct agent *a);

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
