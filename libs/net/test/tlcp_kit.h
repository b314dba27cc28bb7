/* Certificates and identities for tests of links. */
#ifndef RIDGE_NET_TEST_TLCP_KIT_H
#define RIDGE_NET_TEST_TLCP_KIT_H
#include "ridge/crypto/cert_issue.h"
#include "ridge/net/loop.h"
#include "ridge/net/tlcp_identity.h"
#include "ridge/test.h"

typedef struct tlcp_kit {
    rdg_sm2_key_t *root_key;
    rdg_cert_t *root;
} tlcp_kit_t;

void tlcp_kit_make(tlcp_kit_t *k);
void tlcp_kit_free(tlcp_kit_t *k);
/* An identity whose two certificates have this name; valid from an hour ago for `life_s` from then on. */
rdg_tlcp_identity_t *tlcp_kit_identity(const tlcp_kit_t *k, const char *name, int64_t life_s);
rdg_tlcp_identity_t *tlcp_kit_identity_keeping(const tlcp_kit_t *k, const char *name, int64_t life_s,
                                               size_t sessions);
/* The root is sent along, for peers that know its fingerprint. */
rdg_tlcp_identity_t *tlcp_kit_identity_with_root(const tlcp_kit_t *k, const char *name, int64_t life_s);
rdg_tlcp_identity_t *tlcp_kit_bare(const tlcp_kit_t *k); /* trusts the root and is nobody */
void tlcp_kit_turn(rdg_loop_t *l);                       /* the loop handles what is ready, once */

#endif
