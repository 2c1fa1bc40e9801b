/* Reading a function's log files: see logread.h. */
#include "scheduler/logread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"

#define IDS_MAX   1024 /* calls of a version that may be under way at the same time; beyond that the oldest is forgotten */
#define TRIES_MAX 16   /* a file is opened again when it was rotated in that moment */

static const char lost_text[] = "[output is missing here: it was written faster than it was read]\n";

/* Files are numbered by the rotation that ends them: NAME.log is the one with the number that *rotations has now, NAME.log.1
 * the one before. */
struct logread {
	struct logread_filter filter;
	const unsigned *rotations;
	char path[1024], old_path[1024];
	int fd;          /* of file `number`; -1: not opened, as it was not there */
	unsigned number;
	off_t at;
	unsigned skip;   /* of those that pass */
	uint64_t left;   /* of them, behind those */
	unsigned lost;   /* files that went before they were read: to be told */
	char (*ids)[LOGREAD_ID_MAX + 1]; /* calls of the versions that are wanted; IDS_MAX of them, or NULL */
	unsigned next_id;
};

/* --- what passes --------------------------------------------------------------------------------------- */

/* The parts of "TIME ID TEXT". False: it is no such line. */
static bool split(const char *line, size_t len, const char **ret_id, size_t *ret_id_len, const char **ret_text,
		  size_t *ret_text_len)
{
	const char *id, *end;

	if (len <= LOGREAD_TIME_LEN || line[LOGREAD_TIME_LEN] != ' ')
		return false;
	id = line + LOGREAD_TIME_LEN + 1;
	end = memchr(id, ' ', (size_t)(line + len - id));
	if (!end || end - id > LOGREAD_ID_MAX)
		return false;
	*ret_id = id;
	*ret_id_len = (size_t)(end - id);
	*ret_text = end + 1;
	*ret_text_len = (size_t)(line + len - end - 1);
	return true;
}

static bool same(const char *text, const char *other, size_t len)
{
	return strlen(text) == len && memcmp(text, other, len) == 0;
}

static unsigned find_id(const struct logread *r, const char *id, size_t len)
{
	unsigned i = 0;

	while (i < IDS_MAX && !same(r->ids[i], id, len))
		i++;
	return i;
}

/* The lines around a call, as invlog.c writes them and, behind the time, invlog_json.c. */
struct marks {
	const char *start, *version, *end, *report;
};

static const struct marks text_marks = {"START RequestId: ", " Version: ", "", "REPORT RequestId: "};
static const struct marks json_marks = {"\"type\":\"platform.start\",\"record\":{\"requestId\":\"", "\",\"version\":\"", "\"}}",
					"\"type\":\"platform.report\","};

/* Takes it off, if the text begins with it. */
static bool skip(const char **text, size_t *len, const char *what, size_t what_len)
{
	if (*len < what_len || memcmp(*text, what, what_len) != 0)
		return false;
	*text += what_len;
	*len -= what_len;
	return true;
}

static bool skip_mark(const char **text, size_t *len, const char *mark)
{
	return skip(text, len, mark, strlen(mark));
}

/* Which marks there may be in this line; what stands in front of them is taken off. */
static const struct marks *marks_of(const char **text, size_t *len)
{
	static const char time[] = "{\"time\":\"";
	const size_t before = sizeof(time) - 1 + LOGREAD_TIME_LEN + 2; /* and a quote and a comma */

	if (*len < before || memcmp(*text, time, sizeof(time) - 1) != 0)
		return &text_marks;
	*text += before;
	*len -= before;
	return &json_marks;
}

/* START of a call of one of the versions: its lines are wanted from here to REPORT. */
static bool of_version(struct logread *r, const char *id, size_t id_len, const char *text, size_t len)
{
	const struct marks *m = marks_of(&text, &len);
	unsigned known = find_id(r, id, id_len);

	if (known < IDS_MAX) {
		if (skip_mark(&text, &len, m->report))
			r->ids[known][0] = '\0';
		return true;
	}
	if (!skip_mark(&text, &len, m->start) || !skip(&text, &len, id, id_len) || !skip_mark(&text, &len, m->version) ||
	    len < strlen(m->end) || memcmp(text + len - strlen(m->end), m->end, strlen(m->end)) != 0)
		return false;
	len -= strlen(m->end);
	for (unsigned i = 0; i < LOGREAD_VERSIONS; i++) {
		if (r->filter.version[i][0] && same(r->filter.version[i], text, len)) {
			memcpy(r->ids[r->next_id], id, id_len);
			r->ids[r->next_id][id_len] = '\0';
			r->next_id = (r->next_id + 1) % IDS_MAX;
			return true;
		}
	}
	return false;
}

/* Without its end of line. */
static bool passes(struct logread *r, const char *line, size_t len)
{
	const struct logread_filter *f = &r->filter;
	const char *id, *text;
	size_t id_len, text_len;

	if (!f->since[0] && !f->id[0] && !r->ids)
		return true;
	if (!split(line, len, &id, &id_len, &text, &text_len))
		return false;
	if (r->ids && !of_version(r, id, id_len, text, text_len)) /* first: it must see all of them */
		return false;
	return (!f->since[0] || memcmp(line, f->since, LOGREAD_TIME_LEN) >= 0) && (!f->id[0] || same(f->id, id, id_len));
}

/* --- files ------------------------------------------------------------------------------------------------ */

static unsigned rotations(const struct logread *r)
{
	return __atomic_load_n(r->rotations, __ATOMIC_ACQUIRE);
}

static int open_file(const char *path, int *ret_fd)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return *ret_fd >= 0 || errno == ENOENT ? 0 : -errno;
}

static void leave_file(struct logread *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->at = 0;
}

/* Opens file r->number, or the oldest that is left when that one has gone. It may stay unopened: not there yet. */
static int enter_file(struct logread *r)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		unsigned now = rotations(r);
		unsigned number = r->number + 1 < now ? now - 1 : r->number;
		int rc = open_file(number == now ? r->path : r->old_path, &r->fd);

		if (rc)
			return rc;
		if (rotations(r) == now) {
			r->lost += number - r->number;
			r->number = number;
			if (r->fd >= 0 || number == now)
				return 0;
			r->number++; /* somebody has removed it */
		}
		leave_file(r);
	}
	return 0; /* rotated again and again in this moment: later, then */
}

/* At the end of the file: is there another one behind it? Then that is entered. */
static int next_file(struct logread *r, bool *ret_more)
{
	struct stat st;

	*ret_more = false;
	if (r->fd < 0)
		return 0;
	if (r->number == rotations(r)) {
		/* Removed or cut by somebody else? */
		if (fstat(r->fd, &st))
			return -errno;
		if (st.st_nlink && st.st_size >= r->at)
			return 0;
		if (r->number != rotations(r)) { /* rotated a moment ago, and away with it: what is left of it comes first */
			*ret_more = true;
			return 0;
		}
		leave_file(r);
	} else {
		leave_file(r);
		r->number++;
	}
	*ret_more = true;
	return 0;
}

/* Whole lines at r->at. *ret_len 0: no more of this file for now. Lines never get near cap. */
static int read_piece(struct logread *r, char *buf, size_t cap, size_t *ret_len)
{
	bool ended = r->number != rotations(r); /* looked at before reading: then all of it is there */
	char *nl;
	ssize_t n;

	do
		n = pread(r->fd, buf, cap, r->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	nl = n ? memrchr(buf, '\n', (size_t)n) : NULL;
	if (nl)
		n = nl + 1 - buf;
	else if ((size_t)n < cap && !ended)
		n = 0; /* the line is being written */
	r->at += n;
	*ret_len = (size_t)n;
	return 0;
}

/* The next piece of any file. */
static int read_on(struct logread *r, char *buf, size_t cap, size_t *ret_len)
{
	bool ended, more;
	int rc;

	for (;;) {
		*ret_len = 0;
		rc = r->fd < 0 ? enter_file(r) : 0;
		if (rc || r->fd < 0)
			return rc;
		ended = r->number != rotations(r);
		rc = read_piece(r, buf, cap, ret_len);
		if (rc || *ret_len)
			return rc;
		if (!ended && r->number != rotations(r))
			continue; /* rotated while we read: perhaps something was added to it before */
		rc = next_file(r, &more);
		if (rc || !more)
			return rc;
	}
}

/* --- reader ------------------------------------------------------------------------------------------------ */

/* Leaves those lines that pass. Returns how much that is. */
static size_t sift(struct logread *r, char *buf, size_t len, unsigned *ret_count)
{
	size_t kept = 0;

	*ret_count = 0;
	for (size_t at = 0, n; at < len; at += n) {
		const char *nl = memchr(buf + at, '\n', len - at);

		n = nl ? (size_t)(nl - buf) - at + 1 : len - at;
		if (!passes(r, buf + at, nl ? n - 1 : n))
			continue;
		++*ret_count;
		if (r->skip) {
			r->skip--;
			continue;
		}
		if (!r->left)
			break;
		r->left--;
		memmove(buf + kept, buf + at, n);
		kept += n;
	}
	return kept;
}

ssize_t logread_next(struct logread *r, char *buf, size_t cap)
{
	unsigned count;
	size_t len, kept;
	int rc;

	do {
		if (!r->left)
			return 0;
		rc = read_on(r, buf, cap - sizeof(lost_text), &len);
		if (rc)
			return rc;
		kept = sift(r, buf, len, &count);
		if (r->lost) {
			memmove(buf + sizeof(lost_text) - 1, buf, kept);
			memcpy(buf, lost_text, sizeof(lost_text) - 1);
			kept += sizeof(lost_text) - 1;
			r->lost = 0;
		}
	} while (len && !kept);
	return (ssize_t)kept;
}

/* How many of the lines that are there now pass; the reader is then at the beginning again. */
static int count_kept(struct logread *r, uint64_t *ret_count)
{
	stk_autofree char *buf = malloc(LOGREAD_PIECE);
	unsigned first, count;
	size_t len;
	int rc = buf ? 0 : -ENOMEM, fd;

	*ret_count = 0;
	r->left = UINT64_MAX;
	rc = rc ? rc : enter_file(r);
	/* The first file is kept open: what was counted is what is read again. */
	fd = r->fd < 0 ? -1 : fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
	first = r->number;
	do {
		rc = rc ? rc : read_on(r, buf, LOGREAD_PIECE, &len);
		if (rc == 0 && len) {
			sift(r, buf, len, &count);
			*ret_count += count;
		}
	} while (rc == 0 && len);
	leave_file(r);
	r->lost = 0;
	r->fd = fd;
	r->number = first;
	if (r->ids)
		memset(r->ids, 0, IDS_MAX * sizeof(*r->ids));
	return rc;
}

int logread_open(const char *dir, const char *name, const unsigned *rotated, const struct logread_filter *filter,
		 struct logread **ret_reader)
{
	struct logread *r = calloc(1, sizeof(*r));
	uint64_t count;
	int rc = 0;

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	r->filter = *filter;
	r->rotations = rotated;
	if (stk_snprintf(r->path, sizeof(r->path), "%s/%s.log", dir, name) ||
	    stk_snprintf(r->old_path, sizeof(r->old_path), "%s/%s.log.1", dir, name))
		rc = -ENAMETOOLONG;
	if (rc == 0 && filter->version[0][0] && !(r->ids = calloc(IDS_MAX, sizeof(*r->ids))))
		rc = -ENOMEM;
	r->number = rotations(r) - 1; /* NAME.log.1, of an earlier life perhaps */
	rc = rc ? rc : count_kept(r, &count);
	if (rc) {
		logread_close(r);
		return rc;
	}
	r->skip = count > filter->lines ? (unsigned)(count - filter->lines) : 0;
	r->left = filter->follow ? UINT64_MAX : count - r->skip;
	*ret_reader = r;
	return 0;
}

void logread_close(struct logread *r)
{
	if (!r)
		return;
	leave_file(r);
	free(r->ids);
	free(r);
}
