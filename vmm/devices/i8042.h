/* The keyboard controller that is not there: reads of its ports give all ones, so that a guest gives
 * up looking for it at once (polling it is most of a guest's port accesses at boot otherwise); only
 * the "input buffer full" bit of the status port is clear, for which a guest waits before it writes
 * the one command that works: 0xfe, pulse the reset line, which ends the VM. */
#ifndef VMM_DEVICES_I8042_H
#define VMM_DEVICES_I8042_H

#include "vmm/devices/device.h"

#define I8042_DATA      0x60u
#define I8042_COMMAND   0x64u
#define I8042_CMD_RESET 0xfeu

int i8042_create(struct device_host *host, struct device **ret_dev, struct stk_err *err);

#endif
