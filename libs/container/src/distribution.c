#include "distribution.h"
#include <stdio.h>

static rdg_err_t judge(const image_ref_t *ref, const char *path, const char *url, unsigned status) {
    if (status == 200) return RDG_OK;
    if (status == 404)
        return rdg_fail(RDG_E_NOT_FOUND, "%s has no %s of image %s", ref->base, path, ref->name);
    if (status == 401 || status == 403)
        return rdg_fail(RDG_E_FORBIDDEN, "%s does not let this device read %s", ref->base, ref->name);
    return rdg_fail(RDG_E_UNAVAILABLE, "%s answered HTTP status %u", url, status);
}

rdg_err_t distribution_get(rdg_http_client_t *http, const image_ref_t *ref, const char *path,
                           const char *accept, size_t max, rdg_http_answer_t *got) {
    char url[1024];
    const char *const headers[] = {accept};
    snprintf(url, sizeof url, "%s/v2/%s/%s", ref->base, ref->name, path);
    rdg_http_call_t call = {.method = "GET",
                            .url = url,
                            .headers = headers,
                            .header_count = 1,
                            .timeout_ms = DISTRIBUTION_TIMEOUT_MS,
                            .max_body = max};
    RDG_TRY(rdg_http_call(http, &call, got));
    rdg_err_t err = judge(ref, path, url, got->status);
    if (err != RDG_OK) rdg_http_answer_fini(got);
    return err;
}
