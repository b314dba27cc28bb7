#include "internal.h"
#include <string.h>

#define ANSWER_MAX (32u << 20)
#define BODY_MAX (2u << 20)
#define CONNECTIONS_MAX 128 /* so that bodies under way are bounded, too */

static void answer_text(rdg_http_response_t *res, unsigned status, const char *type, const char *text) {
    rdg_http_status(res, status);
    (void)rdg_http_write(res, type, rdg_bytes_str(text));
}

static void on_request(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_node_t *n = ctx;
    const char *path = rdg_http_path(req), *method = rdg_http_method(req);
    rdg_buf_t out;
    rdg_buf_init(&out, ANSWER_MAX);
    if (strcmp(method, "POST") == 0 && strcmp(path, "/") == 0) {
        rdg_err_t err = rdg_node_rpc_handle(n->rpc, rdg_http_body(req), &out);
        if (err == RDG_OK)
            (void)rdg_http_write(res, "application/json", rdg_buf_view(&out));
        else
            answer_text(res, 500, "text/plain", rdg_err_message(err));
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
        answer_text(res, 404, "text/plain", "JSON-RPC is at POST /; see also GET /metrics and GET /health\n");
    }
    rdg_buf_fini(&out);
}

rdg_err_t http_open(rdg_node_t *n) {
    rdg_http_server_options_t options = {.host = n->options.rpc_host,
                                         .port = n->options.rpc_port,
                                         .threads = 2,
                                         .max_body = BODY_MAX,
                                         .max_connections = CONNECTIONS_MAX};
    return rdg_fail_in(rdg_http_server_start(&options, on_request, n, &n->http), "JSON-RPC");
}
