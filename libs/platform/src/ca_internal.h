/* What the files of the CA share. */
#ifndef RIDGE_PLATFORM_CA_INTERNAL_H
#define RIDGE_PLATFORM_CA_INTERNAL_H
#include <pthread.h>
#include "ca.h"

struct ca {
    rdg_sql_t *db;
    const rdg_clock_t *clock;
    int64_t life_s, skew_s;
    authority_t authority;
    char fingerprint[65], issuer[65]; /* SM3 of the root; of the issuing key */
    rdg_buf_t root_pem, chain_pem;
    pthread_mutex_t lock; /* crl */
    rdg_crl_t *crl;
};

/* "<device>" or "<device>.<chain>" */
void ca_name(const char *device, const char *chain, char out[RDG_CERT_DNS_MAX]);
/* In the transaction that is open: the next list, with what is revoked by now. */
rdg_err_t ca_crl_make(ca_t *ca, rdg_crl_t **out);
void ca_crl_take(ca_t *ca, rdg_crl_t *crl); /* takes; after the commit */
rdg_err_t ca_crl_load(ca_t *ca);
static inline int64_t ca_now_ms(const ca_t *ca) {
    return (int64_t)rdg_wall_ms(ca->clock);
}

#endif
