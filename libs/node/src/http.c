#include "internal.h"
#include "ridge/net/websocket.h"
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (32u << 20)
#define BODY_MAX (2u << 20)
#define CONNECTIONS_MAX 192 /* so that bodies under way are bounded, too; those of WebSocket among them */
#define WS_CONNECTIONS_MAX 64
#define RECEIPT_WAIT_MS 1000 /* for the block that holds it, which is usually the next one */
#define WS_QUEUE_BYTES (8u << 20)
#define WS_TOTAL_BYTES (48u << 20)

static void answer_text(rdg_http_response_t *res, unsigned status, const char *type, const char *text) {
    rdg_http_status(res, status);
    (void)rdg_http_write(res, type, rdg_bytes_str(text));
}

/* A request of which everything was refused for want of room is also HTTP's 429, so that clients and proxies that know
 * nothing of us wait before they come again. The answer is the same. */
static void answer_rpc(rdg_node_t *n, const rdg_http_request_t *req, rdg_http_response_t *res,
                       rdg_buf_t *out) {
    uint64_t retry_ms;
    char seconds[24];
    rdg_err_t err = rdg_node_rpc_handle(n->rpc, NULL, rdg_http_body(req), out, &retry_ms);
    if (err != RDG_OK) {
        answer_text(res, 500, "text/plain", rdg_err_message(err));
        return;
    }
    if (retry_ms > 0) {
        snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(retry_ms + 999) / 1000);
        rdg_http_status(res, 429);
        (void)rdg_http_set_header(res, "Retry-After", seconds);
    }
    (void)rdg_http_write(res, "application/json", rdg_buf_view(out));
}

static void on_request(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_node_t *n = ctx;
    const char *path = rdg_http_path(req), *method = rdg_http_method(req);
    rdg_buf_t out;
    rdg_buf_init(&out, ANSWER_MAX);
    if (strcmp(path, "/") == 0 && rdg_ws_is_upgrade(req)) {
        rdg_ws_accept(req, res);
    } else if (strcmp(method, "POST") == 0 && strcmp(path, "/") == 0 && rdg_http_header(req, "Origin")) {
        /* A page of anybody's could have its visitor's browser post here, and would not even need the answer. */
        answer_text(res, 403, "text/plain",
                    "JSON-RPC does not serve pages of a browser: the request has an Origin\n");
    } else if (strcmp(method, "POST") == 0 && strcmp(path, "/") == 0) {
        if (!rdg_node_rpc_waits(n->rpc, rdg_http_body(req)) || !rdg_http_defer(req, RECEIPT_WAIT_MS))
            answer_rpc(n, req, res, &out);
    } else if (strcmp(method, "GET") == 0 && strcmp(path, "/metrics") == 0) {
        (void)rdg_metrics_expose(n->metrics, &out);
        (void)rdg_http_write(res, "text/plain; version=0.0.4", rdg_buf_view(&out));
    } else if (strcmp(method, "GET") == 0 && strcmp(path, "/health") == 0) {
        pthread_mutex_lock(&n->lock);
        bool halted = n->seen.halted;
        pthread_mutex_unlock(&n->lock);
        answer_text(res, halted ? 503 : 200, "application/json",
                    halted ? "{\"status\":\"halted\"}" : "{\"status\":\"ok\"}");
    } else {
        answer_text(res, 404, "text/plain",
                    "JSON-RPC is at POST / and at WebSocket /; see also GET /metrics and GET /health\n");
    }
    rdg_buf_fini(&out);
}

static rdg_err_t send_on(void *ws, rdg_bytes_t message) {
    return rdg_ws_send(ws, message);
}

static rdg_err_t on_opened(void *ctx, rdg_ws_t *ws, void **session) {
    rdg_node_t *n = ctx;
    rdg_node_rpc_session_t *s = NULL;
    RDG_TRY(rdg_node_rpc_session_new(n->rpc, send_on, ws, &s));
    *session = s;
    return RDG_OK;
}

static void on_message(void *ctx, void *session, rdg_ws_t *ws, rdg_bytes_t bytes) {
    rdg_node_t *n = ctx;
    rdg_buf_t out;
    rdg_buf_init(&out, WS_QUEUE_BYTES / 2);
    if (rdg_node_rpc_handle(n->rpc, session, bytes, &out, NULL) != RDG_OK)
        rdg_ws_close(ws, 1011, "no memory for an answer");
    else if (out.len > 0)
        (void)rdg_ws_send(ws, rdg_buf_view(&out));
    rdg_node_rpc_session_answered(session);
    rdg_buf_fini(&out);
}

/* The connection lives as long as this has not been called, so the session needs no reference of its own. */
static void on_closed(void *ctx, void *session) {
    (void)ctx;
    rdg_node_rpc_session_free(session);
}

rdg_err_t http_open(rdg_node_t *n) {
    rdg_ws_options_t websocket = {.opened = on_opened,
                                  .message = on_message,
                                  .closed = on_closed,
                                  .ctx = n,
                                  .max_connections = WS_CONNECTIONS_MAX,
                                  .max_message = BODY_MAX,
                                  .queue_bytes = WS_QUEUE_BYTES,
                                  .total_bytes = WS_TOTAL_BYTES};
    rdg_http_server_options_t options = {.websocket = &websocket,
                                         .host = n->options.rpc_host,
                                         .port = n->options.rpc_port,
                                         .threads = 2,
                                         .max_body = BODY_MAX,
                                         .max_connections = CONNECTIONS_MAX};
    return rdg_fail_in(rdg_http_server_start(&options, on_request, n, &n->http), "JSON-RPC");
}
