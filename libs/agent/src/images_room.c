#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

void agent_make_room(rdg_agent_t *a, uint64_t budget_bytes) {
    const char *needed[WORKLOADS_MAX];
    size_t count = 0;
    uint64_t freed = 0;
    workload_view_t *views = rdg_calloc(WORKLOADS_MAX, sizeof *views);
    if (!views) return;
    size_t n = workloads_records(a->workloads, views, WORKLOADS_MAX);
    for (size_t i = 0; i < n; ++i)
        if (views[i].chain.image[0]) needed[count++] = views[i].chain.image;
    for (size_t i = 0; i < a->driver_count; ++i) {
        rdg_container_driver_t *d = a->drivers[i];
        rdg_err_t err = d->collect ? d->collect(d->ctx, needed, count, budget_bytes, &freed) : RDG_OK;
        if (err != RDG_OK && err != RDG_E_BUSY) rdg_log_err("image.no_room", err);
    }
    if (freed > 0) rdg_log(RDG_LOG_INFO, "image.room", RDG_U64("freed_bytes", freed));
    rdg_free(views);
}
