/* Section contents: see state.h. Encoders, decoders and printers are made from the field lists. */
#include "snapshots/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- primitives that cursor.h does not have ---- */

static void put_str(struct stk_wr *w, const char *s, size_t cap)
{
	size_t n = strnlen(s, cap - 1);

	stk_wr_u16(w, (uint16_t)n);
	stk_wr_bytes(w, s, n);
}

static void get_str(struct stk_rd *r, char *s, size_t cap)
{
	size_t n = stk_rd_u16(r);
	const uint8_t *p = stk_rd_bytes(r, n);

	s[0] = '\0';
	if (!p)
		return;
	if (n >= cap || memchr(p, 0, n)) {
		r->bad = true;
		return;
	}
	memcpy(s, p, n);
	s[n] = '\0';
}

/* Blobs are mostly zeros at their end, which is left out. */
static void put_blob(struct stk_wr *w, const uint8_t *b, size_t len)
{
	while (len > 0 && b[len - 1] == 0)
		len--;
	stk_wr_u16(w, (uint16_t)len);
	stk_wr_bytes(w, b, len);
}

static void get_blob(struct stk_rd *r, uint8_t *b, size_t cap)
{
	size_t n = stk_rd_u16(r);
	const uint8_t *p;

	if (n > cap)
		r->bad = true;
	p = stk_rd_bytes(r, n);
	if (!p)
		n = 0;
	else
		memcpy(b, p, n);
	memset(b + n, 0, cap - n);
}

static bool get_bool(struct stk_rd *r)
{
	uint8_t v = stk_rd_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

/* ---- encoders ---- */

#define S_U8(name)         stk_wr_u8(w, v->name);
#define S_U16(name)        stk_wr_u16(w, v->name);
#define S_U32(name)        stk_wr_u32(w, v->name);
#define S_U64(name)        stk_wr_u64(w, v->name);
#define S_BOOL(name)       stk_wr_u8(w, v->name);
#define S_STR(name, cap)   put_str(w, v->name, cap);
#define S_BYTES(name, len) stk_wr_bytes(w, v->name, len);
#define S_BLOB(name, len)  put_blob(w, v->name, len);
#define S_SEG(name)        put_seg(w, &v->name);

static void put_seg(struct stk_wr *w, const struct snap_seg *v)
{
#include "snapshots/schema/seg.def"
}

static void put_drive(struct stk_wr *w, const struct snap_drive *v)
{
#include "snapshots/schema/drive.def"
}

static void put_region(struct stk_wr *w, const struct snap_region *v)
{
#include "snapshots/schema/region.def"
}

void snap_config_encode(const struct snap_config *v, struct stk_wr *w)
{
#include "snapshots/schema/config.def"
	for (unsigned i = 0; i < v->drive_count && i < SNAP_MAX_DRIVES; i++)
		put_drive(w, &v->drive[i]);
}

void snap_vm_encode(const struct snap_vm *v, struct stk_wr *w)
{
#include "snapshots/schema/vm.def"
}

void snap_vcpu_encode(const struct snap_vcpu *v, struct stk_wr *w)
{
#include "snapshots/schema/vcpu.def"
	stk_wr_u32(w, v->cpuid_count);
	for (unsigned i = 0; i < v->cpuid_count && i < SNAP_MAX_CPUID; i++) {
		const struct snap_cpuid *c = &v->cpuid[i];

		stk_wr_u32(w, c->function);
		stk_wr_u32(w, c->index);
		stk_wr_u32(w, c->flags);
		stk_wr_u32(w, c->eax);
		stk_wr_u32(w, c->ebx);
		stk_wr_u32(w, c->ecx);
		stk_wr_u32(w, c->edx);
	}
	stk_wr_u32(w, v->msr_count);
	for (unsigned i = 0; i < v->msr_count && i < SNAP_MAX_MSRS; i++) {
		stk_wr_u32(w, v->msr[i].index);
		stk_wr_u64(w, v->msr[i].value);
	}
}

void snap_memory_encode(const struct snap_memory *m, struct stk_wr *w)
{
	stk_wr_u32(w, m->count);
	for (unsigned i = 0; i < m->count && i < SNAP_MAX_REGIONS; i++)
		put_region(w, &m->region[i]);
}

void snap_device_encode(const struct snap_device *d, struct stk_wr *w)
{
	put_str(w, d->name, SNAP_ID_MAX);
	put_str(w, d->id, SNAP_ID_MAX);
	stk_wr_u32(w, d->version);
}

#include "snapshots/schema/end.def"

/* ---- decoders ---- */

#define S_U8(name)         v->name = stk_rd_u8(r);
#define S_U16(name)        v->name = stk_rd_u16(r);
#define S_U32(name)        v->name = stk_rd_u32(r);
#define S_U64(name)        v->name = stk_rd_u64(r);
#define S_BOOL(name)       v->name = get_bool(r);
#define S_STR(name, cap)   get_str(r, v->name, cap);
#define S_BYTES(name, len) stk_rd_copy(r, v->name, len);
#define S_BLOB(name, len)  get_blob(r, v->name, len);
#define S_SEG(name)        get_seg(r, &v->name);

static void get_seg(struct stk_rd *r, struct snap_seg *v)
{
#include "snapshots/schema/seg.def"
}

static void get_drive(struct stk_rd *r, struct snap_drive *v)
{
#include "snapshots/schema/drive.def"
}

static void get_region(struct stk_rd *r, struct snap_region *v)
{
#include "snapshots/schema/region.def"
}

static int finish(const struct stk_rd *r, const char *section, struct stk_err *err)
{
	if (r->bad || r->left > 0)
		return stk_err_set(err, -EINVAL, "snapshot state: section %s is malformed", section);
	return 0;
}

int snap_config_decode(struct stk_rd *r, struct snap_config *v, struct stk_err *err)
{
#include "snapshots/schema/config.def"
	if (v->drive_count > SNAP_MAX_DRIVES)
		r->bad = true;
	for (unsigned i = 0; i < v->drive_count && !r->bad; i++)
		get_drive(r, &v->drive[i]);
	return finish(r, "CONFIG", err);
}

int snap_vm_decode(struct stk_rd *r, struct snap_vm *v, struct stk_err *err)
{
#include "snapshots/schema/vm.def"
	return finish(r, "VM", err);
}

int snap_vcpu_decode(struct stk_rd *r, struct snap_vcpu *v, struct stk_err *err)
{
#include "snapshots/schema/vcpu.def"
	v->cpuid_count = stk_rd_u32(r);
	if (v->cpuid_count > SNAP_MAX_CPUID)
		r->bad = true;
	for (unsigned i = 0; i < v->cpuid_count && !r->bad; i++) {
		struct snap_cpuid *c = &v->cpuid[i];

		c->function = stk_rd_u32(r);
		c->index = stk_rd_u32(r);
		c->flags = stk_rd_u32(r);
		c->eax = stk_rd_u32(r);
		c->ebx = stk_rd_u32(r);
		c->ecx = stk_rd_u32(r);
		c->edx = stk_rd_u32(r);
	}
	v->msr_count = stk_rd_u32(r);
	if (v->msr_count > SNAP_MAX_MSRS)
		r->bad = true;
	for (unsigned i = 0; i < v->msr_count && !r->bad; i++) {
		v->msr[i].index = stk_rd_u32(r);
		v->msr[i].value = stk_rd_u64(r);
	}
	return finish(r, "VCPU", err);
}

int snap_memory_decode(struct stk_rd *r, struct snap_memory *m, struct stk_err *err)
{
	int e;

	m->total_size = 0;
	m->count = stk_rd_u32(r);
	if (m->count == 0 || m->count > SNAP_MAX_REGIONS)
		r->bad = true;
	for (unsigned i = 0; i < m->count && !r->bad; i++) {
		struct snap_region *g = &m->region[i];

		get_region(r, g);
		if (g->file_offset != m->total_size || g->length == 0 || g->length % 4096 != 0 ||
		    g->length > (uint64_t)INT64_MAX - m->total_size)
			r->bad = true;
		m->total_size += g->length;
	}
	e = finish(r, "MEMORY", err);
	if (e == 0 && strcmp(m->region[0].id, "ram") != 0)
		e = stk_err_set(err, -EINVAL, "snapshot state: the first memory region is not RAM");
	return e;
}

int snap_device_decode(struct stk_rd *r, struct snap_device *d, struct stk_err *err)
{
	get_str(r, d->name, SNAP_ID_MAX);
	get_str(r, d->id, SNAP_ID_MAX);
	d->version = stk_rd_u32(r);
	if (r->bad)
		return stk_err_set(err, -EINVAL, "snapshot state: section DEVICE is malformed");
	return 0;
}

#include "snapshots/schema/end.def"

/* ---- for people ---- */

typedef void (*each_fn)(void *ctx, const char *name, const char *value);

static void each_num(each_fn fn, void *ctx, const char *prefix, const char *name, unsigned long long value)
{
	char full[64], text[32];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	snprintf(text, sizeof(text), "%llu", value);
	fn(ctx, full, text);
}

static void each_text(each_fn fn, void *ctx, const char *prefix, const char *name, const char *value)
{
	char full[64];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	fn(ctx, full, value);
}

#define S_U32(name)      each_num(fn, ctx, prefix, #name, v->name);
#define S_BOOL(name)     each_text(fn, ctx, prefix, #name, v->name ? "true" : "false");
#define S_STR(name, cap) each_text(fn, ctx, prefix, #name, v->name);

static void each_drive(const struct snap_drive *v, const char *prefix, each_fn fn, void *ctx)
{
#include "snapshots/schema/drive.def"
}

void snap_config_each(const struct snap_config *v, each_fn fn, void *ctx)
{
	const char *prefix = "";

#include "snapshots/schema/config.def"
	for (unsigned i = 0; i < v->drive_count && i < SNAP_MAX_DRIVES; i++) {
		char p[24];

		snprintf(p, sizeof(p), "drive.%u.", i);
		each_drive(&v->drive[i], p, fn, ctx);
	}
}
