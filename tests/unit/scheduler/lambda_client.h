/* A client of the Lambda API of a host without KVM (host_fixture.h), for tests of one function, f, mostly. What is not as it
 * should be fails the test; waits end after 30 s. */
#ifndef TESTS_UNIT_SCHEDULER_LAMBDA_CLIENT_H
#define TESTS_UNIT_SCHEDULER_LAMBDA_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/unit/scheduler/host_fixture.h"
#include "tests/unit/unit.h"

struct store_version;

/* Zips of a file a.py. */
#define ZIP_1 HOST_ZIP
#define ZIP_2                                                                                                        \
	"UEsDBBQAAAAAAAAAIQAPJO7GGQAAABkAAAAEAAAAYS5weWRlZiBiKGUsYyk6CiAgICByZXR1cm4gMgpQSwECFAMUAAAAAAAAACEADyTuxh"  \
	"kAAAAZAAAABAAAAAAAAAAAAAAAgAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAA7AAAAAAA="

#define FNS  "/2015-03-31/functions"
#define FN   FNS "/f"
#define CONC "/2017-10-31/functions/f/concurrency"
#define PROV "/2019-09-30/functions/f/provisioned-concurrency"
#define URL  "/2021-10-31/functions/f/url"
#define EVI  "/2019-09-25/functions/f/event-invoke-config"
#define TAGS "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f"

/* A test with a host's folder; the host is not started. */
#define LC_TEST(f) cmocka_unit_test_setup_teardown(f, lc_setup, lc_teardown)
int lc_setup(void **state);
int lc_teardown(void **state);
/* First in main(). False: functions cannot be made here, skip. */
bool lc_begin(int argc, char **argv);

/* The answer's body (json_decref it), NULL when it has none. */
json_t *lc_call(const char *method, const char *path, const char *headers, const char *body, int status);
void lc_want(const char *method, const char *path, const char *body, int status);
/* A member of the answer of a GET, as text; until the next call. */
const char *lc_get(const char *path, const char *member);
void lc_wait_get(const char *path, const char *member, const char *value);
/* Waits for the end of what is under way. */
void lc_wait_delete(const char *path);

/* Bodies: a new function whose environment has MODE (see host_play) and these members more; another MODE. Until the next one. */
const char *lc_creation(const char *name, const char *mode, const char *more);
const char *lc_new_mode(const char *mode);
/* Makes it, and waits until it is active. */
void lc_create(const char *name);
/* Of f; waits for this LastUpdateStatus, unless NULL. */
void lc_update_mode(const char *mode, const char *status);
/* As `stoker deploy` does it. The answer (json_decref it). */
json_t *lc_deploy(const char *name, const char *settings, int status);

/* part: of the answer's body. */
void lc_invoke(const char *path, const char *event, int status, const char *part);
/* Calls f and asks for the end of its log. */
void lc_invoke_tail(const char *event, char ret_id[64], char *ret, size_t cap);
/* Waits until f's log has this text behind `from`; the log from there on, until the next call. */
const char *lc_wait_log(const char *from, const char *text);

/* Rows of versions, aliases and notes in the database; each version is shown to `each`, unless NULL. Only while no host runs. */
unsigned lc_stored_rows(void (*each)(const struct store_version *v));

#endif
