/* Random bytes and request ids from a buffered kernel source: no system call per request. */
#ifndef SCHEDULER_IDS_H
#define SCHEDULER_IDS_H

#include <stddef.h>
#include <stdint.h>

#define IDS_UUID_LEN 36

/* Each byte is handed out once and wiped. Loop thread only. 0 or negative errno. */
int ids_random(void *buf, size_t len);
/* Random (version 4) UUID as text. */
int ids_uuid(char ret_text[IDS_UUID_LEN + 1]);

#endif
