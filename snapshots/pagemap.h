/* Entries of /proc/PID/pagemap, one u64 for each page (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#ifndef SNAPSHOTS_PAGEMAP_H
#define SNAPSHOTS_PAGEMAP_H

#include <stdint.h>

#define PM_PRESENT_OR_SWAPPED (3ULL << 62)
#define PM_FILE               (1ULL << 61) /* of a file, or shared: not written by this process */
#define PM_BATCH              512u         /* entries read at once */

#endif
