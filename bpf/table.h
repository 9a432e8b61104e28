/* The backend that IPVS's mh scheduler would choose. */
#pragma once

#include "hash.h"
#include "tunables.h"

/* Rows that the fallback walk may visit. With one backend in ten taking new
 * flows, one client in a million needs more; those IPVS serves. */
#define MAX_WALK 128

static __always_inline struct backend *get_backend(__u32 id)
{
	return bpf_map_lookup_elem(&backends, &id);
}

static __always_inline __u32 row_of(__u32 sum)
{
	return sip_hash(sum) % table_rows;
}

struct walk {
	void *rows;
	__u32 seed;
	__u32 first; /* the row that the client belongs to */
	__u32 id;    /* found; 0: no row holds one that takes new flows */
	bool ended;  /* an empty row, or found */
};

/* step visits one row of the fallback walk and returns 1 at its end. */
static long step(__u32 i, struct walk *w)
{
	__u32 row = row_of(w->seed + (i + w->first) % table_rows);
	__u32 *id = bpf_map_lookup_elem(w->rows, &row);
	struct backend *b;

	if (!id || !*id)
		goto end;
	b = get_backend(*id);
	if (!b)
		goto end;
	if (!(b->flags & BACKEND_SCHEDULED))
		return 0;
	w->id = *id;
end:
	w->ended = true;
	return 1;
}

/* pick finds the backend for a new flow. */
static __always_inline enum verdict pick(const struct packet *p, const struct service *s, __u32 *id, bool *walked)
{
	__u32 service = s->id;
	struct walk w = { .seed = mh_seed(p, s->flags & SERVICE_PORT) };
	struct backend *b;
	__u32 *row;

	w.rows = bpf_map_lookup_elem(&tables, &service);
	if (!w.rows)
		return PASS_NO_BACKEND;
	w.first = row_of(w.seed);
	row = bpf_map_lookup_elem(w.rows, &w.first);
	if (!row || !*row)
		return PASS_NO_BACKEND;
	*id = *row;
	b = get_backend(*id);
	if (!b)
		return PASS_NO_BACKEND;
	if (b->flags & BACKEND_SCHEDULED)
		return UNDECIDED;
	if (!(s->flags & SERVICE_FALLBACK))
		return PASS_NO_BACKEND;

	bpf_loop(MAX_WALK, step, &w, 0);
	*id = w.id;
	*walked = true;
	if (w.id)
		return UNDECIDED;
	return w.ended ? PASS_NO_BACKEND : PASS_FAR;
}
