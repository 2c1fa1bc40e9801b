/* The parser of seccomp policies: any text is accepted or refused with a message, nothing else. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jail/policy_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

/* Every include gives the same text again: depth is bounded by the parser. */
static int load(void *ctx, const char *name, char **ret_text, size_t *ret_len, struct stk_err *err)
{
	const struct input *in = ctx;
	char *copy = malloc(in->size + 1);

	if (!copy)
		return stk_err_set(err, -ENOMEM, "no memory");
	memcpy(copy, in->data, in->size);
	copy[in->size] = '\0';
	*ret_text = copy;
	*ret_len = in->size;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy p;
	struct input in = {data, size > 8192 ? 8192 : size};
	struct stk_err err = {0, ""};
	char text[512];

	memset(&p, 0, sizeof(p));
	if (size > 0)
		p.widen = data[0] & 1;
	if (policy_parse(&p, "fuzz", load, &in, &err) < 0) {
		if (err.code == 0 || err.text[0] == '\0')
			abort(); /* a refusal always says why */
		return 0;
	}
	policy_sort(&p);
	for (unsigned i = 0; i < p.count; i++)
		policy_rule_print(&p.rule[i], text, sizeof(text));
	return 0;
}
