/* Acts of succession: whatever is judged sound is signed by enough of the administrators that it proves, and takes one more
 * signature without changing what it says. Input: the act; the chain is that of the corpus. */
#include "ridge/ledger/succession.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/codec/rlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_genesis_t g;
    static rdg_succession_report_t r;
    static rdg_succession_t s;
    static const rdg_sm2_public_t key = {{1}};
    static const rdg_sm2_signature_t signature = {{2}};
    rdg_bytes_t act = rdg_bytes(data, size);
    rdg_hash_t before, after;
    rdg_buf_t more;
    if (rdg_succession_digest(act, &before) != RDG_OK) return 0;
    /* The chain that it says it is of, so that what lies behind that question is reached. */
    rdg_rlp_t outer, list, body;
    rdg_rlp_init(&outer, act);
    rdg_rlp_list(&outer, &list);
    rdg_rlp_list(&list, &body);
    (void)rdg_rlp_u64(&body);
    memset(&g, 0, sizeof g);
    g.validators.chain_id = rdg_rlp_u64(&body);
    rdg_rlp_fixed(&body, g.hash.b, sizeof g.hash.b);
    bool sound = rdg_succession_check(act, &g, &r) == RDG_OK;
    if ((rdg_succession_check(act, NULL, &r) == RDG_OK) != sound) abort();
    if (rdg_succession_verify(act, &g, &s) == RDG_OK &&
        (!sound || r.signer_count < r.threshold || r.threshold == 0 || s.epoch.first_height != s.height + 1))
        abort();
    rdg_buf_init(&more, RDG_SUCCESSION_BYTES_MAX + 256);
    if (rdg_succession_add(act, &key, &signature, &more) == RDG_OK && size < RDG_SUCCESSION_BYTES_MAX - 256) {
        if (rdg_succession_digest(rdg_buf_view(&more), &after) != RDG_OK || !rdg_hash_equal(&before, &after))
            abort();
    }
    rdg_buf_fini(&more);
    return 0;
}
