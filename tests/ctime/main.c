/* ctime CASE, or ctime --list: "clean NAME" or "planted NAME" a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctime.h"

void ctime_must(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "ctime: does not hold: %s\n", what);
    exit(3);
}

static int list(const ctime_case_t *cases, const char *kind, const char *wanted) {
    for (; cases->name; cases++) {
        if (!wanted) printf("%s %s\n", kind, cases->name);
        if (wanted && strcmp(wanted, cases->name) == 0) return cases->run(), 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *wanted = argc == 2 && strcmp(argv[1], "--list") != 0 ? argv[1] : NULL;
    int found = list(ctime_crypto, "clean", wanted) || list(ctime_tlcp, "clean", wanted) ||
                list(ctime_planted, "planted", wanted);
    return wanted && !found ? 2 : 0;
}
