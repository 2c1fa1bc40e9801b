/* The console: an 8250/16550A UART at 0x3f8, IRQ 4, output only. Bytes are collected to lines and
 * written to host->serial_out_fd; what that descriptor does not take at once, or what comes faster
 * than SERIAL_RATE, is dropped and counted: a guest must not be able to stop or flood the host. */
#ifndef VMM_DEVICES_SERIAL_H
#define VMM_DEVICES_SERIAL_H

#include "vmm/devices/device.h"

#define SERIAL_BASE  0x3f8u
#define SERIAL_GSI   4u
#define SERIAL_BURST (512u * 1024) /* bytes */
#define SERIAL_RATE  (256u * 1024) /* bytes per second */

int serial_create(struct device_host *host, struct device **ret_dev, struct stk_err *err);

#endif
