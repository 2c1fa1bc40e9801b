/* From a zip to something that serves: unpack, code image, snapshot, publish. Builds run one after
 * the other (BUILD_PARALLEL at a time); each works in its own folder under STATE/tmp.
 *
 *   UNPACK (thread) ─► IMAGE (mkfs.erofs) ─► SNAPSHOT (stoker-snapshot) ─► PUBLISH (thread) ─► done
 *
 * A failure at any step leaves everything published as it was. The database is not touched: whoever asked enters what
 * was made. */
#ifndef SCHEDULER_BUILD_H
#define SCHEDULER_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/registry.h"

#define BUILD_PARALLEL 2
#define BUILD_QUEUE    64

struct builder;
struct daemon;

enum build_fault {
	BUILD_OK,
	BUILD_BAD_CODE,    /* the zip or what is in it */
	BUILD_INIT_FAILED, /* the function's init phase; init_json says how */
	BUILD_NO_SPACE,
	BUILD_HOST,        /* anything else */
};

struct build_spec {
	char name[FN_NAME_MAX + 1];
	unsigned number;
	unsigned published;          /* its public number, 0: $LATEST */
	struct fn_settings settings; /* copied by build_submit */
	char dir[512];               /* work folder with code.zip; the builder's from now on */
	bool replace;                /* the published version is swapped with the new files */
	bool admitted;               /* waits in any case: who submits it has a bound of its own */
};

struct build_result {
	enum build_fault fault;
	struct stk_err err;
	char *init_json; /* heap, BUILD_INIT_FAILED */
	bool init_timed_out;
	uint64_t init_ns; /* of an init phase that failed; 0: not known */
	char *log;       /* heap, what the guest wrote; may be NULL */
	uint64_t code_size, zip_crc, img_crc;
	uint8_t sha256[FN_SHA256_LEN]; /* of the zip */
	uint64_t layer_sizes[FN_LAYERS_MAX];
	int64_t created_ms;
};

struct builder *build_new(struct daemon *d);
void build_free(struct builder *b);
/* done is called once, on the loop; result is freed behind it. -EBUSY when too many wait, -ECANCELED behind build_stop.
 * result.err is -ECANCELED when it was stopped or cancelled. */
int build_submit(struct builder *b, const struct build_spec *spec,
		 void (*done)(void *ctx, const struct build_result *r), void *ctx);
/* Ends what runs (SIGTERM; SIGKILL when called again) and fails what waits; done is still called for
 * each. */
void build_stop(struct builder *b);
/* Gives up what is being built of a function, of this version or of all (number 0): done is called with -ECANCELED. */
void build_cancel(struct builder *b, const char *name, unsigned number);

#endif
