#include "wire.h"
#include "ridge/codec/rlp.h"
#include <string.h>

static bool has_proof(uint32_t kind) {
    return kind == RDG_PHASE_VIEW_CHANGE || kind == RDG_PHASE_NEW_VIEW;
}

bool wire_read(rdg_bytes_t bytes, wire_t *out) {
    rdg_rlp_t outer, list;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, bytes);
    if (rdg_rlp_list(&outer, &list) != RDG_OK) return false;
    out->kind = (uint32_t)rdg_rlp_u64(&list);
    if (out->kind == WIRE_STATUS) {
        rdg_certificate_t c;
        out->certificate = rdg_rlp_raw(&list);
        if (rdg_rlp_done(&list) != RDG_OK || rdg_certificate_decode(out->certificate, &c) != RDG_OK)
            return false;
        out->statement = c.statement;
        return true;
    }
    out->statement.phase = (rdg_phase_t)out->kind;
    out->statement.epoch = rdg_rlp_u64(&list);
    out->statement.view = rdg_rlp_u64(&list);
    out->statement.height = rdg_rlp_u64(&list);
    rdg_rlp_fixed(&list, out->statement.digest.b, RDG_HASH_BYTES);
    out->index = (uint32_t)rdg_rlp_u64(&list);
    rdg_rlp_fixed(&list, out->signature.b, sizeof out->signature.b);
    if (out->kind == RDG_PHASE_PRE_PREPARE) out->proposal = rdg_rlp_bytes(&list);
    if (has_proof(out->kind)) {
        out->proof = rdg_rlp_raw(&list);
        out->certificate = rdg_rlp_bytes(&list);
    }
    return rdg_rlp_done(&list) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK;
}

uint32_t wire_kind(rdg_bytes_t bytes) {
    rdg_rlp_t outer, list;
    rdg_rlp_init(&outer, bytes);
    return rdg_rlp_list(&outer, &list) == RDG_OK ? (uint32_t)rdg_rlp_u64(&list) : 0;
}

void wire_write(const wire_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, m->kind);
    if (m->kind == WIRE_STATUS) {
        rdg_rlp_put_raw(out, m->certificate);
        rdg_rlp_list_end(out, list);
        return;
    }
    rdg_rlp_put_u64(out, m->statement.epoch);
    rdg_rlp_put_u64(out, m->statement.view);
    rdg_rlp_put_u64(out, m->statement.height);
    rdg_rlp_put_bytes(out, rdg_bytes(m->statement.digest.b, RDG_HASH_BYTES));
    rdg_rlp_put_u64(out, m->index);
    rdg_rlp_put_bytes(out, rdg_bytes(m->signature.b, sizeof m->signature.b));
    if (m->kind == RDG_PHASE_PRE_PREPARE) rdg_rlp_put_bytes(out, m->proposal);
    if (has_proof(m->kind)) {
        rdg_rlp_put_raw(out, m->proof);
        rdg_rlp_put_bytes(out, m->certificate);
    }
    rdg_rlp_list_end(out, list);
}
