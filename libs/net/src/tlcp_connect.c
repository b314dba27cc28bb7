#include "loop_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/net/tlcp_stream.h"
#include <stdio.h>
#include <string.h>

/* A connection that is being made, and what it shall become. */
typedef struct tlcp_dial {
    loop_item_t item;
    rdg_loop_t *loop;
    rdg_tlcp_end_t end;
    char name[RDG_CERT_NAME_MAX];
    uint8_t scope[RDG_TLCP_STREAM_SCOPE_MAX];
    rdg_connected_fn fn;
    void *ctx;
} tlcp_dial_t;

static void dial_free(tlcp_dial_t *d) {
    rdg_tlcp_identity_unref(d->end.identity);
    rdg_free(d);
}

static void drop_item(loop_item_t *item) {
    dial_free(RDG_LIST_ENTRY(item, tlcp_dial_t, item));
}

static void on_connected(void *ctx, rdg_stream_t *s, rdg_err_t err) {
    tlcp_dial_t *d = ctx;
    if (err == RDG_OK) err = rdg_tlcp_stream_open(d->loop, s, &d->end, d->fn, d->ctx, NULL);
    if (err != RDG_OK) d->fn(d->ctx, NULL, err);
    loop_remove(&d->item);
    dial_free(d);
}

rdg_err_t rdg_tlcp_stream_connect(rdg_loop_t *l, const char *host, uint16_t port, uint64_t timeout_ms,
                                  const rdg_tlcp_end_t *end, rdg_connected_fn fn, void *ctx) {
    if (end->peer_name && strlen(end->peer_name) >= RDG_CERT_NAME_MAX)
        return rdg_fail(RDG_E_INVALID, "'%.80s' is too long for a certificate's name", end->peer_name);
    tlcp_dial_t *d = rdg_calloc(1, sizeof *d);
    if (!d) return rdg_fail(RDG_E_NO_MEMORY, "no memory to connect to %s:%u", host, port);
    *d = (tlcp_dial_t){.loop = l, .end = *end, .fn = fn, .ctx = ctx};
    rdg_tlcp_identity_ref(end->identity);
    if (end->peer_name) {
        snprintf(d->name, sizeof d->name, "%s", end->peer_name);
        d->end.peer_name = d->name;
    }
    RDG_ASSERT(end->session_scope.len <= sizeof d->scope);
    if (end->session_scope.len > 0) memcpy(d->scope, end->session_scope.data, end->session_scope.len);
    d->end.session_scope = rdg_bytes(d->scope, end->session_scope.len);
    loop_add(l, &d->item, drop_item);
    rdg_err_t err = rdg_stream_connect(l, host, port, timeout_ms, on_connected, d);
    if (err == RDG_OK) return RDG_OK;
    loop_remove(&d->item);
    dial_free(d);
    return err;
}
