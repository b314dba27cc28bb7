/* GnuTLS is there because libmicrohttpd is linked to it; nothing in this program speaks TLS by it: the local interface is
 * plain HTTP, the link's TLCP our own. Its start alone (constructor, then MHD_init: self-tests, p11-kit, tables) took 0.8 MB
 * of the 12 MB that an agent may have. What is defined here is found before the library's own: the first is what
 * GNUTLS_SKIP_GLOBAL_INIT of gnutls.h defines, the others are all that libmicrohttpd calls of it without a daemon that has
 * MHD_USE_TLS. Whoever gives the agent one removes this file. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int _gnutls_global_init_skip(void); /* NOLINT(bugprone-reserved-identifier): theirs */
EXPORTED int gnutls_global_init(void);
EXPORTED void gnutls_global_deinit(void);

int _gnutls_global_init_skip(void) { /* NOLINT(bugprone-reserved-identifier) */
    return 1;
}

int gnutls_global_init(void) {
    return 0;
}

void gnutls_global_deinit(void) {}
