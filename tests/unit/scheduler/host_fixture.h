/* A host without KVM for tests: a real stokerd in a process of its own, in a folder of its own; the programs that it starts
 * are the test program again, which plays their parts: stoker-vmm with a guest in it, and stoker-snapshot.
 *
 * What a guest does is in the event, what an init phase does in the environment (see host_play). Both can be made to wait
 * for a file in the host's folder. One host at a time; call from the test's thread. */
#ifndef TESTS_UNIT_SCHEDULER_HOST_FIXTURE_H
#define TESTS_UNIT_SCHEDULER_HOST_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/guestwire.h"
#include "common/host/http_client.h"

/* A package: a zip of a file a.py, in base64; its length in bytes. */
#define HOST_ZIP                                                                                                     \
	"UEsDBBQAAAAAAAAAIQCc7xQzGQAAABkAAAAEAAAAYS5weWRlZiBiKGUsYyk6CiAgICByZXR1cm4gZQpQSwECFAMUAAAAAAAAACEAnO8UMx"  \
	"kAAAAZAAAABAAAAAAAAAAAAAAAgAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAA7AAAAAAA="
#define HOST_ZIP_LEN 131
/* Output of "be-loud": so many lines of so many bytes, "loud N xxx...". */
#define HOST_LOUD_LINES 288
#define HOST_LOUD_LEN   1024

extern char host_root[64]; /* state, programs and images */
extern char host_target[128]; /* for http_client_connect */
extern pid_t host_pid;

/* First in main(): plays the part that the program was started for and does not return; or returns, in a test. The guest
 * answers with its event, but for these words in it: "be-error", "be-dead", "be-slow" (pauses), "be-arn" (answers with
 * the function's), "be-tenant" (with the call's tenant id), "be-held" (answers when file "go" is there), "be-loud" (after much output), "be-extended" (has extensions, which say
 * something behind the answer). The init phase succeeds, but for
 * these in a value of the environment: "be-broken" (it reports an error with a long message), "be-held" (likewise),
 * "be-late" (it says something and times out), "be-odd" (its error's type is no name), "be-typed TYPE" (it is this one), "be-killed" (as if the tool was killed).
 * The account that it was given is in the file "account" of the host's folder. */
void host_play(int argc, char **argv);
/* The same with another guest. It has the stream to the host on descriptor 3, the status on 4 and ends with a call. */
void host_play_guest(int argc, char **argv, void (*guest)(int argc, char **argv));
/* For guests: one frame. Where the host has gone the process ends. What is read is heap, with a NUL behind it. */
void host_guest_send(unsigned type, uint32_t flags, const void *payload, size_t len);
uint8_t *host_guest_read(struct gw_header *h);
void host_guest_error(uint16_t kind, int32_t detail, const char *body);

/* The folder, with links to the test program and an image for python3. 0, -1. */
int host_make(void);
/* A function with an active version 1 in the database; no snapshot. Only while no host runs. */
void host_add_function(const char *name); /* 128 MiB, 3 s */
void host_add_function_of(const char *name, unsigned memory_mib, unsigned timeout_s);
struct store_tx;
/* Writes it to the database and frees it. Only while no host runs. */
void host_commit(struct store_tx *tx);
/* extra: pairs of option and value, NULL behind the last; or NULL. Returns when it answers. */
void host_start(const char *const *extra);
/* Who may use a host of two tenants, acme and bolt, and of its owner; members as in the key file. */
struct host_who {
	const char *key, *id, *secret, *token, *account;
};
extern const struct host_who host_owner, host_acme, host_bolt;
/* host_start with their keys. */
void host_start_tenants(void);
void host_kill(void); /* SIGKILL */
void host_term(void); /* SIGTERM; does not wait */
/* Waits for its end after host_term. 0, or -1: not within 20 s, or not with status 0. */
int host_wait(void);
/* Ends the host, if one runs, and removes the folder. 0, -1 as host_wait. */
int host_remove(void);

/* Waits until the host has a child that runs this program ("stoker-snapshot"), another one than `but`. */
pid_t host_child(const char *program, pid_t but);
/* Was it started with this argument? */
bool host_has_argument(pid_t pid, const char *argument);

/* A file beside the programs. */
void host_touch(const char *leaf);
void host_unlink(const char *leaf);
/* Is there such a path in the host's folder? */
bool host_has(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Waits until there is, or is not. */
void host_await(bool there, const char *path);

/* 0 or negative errno. */
int host_request(const char *method, const char *path, const char *headers, const char *body, struct http_client_resp *r);
int host_send(const char *method, const char *path, const char *headers, const void *body, size_t len,
	      struct http_client_resp *r);
/* A file in the host's folder; its path, for an option. */
void host_write(const char *leaf, const char *text, unsigned mode, char *ret_path, size_t cap);
/* Headers that sign a request with a key's id and secret. */
void host_sign(const char *method, const char *path, const char *id, const char *secret, const char *body, char *ret_headers,
	       size_t cap);
/* The same of a request with another Host header than host_request's. */
void host_sign_for(const char *host, const char *method, const char *path, const char *id, const char *secret, const char *body,
		   char *ret_headers, size_t cap);
/* Signed so. */
int host_request_signed(const char *method, const char *path, const char *id, const char *secret, const char *body,
			struct http_client_resp *r);
/* A connection with this request on it whose answer nobody reads. */
int host_request_begin(const char *method, const char *path, const char *body);
double host_metric(const char *line_start); /* -1: not there */
void host_wait_metric(const char *line_start, double value);

#endif
