/* Commands from the cloud: what is accepted has a valid id and chain, and its result can be written. */
#include <stdlib.h>
#include "command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    command_t c;
    rdg_buf_t out;
    rdg_buf_init(&out, 1u << 20);
    rdg_err_t err = command_parse(rdg_bytes(data, size), &c);
    if (err == RDG_OK) {
        if (!c.id[0] || !json_is_object(c.params)) abort();
        if (c.chain[0] && !command_chain_valid(c.chain)) abort();
        if (command_result(&c, "done", "step", 1, c.params, RDG_OK, &out) == RDG_OK) {
            json_t *o = NULL;
            if (rdg_json_parse(rdg_buf_view(&out), &o) != RDG_OK) abort();
            json_decref(o);
        }
    }
    command_fini(&c);
    rdg_buf_fini(&out);
    return 0;
}
