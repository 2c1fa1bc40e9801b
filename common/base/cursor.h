/* Bounded little-endian reader and writer over a byte range. Once out of range both turn bad and
 * stay bad: readers return zeros, writers drop; check `bad` once at the end. Never reads or writes
 * beyond the range. */
#ifndef COMMON_BASE_CURSOR_H
#define COMMON_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct stk_rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct stk_wr {
	uint8_t *p;  /* next byte to write */
	size_t left; /* room left */
	size_t len;  /* bytes written so far */
	bool bad;
};

static inline struct stk_rd stk_rd_init(const void *data, size_t len)
{
	return (struct stk_rd){.p = data, .left = len, .bad = false};
}

static inline struct stk_wr stk_wr_init(void *buf, size_t cap)
{
	return (struct stk_wr){.p = buf, .left = cap, .len = 0, .bad = false};
}

/* Pointer to the next len bytes inside the range, or NULL (then bad). */
static inline const uint8_t *stk_rd_bytes(struct stk_rd *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

static inline void stk_rd_copy(struct stk_rd *r, void *out, size_t len)
{
	const uint8_t *p = stk_rd_bytes(r, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

/* Little-endian machines only, as all of Stoker: the bytes are the number. `bytes` is a constant where this is inlined. */
static inline uint64_t stk_rd_le(struct stk_rd *r, unsigned bytes)
{
	const uint8_t *p = stk_rd_bytes(r, bytes);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, bytes);
	return v;
}

static inline uint8_t stk_rd_u8(struct stk_rd *r) { return (uint8_t)stk_rd_le(r, 1); }
static inline uint16_t stk_rd_u16(struct stk_rd *r) { return (uint16_t)stk_rd_le(r, 2); }
static inline uint32_t stk_rd_u32(struct stk_rd *r) { return (uint32_t)stk_rd_le(r, 4); }
static inline uint64_t stk_rd_u64(struct stk_rd *r) { return stk_rd_le(r, 8); }

static inline void stk_wr_bytes(struct stk_wr *w, const void *data, size_t len)
{
	if (w->bad || len > w->left) {
		w->bad = true;
		return;
	}
	if (len)
		memcpy(w->p, data, len);
	w->p += len;
	w->left -= len;
	w->len += len;
}

static inline void stk_wr_le(struct stk_wr *w, uint64_t v, unsigned bytes)
{
	stk_wr_bytes(w, &v, bytes);
}

static inline void stk_wr_u8(struct stk_wr *w, uint8_t v) { stk_wr_le(w, v, 1); }
static inline void stk_wr_u16(struct stk_wr *w, uint16_t v) { stk_wr_le(w, v, 2); }
static inline void stk_wr_u32(struct stk_wr *w, uint32_t v) { stk_wr_le(w, v, 4); }
static inline void stk_wr_u64(struct stk_wr *w, uint64_t v) { stk_wr_le(w, v, 8); }

#endif
