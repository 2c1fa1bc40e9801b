/* Times of the start: see stages.h. */
#include "vmm/stages.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define MAX_STAGES 32

static struct {
	uint64_t begin, running;
	unsigned count;
	struct { const char *name; uint64_t at; } stage[MAX_STAGES];
} stages;

void stages_begin(void)
{
	stages.begin = stk_now_ns();
	stages.count = 0;
}

void stages_mark(const char *name)
{
	if (stages.count == MAX_STAGES)
		return;
	stages.stage[stages.count].name = name;
	stages.stage[stages.count].at = stk_now_ns();
	stages.count++;
}

void stages_mark_running(void)
{
	stages.running = stk_now_ns();
}

uint64_t stages_running_ns(void)
{
	return stages.running - stages.begin;
}

void stages_log(void)
{
	char line[1024];
	size_t used = 0;
	uint64_t last = stages.begin;

	for (unsigned i = 0; i < stages.count && used < sizeof(line) - 64; i++) {
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%.40s %llu us, ", stages.stage[i].name,
					 (unsigned long long)(stages.stage[i].at - last) / 1000);
		last = stages.stage[i].at;
	}
	stk_debug("start: %stotal %llu us", used ? line : "", (unsigned long long)(last - stages.begin) / 1000);
}
