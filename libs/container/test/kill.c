/* kill -9 of the agent between any two of its writes, in a pull, a start, a stop, a removal: the next one goes on. */
#include "blob_store.h"
#include "ridge/base/file.h"
#include "ridge/container/container.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct box {
    char state[PATH_MAX], log[PATH_MAX], data[PATH_MAX];
    rdg_container_driver_t *driver;
    rdg_container_spec_t spec;
} box_t;

static const char *const sleeping[] = {"-c", "exec sleep 300", NULL};

static void open_box(box_t *b, const char *dir) {
    snprintf(b->state, sizeof b->state, "%s/state", dir);
    snprintf(b->log, sizeof b->log, "%s/log", rdg_test_dir());
    snprintf(b->data, sizeof b->data, "%s", rdg_test_dir());
    CHECK_OK(rdg_container_process_new("/bin/sh", &b->driver));
    b->spec = (rdg_container_spec_t){
        .name = "a", .state_dir = b->state, .data_dir = b->data, .log_path = b->log, .args = sleeping};
}

/* Processes that carry this container's mark. */
static unsigned instances(const box_t *b) {
    unsigned n = 0;
    char mark[PATH_MAX + 32];
    DIR *proc = opendir("/proc");
    CHECK(proc != NULL);
    snprintf(mark, sizeof mark, "RIDGE_CONTAINER=%s", b->state);
    for (struct dirent *e; (e = readdir(proc));) {
        char path[300], text[65536];
        snprintf(path, sizeof path, "/proc/%s/environ", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!f) continue;
        size_t len = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        text[len] = '\0';
        for (size_t at = 0; at < len; at += strlen(text + at) + 1) n += strcmp(text + at, mark) == 0;
    }
    closedir(proc);
    return n;
}

static void start_stop_remove(const char *dir, unsigned char *ack) {
    box_t b;
    open_box(&b, dir);
    if (b.driver->start(b.driver->ctx, &b.spec) == RDG_OK) ack[0] = 1;
    if (b.driver->stop(b.driver->ctx, &b.spec, 1000) == RDG_OK) ack[0] = 2;
    if (b.driver->start(b.driver->ctx, &b.spec) == RDG_OK) ack[0] = 3;
    if (b.driver->remove(b.driver->ctx, &b.spec, NULL) == RDG_OK) ack[0] = 4;
    rdg_container_driver_free(b.driver);
}

static void go_on(const char *dir, unsigned char *ack) {
    box_t b;
    rdg_container_status_t s;
    open_box(&b, dir);
    if (ack[0] == 4) CHECK_EQ(instances(&b), 0);
    CHECK_OK(b.driver->start(b.driver->ctx, &b.spec));
    CHECK_OK(b.driver->status(b.driver->ctx, &b.spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_RUNNING);
    unsigned running = 0; /* forked, and not yet the program, or in the middle of becoming another */
    for (int i = 0; i < 6000 && (running = instances(&b)) == 0; ++i) usleep(10000);
    CHECK_EQ(running, 1);
    CHECK_OK(b.driver->remove(b.driver->ctx, &b.spec, NULL));
    CHECK_EQ(instances(&b), 0);
    CHECK(!rdg_file_exists(b.state));
    rdg_container_driver_free(b.driver);
}

TEST(a_starter_killed_at_any_write_leaves_one_instance_or_none) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_KILL, start_stop_remove, go_on);
}
