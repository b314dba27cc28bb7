/* One case: its setting up with public data, then the operation on marked secrets. Each runs in a process of
 * its own under valgrind (tests/suites.d/ctime); an error of memcheck is a leak. Planted ones must be found. */
#ifndef RIDGE_CTIME_CTIME_H
#define RIDGE_CTIME_CTIME_H
#include "ridge/base/error.h"
#include "ridge/base/secret.h"

typedef struct ctime_case {
    const char *name;
    void (*run)(void);
} ctime_case_t;

extern const ctime_case_t ctime_crypto[], ctime_tlcp[], ctime_planted[]; /* end with a NULL name */

/* Ends the process when what must hold does not. */
void ctime_must(int condition, const char *what);
#define MUST(condition) ctime_must(condition, #condition)

#endif
