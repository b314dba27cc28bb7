/* Which archives a node is built from, and how.
 *
 * Up to the newest one with a state that leaves the wanted blocks behind it: headers, then that state; behind it: blocks.
 * An archive that the main chain does not prove is not used. */
#include <inttypes.h>
#include <stdio.h>
#include "archive_states.h"
#include "mainchain.h"
#include "ridge/base/log.h"

#define PROOF_MAX (1u << 20)

rdg_err_t recovery_anchor(rdg_baas_t *b, const chain_t *c, const archive_piece_t *p) {
    rdg_buf_t proof;
    rdg_buf_init(&proof, PROOF_MAX);
    rdg_err_t err = rdg_baas_mainchain_proof(b, c->chain_id, &p->manifest, &proof);
    rdg_buf_fini(&proof);
    return err;
}

static rdg_err_t add(rdg_baas_t *b, const char *device, const archive_piece_t *p, const char *kind,
                     json_t *list) {
    char path[160];
    json_t *file = NULL;
    uint64_t size;
    const char *sm3;
    snprintf(path, sizeof path, "/files/%" PRId64, p->file);
    RDG_TRY(remote_files(b, "GET", path, &file));
    rdg_err_t err = rdg_json_get_u64(file, "size", &size);
    if (err == RDG_OK) err = rdg_json_get_str(file, "sm3", &sm3);
    json_t *o = err == RDG_OK ? json_pack("{s:I, s:I, s:s, s:o, s:s, s:I, s:I}", "file", (json_int_t)p->file,
                                          "size", (json_int_t)size, "sm3", sm3, "manifest",
                                          rdg_json_hex(p->manifest.b, sizeof p->manifest.b), "kind", kind,
                                          "from", (json_int_t)p->from, "to", (json_int_t)p->to)
                              : NULL;
    json_decref(file);
    RDG_TRY(err);
    if (o && p->key_id[0]) json_object_set_new(o, "key", json_string(p->key_id));
    if (!o || json_array_append_new(list, o) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    snprintf(path, sizeof path, "/files/%" PRId64 "/readers/%s", p->file, device);
    return remote_files(b, "PUT", path, NULL);
}

/* The newest archive with a state below the first block that is wanted with its body; count: none. */
static size_t newest_state(const archive_piece_t *pieces, size_t count, uint64_t from) {
    size_t at = count;
    for (size_t i = 0; i < count; ++i)
        if (pieces[i].has_state && (from == 0 || pieces[i].to < from)) at = i;
    return at;
}

const char *recovery_kind(const archive_piece_t *pieces, size_t count, uint64_t from, size_t i) {
    size_t state = newest_state(pieces, count, from);
    return state == count || i > state ? "blocks" : i == state ? "state" : "headers";
}

static rdg_err_t choose(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *s,
                        const archive_piece_t *pieces, size_t count, json_t *list, uint64_t *last) {
    size_t used = 0;
    while (used < count && (s->to == 0 || pieces[used].from <= s->to)) ++used;
    if (used == 0 || (s->to > 0 && pieces[used - 1].to < s->to))
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "the archives of chain '%s' reach from block 1 to %" PRIu64
                        " without a gap, and not to %" PRIu64 ": see ridge archive list --chain %s",
                        c->name, used ? pieces[used - 1].to : 0, s->to, c->name);
    for (size_t i = 0; i < used; ++i) {
        const char *kind = recovery_kind(pieces, used, s->from, i);
        rdg_err_t err = recovery_anchor(b, c, &pieces[i]);
        if (err == RDG_OK) err = add(b, device, &pieces[i], kind, list);
        if (err != RDG_OK)
            return rdg_fail_in(err, "archive of blocks %" PRIu64 " to %" PRIu64, pieces[i].from,
                               pieces[i].to);
        *last = pieces[i].to;
    }
    return RDG_OK;
}

rdg_err_t recovery_archives(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *s,
                            json_t **out, uint64_t *last) {
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    *last = 0;
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    rdg_err_t err = mainchain_needed(b);
    if (err == RDG_OK) err = archive_pieces(b, c, &pieces, &count);
    if (err == RDG_OK) err = choose(b, c, device, s, pieces, count, *out, last);
    rdg_free(pieces);
    if (err == RDG_OK) return RDG_OK;
    json_decref(*out);
    *out = NULL;
    return err;
}

rdg_err_t recovery_archives_end(rdg_baas_t *b, const chain_t *c, const char *device) {
    archive_piece_t *pieces = NULL;
    archive_span_t s;
    size_t count = 0;
    RDG_TRY(recovery_wish(b, c, device, &s));
    if (!s.wanted) return RDG_OK;
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < count; ++i) {
        char path[160];
        snprintf(path, sizeof path, "/files/%" PRId64 "/readers/%s", pieces[i].file, device);
        err = remote_files(b, "DELETE", path, NULL);
    }
    rdg_free(pieces);
    return err == RDG_OK ? recovery_wish_set(b, c, device, &(archive_span_t){.wanted = false}) : err;
}
