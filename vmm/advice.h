/* Settings of the machine that slow down every start of a VM. */
#ifndef VMM_ADVICE_H
#define VMM_ADVICE_H

#include <stddef.h>

/* One line of advice; empty when there is none. root: of the file system that is looked at, "" for the machine's own.
 * What cannot be read gives none. */
void advice_on_machine(const char *root, char *text, size_t cap);

#endif
