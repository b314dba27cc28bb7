/* What the examples share: a failure ends the program with libridge's sentence, and files are read and written whole. */
#ifndef RIDGE_EXAMPLE_H
#define RIDGE_EXAMPLE_H
#include <ridge/status.h>
#include <stdio.h>
#include <stdlib.h>

static inline void must(ridge_status_t status, const char *what) {
    if (status == RIDGE_OK) return;
    fprintf(stderr, "%s: %s (%s)\n", what, ridge_error(status), ridge_status_name(status));
    exit(1);
}

static inline void usage(bool ok, const char *how) {
    if (ok) return;
    fprintf(stderr, "usage: %s\n", how);
    exit(2);
}

/* With a zero byte behind it; free. */
static inline uint8_t *read_file(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc((16u << 20) + 1);
    if (!f || !data) {
        perror(path);
        exit(1);
    }
    *len = fread(data, 1, 16u << 20, f);
    data[*len] = 0;
    fclose(f);
    return data;
}

static inline void write_file(const char *path, const uint8_t *data, size_t len) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

#endif
