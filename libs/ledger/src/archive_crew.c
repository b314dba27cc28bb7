/* Threads of one export or verification. */
#include <unistd.h>
#include "archive_internal.h"

enum { DEFAULT_MAX = 4 };

void crew_init(archive_crew_t *c, unsigned wanted) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned own = cores < 1 ? 1 : cores < DEFAULT_MAX ? (unsigned)cores : DEFAULT_MAX;
    *c = (archive_crew_t){.workers = NULL};
    c->threads = wanted == 0 ? own : wanted < CREW_MAX ? wanted : CREW_MAX;
}

void crew_begin(archive_crew_t *c, workers_job_t job, void *ctx, uint32_t numbers) {
    RDG_ASSERT(!c->job);
    c->job = job, c->ctx = ctx, c->numbers = numbers;
    if (!c->workers && c->threads > 1 && numbers > 1) c->workers = workers_new(c->threads);
    if (c->workers) workers_begin(c->workers, job, ctx, numbers);
}

void crew_end(archive_crew_t *c) {
    if (c->job && c->workers) workers_end(c->workers);
    for (uint32_t i = 0; c->job && !c->workers && i < c->numbers; ++i) c->job(c->ctx, 0, i);
    c->job = NULL;
}

void crew_run(archive_crew_t *c, workers_job_t job, void *ctx, uint32_t numbers) {
    if (numbers == 1) {
        job(ctx, 0, 0);
        return;
    }
    crew_begin(c, job, ctx, numbers);
    crew_end(c);
}

void crew_fini(archive_crew_t *c) {
    crew_end(c);
    workers_free(c->workers);
    c->workers = NULL;
}
