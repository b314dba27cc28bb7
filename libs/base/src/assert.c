#include "ridge/base/assert.h"
#include <stdlib.h>
#include <unistd.h>

typedef struct line {
    char text[768];
    size_t len;
} line_t;

static void put(line_t *l, char c) {
    if (l->len < sizeof l->text - 3) l->text[l->len++] = c;
}

static void put_escaped(line_t *l, const char *s) {
    for (; *s; ++s) {
        if (*s == '"' || *s == '\\') put(l, '\\');
        put(l, (unsigned char)*s < 0x20 ? ' ' : *s);
    }
}

static void put_text(line_t *l, const char *s) {
    for (; *s; ++s) put(l, *s);
}

void rdg_assert_fail(const char *cond, const char *file, int number) {
    line_t l = {.len = 0};
    char digits[12];
    size_t n = sizeof digits;
    digits[--n] = 0;
    do digits[--n] = (char)('0' + number % 10), number /= 10;
    while (number > 0 && n > 0);
    put_text(&l, "{\"level\":\"fatal\",\"event\":\"assert\",\"file\":\"");
    put_escaped(&l, file);
    put_text(&l, "\",\"line\":");
    put_text(&l, digits + n);
    put_text(&l, ",\"condition\":\"");
    put_escaped(&l, cond);
    l.text[l.len++] = '"', l.text[l.len++] = '}', l.text[l.len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, l.text, l.len);
    (void)ignored;
    abort();
}
