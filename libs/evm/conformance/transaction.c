/* Ethereum's rules around a message: validity, fees, refunds (yellow paper 6; EIP-1559, 2930, 3529, 3607,
 * 3860, 4844). Ridge's own transactions have others; the state tests need these. */
#include <string.h>
#include "ridge/base/assert.h"
#include "state.h"

#define BLOB_GAS 131072
#define BLOBS_MAX 6
#define BLOB_FEE_FRACTION 3338477
#define ACCESS_ADDRESS_GAS 2400
#define ACCESS_KEY_GAS 1900

typedef struct transaction {
    rdg_address_t sender, to;
    bool is_create, has_blobs, value_fits;
    uint64_t nonce, gas, floor_gas;
    u256_t value, base_fee, price, max_price, priority, blob_fee, max_blob_fee;
    rdg_buf_t data;
    rdg_word_t blobs[16];
    size_t blob_count;
} transaction_t;

/* EIP-4844's fake_exponential. */
static u256_t blob_base_fee(uint64_t excess) {
    u256_t fraction = u256_from_u64(BLOB_FEE_FRACTION), e = u256_from_u64(excess), sum = {{0}};
    u256_t term = fraction;
    for (uint64_t i = 1; !u256_is_zero(&term); ++i) {
        sum = u256_add(&sum, &term);
        u256_t divisor = u256_from_u64(BLOB_FEE_FRACTION * i);
        term = u256_mul(&term, &e);
        term = u256_div(&term, &divisor);
    }
    return u256_div(&sum, &fraction);
}

static uint64_t warm_access_list(host_t *h, const json_t *list) {
    uint64_t gas = 0;
    size_t i, k;
    json_t *item, *key;
    json_array_foreach((json_t *)(uintptr_t)list, i, item) {
        rdg_address_t a = json_address(json_object_get(item, "address"));
        host_account(h, &a)->warm = true;
        gas += ACCESS_ADDRESS_GAS;
        json_array_foreach(json_object_get(item, "storageKeys"), k, key) {
            u256_t word = json_word(key);
            rdg_word_t w;
            u256_store(w.b, &word);
            host_slot(h, &a, &w)->warm = true;
            gas += ACCESS_KEY_GAS;
        }
    }
    return gas;
}

static void load(transaction_t *t, host_t *h, const json_t *env, const json_t *tx, const json_t *indexes) {
    size_t data = (size_t)json_integer_value(json_object_get(indexes, "data"));
    size_t gas = (size_t)json_integer_value(json_object_get(indexes, "gas"));
    size_t value = (size_t)json_integer_value(json_object_get(indexes, "value"));
    const char *to = json_string_value(json_object_get(tx, "to"));
    *t = (transaction_t){.sender = json_address(json_object_get(tx, "sender")),
                         .is_create = !to || !*to,
                         .nonce = json_u64(json_object_get(tx, "nonce")),
                         .gas = json_u64(json_array_get(json_object_get(tx, "gasLimit"), gas)),
                         .value = json_word(json_array_get(json_object_get(tx, "value"), value)),
                         .base_fee = json_word(json_object_get(env, "currentBaseFee"))};
    t->value_fits = json_fits_word(json_array_get(json_object_get(tx, "value"), value));
    if (!t->is_create) t->to = json_address(json_object_get(tx, "to"));
    rdg_buf_init(&t->data, 1u << 24);
    json_bytes(json_array_get(json_object_get(tx, "data"), data), &t->data);
    const json_t *price = json_object_get(tx, "gasPrice");
    t->max_price = json_word(price ? price : json_object_get(tx, "maxFeePerGas"));
    t->priority = price ? t->max_price : json_word(json_object_get(tx, "maxPriorityFeePerGas"));
    t->blob_fee = blob_base_fee(json_u64(json_object_get(env, "currentExcessBlobGas")));
    t->max_blob_fee = json_word(json_object_get(tx, "maxFeePerBlobGas"));
    const json_t *blobs = json_object_get(tx, "blobVersionedHashes");
    t->has_blobs = blobs != NULL;
    for (size_t i = 0; i < json_array_size(blobs) && i < 16; ++i) {
        u256_t hash = json_word(json_array_get(blobs, i));
        u256_store(t->blobs[t->blob_count++].b, &hash);
    }
    t->floor_gas = rdg_evm_intrinsic_gas(t->is_create, rdg_buf_view(&t->data));
    t->floor_gas += warm_access_list(h, json_array_get(json_object_get(tx, "accessLists"), data));
}

/* sum += a * b; false on overflow. */
static bool add_product(u256_t *sum, const u256_t *a, uint64_t b) {
    u256_t factor = u256_from_u64(b), product = u256_mul(a, &factor), back = {{0}};
    if (b) back = u256_div(&product, &factor);
    if (b && !u256_equal(&back, a)) return false;
    uint64_t carry;
    *sum = u256_add_carry(sum, &product, &carry);
    return carry == 0;
}

static bool can_pay(const transaction_t *t, const host_account_t *sender) {
    u256_t cost = t->value, have = u256_load(sender->balance.b);
    if (!add_product(&cost, &t->max_price, t->gas)) return false;
    if (!add_product(&cost, &t->max_blob_fee, BLOB_GAS * t->blob_count)) return false;
    return !u256_less(&have, &cost);
}

static bool is_valid(const transaction_t *t, const host_account_t *sender, const json_t *env,
                     rdg_evm_revision_t rev) {
    if (!t->value_fits || t->gas < t->floor_gas || t->gas > json_u64(json_object_get(env, "currentGasLimit")))
        return false;
    if (sender->nonce != t->nonce || t->nonce == UINT64_MAX || sender->code.len > 0) return false;
    if (u256_less(&t->max_price, &t->base_fee) || u256_less(&t->max_price, &t->priority)) return false;
    if (t->is_create && t->data.len > RDG_EVM_INITCODE_MAX) return false;
    if (t->has_blobs) {
        if (rev < RDG_EVM_CANCUN || t->is_create || t->blob_count == 0 || t->blob_count > BLOBS_MAX)
            return false;
        for (size_t i = 0; i < t->blob_count; ++i)
            if (t->blobs[i].b[0] != 1) return false;
        if (u256_less(&t->max_blob_fee, &t->blob_fee)) return false;
    }
    return can_pay(t, sender);
}

static void pay(host_account_t *a, const u256_t *price, uint64_t amount, bool take) {
    u256_t n = u256_from_u64(amount), sum = u256_mul(price, &n), balance = u256_load(a->balance.b);
    balance = take ? u256_sub(&balance, &sum) : u256_add(&balance, &sum);
    u256_store(a->balance.b, &balance);
}

static void execute(transaction_t *t, host_t *h, rdg_evm_t *vm, const rdg_evm_context_t *context) {
    rdg_evm_message_t msg = {.kind = t->is_create ? RDG_EVM_CREATE : RDG_EVM_CALL,
                             .sender = t->sender,
                             .recipient = t->to,
                             .code_address = t->to,
                             .nonce = t->nonce,
                             .gas = t->gas - t->floor_gas,
                             .input = rdg_buf_view(&t->data)};
    u256_store(msg.value.b, &t->value);
    rdg_evm_result_t result;
    RDG_ASSERT(rdg_evm_execute(vm, &h->vtable, h, context, &msg, &result) == RDG_OK);
    uint64_t used = t->gas - result.gas_left,
             refund = result.gas_refund > 0 ? (uint64_t)result.gas_refund : 0;
    if (refund > used / 5) refund = used / 5;
    used -= refund;
    pay(host_account(h, &t->sender), &t->price, t->gas - used, false);
    u256_t tip = u256_sub(&t->price, &t->base_fee);
    pay(host_account(h, &context->coinbase), &tip, used, false);
}

bool transaction_run(host_t *h, rdg_evm_t *vm, rdg_evm_revision_t revision, const json_t *env,
                     const json_t *tx, const json_t *indexes) {
    transaction_t t;
    host_begin_tx(h);
    load(&t, h, env, tx, indexes);
    host_account_t *sender = host_account(h, &t.sender);
    bool ok = is_valid(&t, sender, env, revision);
    if (ok) {
        u256_t room = u256_sub(&t.max_price, &t.base_fee);
        t.price = u256_less(&t.priority, &room) ? u256_add(&t.base_fee, &t.priority) : t.max_price;
        ++sender->nonce;
        pay(sender, &t.price, t.gas, true);
        pay(sender, &t.blob_fee, BLOB_GAS * t.blob_count, true);
        rdg_evm_context_t context = {.revision = revision,
                                     .origin = t.sender,
                                     .coinbase = json_address(json_object_get(env, "currentCoinbase")),
                                     .chain_id = word_of(1),
                                     .block_number = json_u64(json_object_get(env, "currentNumber")),
                                     .block_time_s = json_u64(json_object_get(env, "currentTimestamp")),
                                     .block_gas_limit = json_u64(json_object_get(env, "currentGasLimit")),
                                     .memory_max = UINT64_C(2) << 30, /* Ethereum has gas alone */
                                     .blob_hashes = t.blobs,
                                     .blob_hash_count = t.blob_count};
        u256_t random = json_word(json_object_get(env, "currentRandom"));
        u256_store(context.prevrandao.b, &random);
        u256_store(context.base_fee.b, &t.base_fee);
        u256_store(context.blob_base_fee.b, &t.blob_fee);
        u256_store(context.gas_price.b, &t.price);
        execute(&t, h, vm, &context);
    }
    rdg_buf_fini(&t.data);
    return ok;
}
