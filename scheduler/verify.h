/* The first use of a version's files in this life of stokerd: checksums over all of the snapshot and
 * of the code image. What is damaged is made again from the stored zip. One check at a time. */
#ifndef SCHEDULER_VERIFY_H
#define SCHEDULER_VERIFY_H

struct daemon;
struct fn_version;
struct verifier;

struct verifier *verify_new(struct daemon *d);
void verify_free(struct verifier *v);
/* Queues the check unless it was done, runs already or must wait; urgent ones come first. When it
 * is over, dispatch is pumped, or the waiting requests fail. */
void verify_want(struct verifier *v, struct fn_version *ver);
/* The same in the background, behind urgent ones. */
void verify_later(struct verifier *v, struct fn_version *ver);
void verify_stop(struct verifier *v);

#endif
