/* A strict reader of JSON that builds nothing: the caller walks through the text and takes what it looks for. Bounded by
 * the text and JSONIN_DEPTH; pure. Strings come as they are written; jsonin_text decodes them. */
#ifndef GUEST_INIT_JSONIN_H
#define GUEST_INIT_JSONIN_H

#include <stdbool.h>
#include <stddef.h>

#define JSONIN_DEPTH 16

struct jsonin {
	const char *p, *end;
};

struct jsonin_str {
	const char *p; /* between its quotes, escapes as they are */
	size_t len;
};

/* The next character that is no blank, or NUL at the end. */
char jsonin_peek(struct jsonin *in);
/* Takes it if it is c. */
bool jsonin_take(struct jsonin *in, char c);
/* null, true, false */
bool jsonin_word(struct jsonin *in, const char *word);
bool jsonin_string(struct jsonin *in, struct jsonin_str *ret);
/* Any value. */
bool jsonin_skip(struct jsonin *in);
bool jsonin_at_end(struct jsonin *in);
/* Steps through an object or a list: first call with *begun false; true while there is a member (key: of an object,
 * behind its colon). At the end false, and in->p is NULL when it was malformed. */
bool jsonin_next(struct jsonin *in, bool *begun, bool object, struct jsonin_str *ret_key);

/* UTF-8 of a string into dst, which may be where the string is. The length, at most s.len; -1: a bad escape. */
long jsonin_text(struct jsonin_str s, char *dst);
bool jsonin_is(struct jsonin_str s, const char *text);

#endif
