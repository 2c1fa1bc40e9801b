/* What of a configuration's text (extra.h) changes how the function runs. Kept in that text alone; the settings have it in a
 * form that can be used in every call. No globals: any thread. */
#ifndef SCHEDULER_LAMBDA_EFFECTS_H
#define SCHEDULER_LAMBDA_EFFECTS_H

#include <stdbool.h>

#include "scheduler/registry.h"

/* Into s->logging and s->snapstart, whatever it was before. extra: NULL, "", or no text of extra.h: defaults. -ENOMEM, with s as it was. */
int lambda_effects(const char *extra, struct fn_settings *s);
/* May this be LogGroup? [.-_/#A-Za-z0-9], 1 to 512 of them. */
bool lambda_log_group_fits(const char *text);

#endif
