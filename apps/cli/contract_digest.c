/* What administrators approve where a chain takes approved code only: the SM3 digest of init code with its arguments. */
#include <stdio.h>
#include <string.h>
#include "contract_cli.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

#define INIT_CODE_MAX (2u << 20)

/* Bytecode in hexadecimal, then the arguments as the constructor takes them. */
static rdg_err_t init_code(const json_t *body, rdg_buf_t *out) {
    const json_t *entry = NULL, *args = json_object_get(body, "args");
    const char *hex = json_string_value(json_object_get(body, "bytecode"));
    if (!hex) return rdg_fail(RDG_E_INVALID, "bytecode: want hexadecimal");
    RDG_TRY(rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), out), "bytecode"));
    if (out->len == 0) return rdg_fail(RDG_E_INVALID, "bytecode: it is empty, as that of an interface is");
    RDG_TRY(rdg_abi_find(json_object_get(body, "abi"), "constructor", NULL, json_array_size(args), &entry));
    return rdg_fail_in(rdg_abi_encode_call(entry, args, rdg_keccak256, out), "constructor");
}

rdg_err_t contract_digest(const json_t *body, char out[CONTRACT_DIGEST_SIZE]) {
    rdg_buf_t code;
    rdg_hash_t digest;
    rdg_buf_init(&code, INIT_CODE_MAX);
    rdg_err_t err = init_code(body, &code);
    if (err == RDG_OK) {
        rdg_sm3(code.data, code.len, &digest);
        memcpy(out, "0x", 2);
        rdg_hex_encode(digest.b, sizeof digest.b, out + 2);
    }
    rdg_buf_fini(&code);
    return err;
}

rdg_err_t contract_show_digest(cli_t *cli) {
    char digest[CONTRACT_DIGEST_SIZE];
    json_t *body = json_pack("{s:o}", "args", contract_args(cli, 0));
    rdg_err_t err = contract_read(cli, body);
    if (err == RDG_OK) err = contract_digest(body, digest);
    json_decref(body);
    if (err != RDG_OK) return err;
    if (cli->json) {
        json_t *answer = json_pack("{s:s}", "digest", digest);
        out_json(answer);
        json_decref(answer);
    } else {
        printf("%s\n", digest);
    }
    return RDG_OK;
}
