/* The first byte chooses the types, the rest is data from a contract. What decodes must encode again, and
 * that must decode to the same values. */
#include <stdlib.h>

#include "ridge/codec/abi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const type_lists[] = {
    "[{\"type\":\"uint256\"},{\"type\":\"int8\"},{\"type\":\"bool\"},{\"type\":\"address\"},{\"type\":"
    "\"bytes3\"}]",
    "[{\"type\":\"bytes\"},{\"type\":\"string\"}]",
    "[{\"type\":\"uint64[]\"},{\"type\":\"int256[3]\"}]",
    "[{\"type\":\"string[2][]\"},{\"type\":\"uint8[][]\"}]",
    "[{\"name\":\"a\",\"type\":\"tuple[]\",\"components\":[{\"name\":\"x\",\"type\":\"bytes\"},"
    "{\"name\":\"y\",\"type\":\"tuple\",\"components\":[{\"name\":\"z\",\"type\":\"int40\"}]}]},"
    "{\"name\":\"b\",\"type\":\"uint8\"}]",
    "[{\"type\":\"uint8[][][][][][][][][][]\"}]",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const char *text = type_lists[data[0] % (sizeof type_lists / sizeof type_lists[0])];
    json_t *types = NULL, *first = NULL, *second = NULL;
    if (rdg_json_parse(rdg_bytes_str(text), &types) != RDG_OK) abort();
    if (rdg_abi_decode(types, rdg_bytes(data + 1, size - 1), &first) == RDG_OK) {
        rdg_buf_t out;
        rdg_buf_init(&out, 64 * size + 4096);
        if (rdg_abi_encode(types, first, &out) != RDG_OK) abort();
        if (rdg_abi_decode(types, rdg_buf_view(&out), &second) != RDG_OK || !json_equal(first, second))
            abort();
        rdg_buf_fini(&out);
    }
    json_decref(first);
    json_decref(second);
    json_decref(types);
    return 0;
}
