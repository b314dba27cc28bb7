/* What is read as plain calls is JSON, and a parser reads the same calls in it. */
#include "ridge/base/assert.h"
#include "rpc_internal.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(rdg_bytes_t text, const json_t *v) {
    RDG_ASSERT(json_is_string(v) && json_string_length(v) == text.len);
    RDG_ASSERT(text.len == 0 || memcmp(json_string_value(v), text.data, text.len) == 0);
}

static void check_call(const rpc_plain_call_t *call, const json_t *request) {
    json_t *id = NULL;
    const json_t *params = json_object_get(request, "params");
    RDG_ASSERT(rdg_json_parse(call->id, &id) == RDG_OK);
    RDG_ASSERT(json_equal(id, json_object_get(request, "id")));
    json_decref(id);
    check_text(rdg_bytes_str("ridge_sendTransaction"), json_object_get(request, "method"));
    RDG_ASSERT(json_array_size(params) == 1);
    check_text(call->transaction, json_array_get(params, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rpc_plain_call_t calls[RDG_RPC_CALLS_MAX];
    json_t *parsed = NULL;
    bool is_batch;
    size_t count = rpc_plain_read(rdg_bytes(data, size), calls, &is_batch);
    if (count == 0) return 0;
    RDG_ASSERT(rdg_json_parse(rdg_bytes(data, size), &parsed) == RDG_OK);
    RDG_ASSERT(json_is_array(parsed) == is_batch && (!is_batch || json_array_size(parsed) == count));
    for (size_t i = 0; i < count; ++i) check_call(&calls[i], is_batch ? json_array_get(parsed, i) : parsed);
    json_decref(parsed);
    return 0;
}
