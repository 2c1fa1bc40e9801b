/* The end of the machine: see power.h. */
#include "guest-init/power.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "common/base/log.h"

_Noreturn void power_off(void)
{
	if (getpid() != 1)
		_exit(0);
	/* The kernel's command line has reboot=k: the keyboard controller's reset line. */
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

_Noreturn void power_fail(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	stk_error("%s", text);
	if (getpid() != 1)
		_exit(1);
	power_off();
}
