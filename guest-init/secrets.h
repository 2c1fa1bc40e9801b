/* A function's secrets: files of its own in memory, written in the clone when the host has sent them. No snapshot has
 * ever seen them. */
#ifndef GUEST_INIT_SECRETS_H
#define GUEST_INIT_SECRETS_H

#include <sys/types.h>

#include "common/base/guestwire.h"

#define SECRETS_FOLDER "/run/secrets"

/* FOLDER/NAME for each, readable by that user alone; the folder is made. uid -1: the caller keeps them. -EINVAL for a
 * name that is none, or what the file system says. */
int secrets_write(const char *folder, const struct gw_secrets *secrets, uid_t uid, gid_t gid);

#endif
