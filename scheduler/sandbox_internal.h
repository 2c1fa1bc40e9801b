/* For sandbox.c and sandbox_reset.c alone. */
#ifndef SCHEDULER_SANDBOX_INTERNAL_H
#define SCHEDULER_SANDBOX_INTERNAL_H

#include "scheduler/sandbox.h"

extern const struct agent_ops sandbox_agent_ops;

/* A move of the diagram in sandbox.h. */
void sandbox_move(struct sandbox *sb, enum sandbox_state state);
/* The end of the VM; what waits for it learns why. why NULL: nothing to tell. */
void sandbox_die(struct sandbox *sb, enum inv_outcome outcome, const char *why);
/* Memory it is counted with from now on. */
void sandbox_charge(struct sandbox *sb, unsigned mib);
/* Ready for a call; it may get one at once. */
void sandbox_become_warm(struct sandbox *sb);
void sandbox_arm_timer(struct sandbox *sb, uint64_t ms);
/* The first frame of a clone's life. 0 or negative errno. */
int sandbox_send_resume(int fd, const struct pool *p, enum gw_resume_how how);

/* sandbox_reset.c. May this VM, which has just answered, serve once more? */
bool sandbox_reset_possible(const struct sandbox *sb);
/* RESETTING: a line "running ..." came. */
void sandbox_reset_line(struct sandbox *sb, const char *line);

#endif
