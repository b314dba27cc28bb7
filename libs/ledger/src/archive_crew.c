/* Threads of one export or verification. */
#include <unistd.h>
#include "archive_internal.h"

enum { DEFAULT_MAX = 4 };

void crew_init(archive_crew_t *c, unsigned wanted) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned own = cores < 1 ? 1 : cores < DEFAULT_MAX ? (unsigned)cores : DEFAULT_MAX;
    c->workers = NULL;
    c->threads = wanted == 0 ? own : wanted < CREW_MAX ? wanted : CREW_MAX;
}

void crew_run(archive_crew_t *c, workers_job_t job, void *ctx, uint32_t numbers) {
    if (!c->workers && c->threads > 1 && numbers > 1) c->workers = workers_new(c->threads);
    if (c->workers && numbers > 1)
        workers_run(c->workers, job, ctx, numbers);
    else
        for (uint32_t i = 0; i < numbers; ++i) job(ctx, 0, i);
}

void crew_fini(archive_crew_t *c) {
    workers_free(c->workers);
    c->workers = NULL;
}
