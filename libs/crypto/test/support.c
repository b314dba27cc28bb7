#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ridge/test.h"
#include "sm2_key.h"

size_t test_unhex(const char *hex, uint8_t *out) {
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

const char *test_path(const char *name) {
    static char paths[16][256];
    char path[256];
    size_t i = 0;
    snprintf(path, sizeof path, "%s/%s", rdg_test_dir(), name);
    while (i < 16 && *paths[i] && strcmp(paths[i], path) != 0) i++;
    CHECK(i < 16);
    memcpy(paths[i], path, sizeof path);
    return paths[i];
}

void test_write(const char *path, const void *data, size_t len, unsigned mode) {
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(data, 1, len, f) == len && fclose(f) == 0 && chmod(path, mode) == 0);
}

size_t test_read(const char *path, uint8_t *out, size_t max) {
    FILE *f = fopen(path, "r");
    CHECK(f);
    size_t len = fread(out, 1, max, f);
    fclose(f);
    return len;
}

int test_openssl(const char *const *words) {
    char *argv[32] = {(char *)(uintptr_t) "openssl"};
    for (size_t i = 0; words[i]; i++) argv[i + 1] = (char *)(uintptr_t)words[i];
    const char *log = test_path("openssl.log");
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0) dup2(fd, 1), dup2(fd, 2);
        execvp("openssl", argv);
        _exit(127);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 127) rdg_test_skip("the openssl command is not installed");
    return WEXITSTATUS(status);
}

rdg_sm2_key_t *test_key(void) {
    uint8_t scalar[32];
    rdg_sm2_key_t *key = NULL;
    rdg_random_fill(rdg_test_random(), scalar, sizeof scalar);
    scalar[0] &= 0x7f;
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &key));
    return key;
}

bool test_same_key(const rdg_sm2_key_t *a, const rdg_sm2_key_t *b) {
    uint8_t x[32], y[32];
    CHECK_OK(rdg_sm2_key_scalar(a, x));
    CHECK_OK(rdg_sm2_key_scalar(b, y));
    return memcmp(x, y, 32) == 0 && memcmp(a->public_key.b, b->public_key.b, 64) == 0;
}
