/* Whatever decodes as a record, encodes and decodes to the same again; nothing decodes beyond its bounds. */
#include <stdlib.h>
#include <string.h>
#include "ridge/codec/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rdg_telemetry_t one, again;

static void check_record(rdg_bytes_t bytes) {
    rdg_buf_t first, second;
    if (rdg_telemetry_decode(bytes, &one) != RDG_OK) return;
    rdg_buf_init(&first, RDG_TELEMETRY_RECORD_MAX);
    rdg_buf_init(&second, RDG_TELEMETRY_RECORD_MAX);
    /* Extra items are dropped, so it is never longer than what came. */
    if (rdg_telemetry_encode(&one, &first) != RDG_OK || first.len > bytes.len) abort();
    if (rdg_telemetry_decode(rdg_buf_view(&first), &again) != RDG_OK) abort();
    if (rdg_telemetry_encode(&again, &second) != RDG_OK) abort();
    if (!rdg_bytes_equal(rdg_buf_view(&first), rdg_buf_view(&second))) abort();
    json_t *o = rdg_telemetry_json(&one);
    if (!o) abort();
    json_decref(o);
    rdg_buf_fini(&first);
    rdg_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_telemetry_message_t m;
    rdg_telemetry_ack_t ack;
    rdg_bytes_t bytes = rdg_bytes(data, size);
    check_record(bytes);
    if (rdg_telemetry_message_decode(bytes, &m) == RDG_OK)
        for (size_t i = 0; i < m.count; ++i) check_record(m.records[i]);
    (void)rdg_telemetry_ack_decode(bytes, &ack);
    return 0;
}
