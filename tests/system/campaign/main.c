#include "campaign.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/test.h"

/* test_ca.c ends a test with it; here it ends the program. */
void rdg_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "ridge-campaign: %s:%d: ", file, line);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void campaign_must(rdg_err_t err, const char *what) {
    if (err == RDG_OK) return;
    fprintf(stderr, "ridge-campaign: %s: %s\n", what, rdg_err_message(err));
    exit(1);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"make", campaign_make}, {"load", campaign_load}, {"dump", campaign_dump}};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; ++i)
        if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr, "usage: ridge-campaign make|load|dump [--help]\n");
    return 2;
}
