/* The end of the machine. */
#ifndef GUEST_INIT_POWER_H
#define GUEST_INIT_POWER_H

/* Resets the machine, which ends its monitor. Nothing is written back: disks of a clone are thrown
 * away. Outside a guest (not PID 1) the process exits with status 0. */
_Noreturn void power_off(void);

/* Logs, gives the console a moment, and resets. */
_Noreturn void power_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
