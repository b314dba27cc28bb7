/* Marks for the constant-time tests (docs/crypto.md): under valgrind's memcheck "undefined" stands for
 * "secret", so that a branch, an address or a length that depends on a secret is reported as an error.
 *
 * RDG_SECRET marks memory as secret; only tests do. RDG_PUBLIC marks as public what was made from a secret and
 * may be known: a verdict, a public key, a signature. Each use of it in the libraries is a claim that a reviewer
 * should look at. Both are nothing unless the build has RIDGE_CTIME. */
#ifndef RIDGE_BASE_SECRET_H
#define RIDGE_BASE_SECRET_H
#include <stddef.h>

#ifdef RIDGE_CTIME
#include <valgrind/memcheck.h>
#define RDG_SECRET(p, size) ((void)VALGRIND_MAKE_MEM_UNDEFINED(p, size))
#define RDG_PUBLIC(p, size) ((void)VALGRIND_MAKE_MEM_DEFINED(p, size))
#else
#define RDG_SECRET(p, size) ((void)(p))
#define RDG_PUBLIC(p, size) ((void)(p))
#endif

/* v, of which the compiler knows nothing from here on: it can neither turn a mask that was made from it into a
 * branch nor count a loop by it. */
static inline size_t rdg_opaque(size_t v) {
    __asm__("" : "+r"(v));
    return v;
}

#endif
