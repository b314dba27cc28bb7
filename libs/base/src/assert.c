#include "ridge/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void rdg_assert_fail(const char *cond, const char *file, int line) {
    char text[512];
    int len = snprintf(text, sizeof text,
                       "{\"level\":\"error\",\"event\":\"base.assert\",\"cond\":\"%s\",\"at\":\"%s:%d\"}\n",
                       cond, file, line);
    if (len > 0 && write(2, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1) < 0) _exit(134);
    abort();
}
