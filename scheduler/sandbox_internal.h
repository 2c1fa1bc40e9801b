/* For the files of the sandbox alone: sandbox.c (its life), sandbox_input.c (what it says), sandbox_call.c (a call),
 * sandbox_reset.c (back to the snapshot). */
#ifndef SCHEDULER_SANDBOX_INTERNAL_H
#define SCHEDULER_SANDBOX_INTERNAL_H

#include "scheduler/sandbox.h"

#define SANDBOX_EXIT_LIMIT_MS 2000 /* from the end of the stream to the end of the process */

/* A move of the diagram in sandbox.h. */
void sandbox_move(struct sandbox *sb, enum sandbox_state state);
/* The end of the VM; what waits for it learns why. why NULL: nothing to tell. */
void sandbox_die(struct sandbox *sb, enum inv_outcome outcome, const char *why);
/* Its invocation is over: it says and hears no more, and waits in one of dispatch's lists for what is done next. */
void sandbox_set_aside(struct sandbox *sb, struct stk_list *list);
/* Whose its output is: the invocation's, also while that one's extensions work on behind it; or "-". */
const char *sandbox_log_id(const struct sandbox *sb);
/* Memory it is counted with from now on. */
void sandbox_charge(struct sandbox *sb, unsigned mib);
/* Ready for a call; it may get one at once. */
void sandbox_become_warm(struct sandbox *sb);
/* When it runs out, the VM ends; why depends on its state. */
void sandbox_arm_timer(struct sandbox *sb, uint64_t ms);
/* The first frame of a clone's life. 0 or negative errno. */
int sandbox_send_resume(int fd, const struct pool *p, enum gw_resume_how how);

/* sandbox_input.c. */
extern const struct agent_ops sandbox_agent_ops;
/* Reads stream and control socket from now on. 0 or negative errno. */
int sandbox_read_start(struct sandbox *sb);
/* Of a process that has ended: what it wrote last may not have been read yet. */
void sandbox_last_words(struct sandbox *sb);

/* sandbox_call.c. All of the answer has been passed on: ends the invocation, then the VM or its use. */
void sandbox_call_answered(struct sandbox *sb);
/* The same with an error, in a call or in the init phase of a boot for inv alone. */
void sandbox_call_failed(struct sandbox *sb, const struct gw_error *e);
/* Its time limit is reached. */
void sandbox_call_expired(struct sandbox *sb);
/* Its extensions have had their time and said all they had to say. */
void sandbox_lingered(struct sandbox *sb);

/* sandbox_reset.c. May this VM, which has just answered, serve once more? */
bool sandbox_reset_possible(const struct sandbox *sb);
/* RESETTING: a line "running ..." came. */
void sandbox_reset_line(struct sandbox *sb, const char *line);

#endif
