/* What the guest reported of a failed init phase, as the JSON object Lambda's clients know. */
#ifndef SNAPSHOTS_TOOL_INITERROR_H
#define SNAPSHOTS_TOOL_INITERROR_H

#include "common/base/guestwire.h"

/* Heap: one line of JSON with at least errorType and errorMessage (the runtime's own object where it
 * sent one). NULL when out of memory, and for GW_ERR_AGENT, which is no failure of the function. */
char *initerror_json(const struct gw_error *e, unsigned init_timeout_ms, unsigned memory_mib);

#endif
