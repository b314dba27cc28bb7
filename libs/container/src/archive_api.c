#include "archive_api.h"
#include <dlfcn.h>
#include <string.h>

rdg_err_t archive_api_open(archive_api_t *out) {
    memset(out, 0, sizeof *out);
    out->library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
    if (!out->library)
        return rdg_fail(RDG_E_UNSUPPORTED, "cannot unpack an image without libarchive: install libarchive13");
    void *symbol;
    /* A function pointer is copied, not cast: ISO C knows no way from one to the other. */
#define ARCHIVE_API_LOAD(name)                                                                               \
    if (!(symbol = dlsym(out->library, #name))) {                                                            \
        archive_api_close(out);                                                                              \
        return rdg_fail(RDG_E_UNSUPPORTED, "the libarchive of this device has no " #name);                   \
    }                                                                                                        \
    memcpy(&out->name, &symbol, sizeof symbol);
    ARCHIVE_API(ARCHIVE_API_LOAD)
#undef ARCHIVE_API_LOAD
    return RDG_OK;
}

void archive_api_close(archive_api_t *api) {
    if (api->library) dlclose(api->library);
    api->library = NULL;
}
