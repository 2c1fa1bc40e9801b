/* What clients put into paths and queries of Lambda's API: byte 0 chooses between function names (and a qualifier
 * behind a newline), layers, tag resources, and the query of a list. What is accepted must be within its limits,
 * what is refused must have a message, and what is written must be read back as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/lambda/names.h"
#include "scheduler/lambda/paging.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static void refused(int rc, const struct lambda_err *err)
{
	require(rc < 0 && err->message[0] && lambda_error_status(err->type) < 500);
}

static void function_name(char *text)
{
	char *qualifier = strchr(text, '\n'), arn[LAMBDA_ARN_MAX];
	struct lambda_name n, again;
	struct lambda_err err = {0};
	int rc;

	if (qualifier)
		*qualifier++ = '\0';
	rc = lambda_name_parse(text, LAMBDA_TEXT_MAX_NAMESPACED, &n, &err);
	if (rc) {
		refused(rc, &err);
		return;
	}
	rc = lambda_name_qualify(&n, qualifier, &err);
	if (rc)
		refused(rc, &err);
	require(n.name[0] && (n.kind == LAMBDA_Q_NONE) == !n.qualifier[0]);
	require(lambda_arn(arn, sizeof(arn), n.region[0] ? n.region : "eu-west-1",
			   n.account[0] ? n.account : "123456789012",
			   n.name, n.qualifier) == 0);
	require(lambda_name_parse(arn, sizeof(arn), &again, &err) == 0);
	require(strcmp(again.name, n.name) == 0 && strcmp(again.qualifier, n.qualifier) == 0 && again.kind == n.kind &&
		again.version == n.version);
}

static void layer_name(const char *text)
{
	struct lambda_layer_name l, again;
	struct lambda_err err = {0};
	char arn[512];
	int rc = lambda_layer_parse(text, false, "layerName", &l, &err);

	if (rc)
		refused(rc, &err);
	rc = lambda_layer_parse(text, true, "layers", &l, &err);
	if (rc) {
		refused(rc, &err);
		return;
	}
	require(l.version > 0);
	require(lambda_layer_arn(arn, sizeof(arn), l.region, l.account, l.name, l.version) == 0);
	if (lambda_layer_parse(arn, true, "layers", &again, &err) == 0) /* the partition may make it too long */
		require(again.version == l.version && strcmp(again.name, l.name) == 0);
}

static void list_query(const char *text)
{
	char marker[LAMBDA_MARKER_MAX], query[LAMBDA_MARKER_MAX + 16] = "Marker=";
	struct lambda_page p, again;
	struct lambda_err err = {0};
	int rc = lambda_page_parse(text, 'F', 10000, &p, &err);

	if (rc) {
		refused(rc, &err);
	} else {
		require(p.max >= 1 && p.max <= LAMBDA_PAGE_MAX && strlen(p.after) <= LAMBDA_KEY_MAX);
		require(lambda_page_marker('F', p.after, marker) == 0);
	}
	/* the same bytes as a key */
	if (lambda_page_marker('F', text, marker))
		return;
	strcat(query, marker);
	require(lambda_page_parse(query, 'F', 10000, &again, &err) == 0 && strcmp(again.after, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lambda_name n;
	struct lambda_err err = {0};
	char *text;
	int rc;

	if (size < 1 || size > 2048)
		return 0;
	text = malloc(size);
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		function_name(text);
		break;
	case 1:
		layer_name(text);
		break;
	case 2:
		rc = lambda_tag_resource_parse(text, &n, &err);
		if (rc)
			refused(rc, &err);
		break;
	default:
		list_query(text);
	}
	free(text);
	return 0;
}
