#include <stdio.h>
#include <string.h>
#include <time.h>

#include "keys.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/cert_text.h"
#include "ridge/crypto/crl.h"

#define CERTS_MAX 16

typedef struct certs {
    rdg_cert_t *list[CERTS_MAX];
    size_t count;
} certs_t;

static void drop(certs_t *c) {
    for (size_t i = 0; i < c->count; i++) rdg_cert_free(c->list[i]);
    c->count = 0;
}

static rdg_err_t load(const char *path, certs_t *out) {
    return cli_certs(path, out->list, CERTS_MAX, &out->count);
}

static rdg_err_t put_name(json_t *o, const char *field, const rdg_cert_t *cert,
                          rdg_err_t (*text)(const rdg_cert_t *cert, rdg_buf_t *out)) {
    rdg_buf_t b;
    rdg_buf_init(&b, 2 * RDG_CERT_TEXT_MAX);
    rdg_err_t err = text(cert, &b);
    if (err == RDG_OK && json_object_set_new(o, field, json_stringn((const char *)b.data, b.len)) != 0)
        err = rdg_fail(RDG_E_MALFORMED, "certificate: its %s is no text", field);
    rdg_buf_fini(&b);
    return err;
}

static void put_time(json_t *o, const char *field, int64_t seconds) {
    char text[25] = "-";
    if (seconds >= 0) rdg_time_format((uint64_t)seconds * 1000, text);
    json_object_set_new(o, field, json_string(text));
}

static void append_name(void *list, const char *name) {
    json_array_append_new(list, json_string(name));
}

static rdg_err_t describe(const rdg_cert_t *cert, json_t *o) {
    char serial[RDG_CERT_SERIAL_MAX], hex[2 * RDG_HASH_BYTES + 1];
    rdg_hash_t fingerprint;
    json_t *names = json_array(), *usages = json_array();
    json_object_set_new(o, "names", names);
    json_object_set_new(o, "usages", usages);
    RDG_TRY(put_name(o, "subject", cert, rdg_cert_subject_text));
    RDG_TRY(put_name(o, "issuer", cert, rdg_cert_issuer_text));
    RDG_TRY(rdg_cert_each_name(cert, append_name, names));
    for (size_t i = 0; i < RDG_CERT_USAGES; i++)
        if (rdg_cert_usage(cert, i)) append_name(usages, rdg_cert_usage(cert, i));
    rdg_cert_serial(cert, serial);
    rdg_cert_fingerprint(cert, &fingerprint);
    rdg_hex_encode(fingerprint.b, sizeof fingerprint.b, hex);
    json_object_set_new(o, "serial", json_string(serial));
    json_object_set_new(o, "version", json_integer(rdg_cert_version(cert)));
    put_time(o, "not_before", rdg_cert_not_before_s(cert));
    put_time(o, "not_after", rdg_cert_not_after_s(cert));
    json_object_set_new(o, "ca", json_boolean(rdg_cert_is_ca(cert)));
    if (rdg_cert_path_length(cert) >= 0)
        json_object_set_new(o, "path_length", json_integer(rdg_cert_path_length(cert)));
    json_object_set_new(o, "self_issued", json_boolean(rdg_cert_is_self_issued(cert)));
    json_object_set_new(o, "signature", json_string("SM2 with SM3"));
    json_object_set_new(o, "fingerprint_sm3", json_string(hex));
    cli_put_public(o, rdg_cert_public(cert));
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    certs_t certs = {.count = 0};
    json_t *list = json_array(), *o;
    size_t i;
    rdg_err_t err = load(cli->args[0], &certs);
    for (i = 0; err == RDG_OK && i < certs.count; i++) {
        json_array_append_new(list, json_object());
        err = describe(certs.list[i], json_array_get(list, i));
    }
    drop(&certs);
    if (err == RDG_OK && cli->json) {
        json_t *whole = json_pack("{s:O}", "certificates", list);
        out_json(whole);
        json_decref(whole);
    } else if (err == RDG_OK) {
        json_array_foreach(list, i, o) {
            if (i) printf("\n");
            out_fields(o, COLUMNS("Subject=subject", "Issuer=issuer", "Serial=serial",
                                  "Not before=not_before", "Not after=not_after", "Names=names",
                                  "Usages=usages", "CA=ca", "Path length=path_length",
                                  "Self-issued=self_issued", "Version=version", "Public key=public_key",
                                  "Address=address", "Signature=signature", "Fingerprint=fingerprint_sm3"));
        }
    }
    json_decref(list);
    return err;
}

/* Seconds since 1970, or "2026-11-21T10:00:00Z". */
static rdg_err_t parse_time(const char *text, int64_t *out) {
    struct tm tm = {0};
    uint64_t seconds;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (end && !*end) {
        *out = (int64_t)timegm(&tm);
        return RDG_OK;
    }
    if (rdg_parse_u64(text, &seconds) != RDG_OK || seconds > INT64_MAX / 1000)
        return rdg_fail(RDG_E_INVALID, "--at %.40s: take 2026-11-21T10:00:00Z, or seconds since 1970", text);
    *out = (int64_t)seconds;
    return RDG_OK;
}

static rdg_err_t read_crl(const char *path, rdg_crl_t **out) {
    rdg_buf_t text;
    RDG_TRY(cli_read(path, RDG_CRL_PEM_MAX, &text));
    bool der = text.len && text.data[0] == 0x30;
    rdg_err_t err =
        der ? rdg_crl_parse(rdg_buf_view(&text), out) : rdg_crl_parse_pem(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "%s", path);
}

/* The list counts only if one of the issuers at hand made it and it is in force. */
static rdg_err_t check_crl(const rdg_crl_t *crl, const certs_t *leaf, const certs_t *chain,
                           const certs_t *roots, int64_t at_s) {
    const certs_t *sets[] = {leaf, chain, roots};
    rdg_err_t made = RDG_E_NOT_FOUND;
    for (size_t s = 0; s < 3 && made != RDG_OK; s++)
        for (size_t i = 0; i < sets[s]->count && made != RDG_OK; i++)
            if (rdg_cert_may_issue(sets[s]->list[i])) made = rdg_crl_verify(crl, sets[s]->list[i]);
    if (made != RDG_OK)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "revocation list: none of the CAs at hand made it");
    RDG_TRY(rdg_fail_in(rdg_crl_check_time(crl, at_s), "revocation list"));
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sets[s]->count; i++) {
            char name[RDG_CERT_NAME_MAX];
            if (!rdg_crl_contains(crl, sets[s]->list[i])) continue;
            rdg_cert_common_name(sets[s]->list[i], name, sizeof name);
            return rdg_fail(RDG_E_FORBIDDEN, "certificate '%s': it is revoked", name);
        }
    }
    return RDG_OK;
}

static rdg_err_t check_chain(const cli_t *cli, const certs_t *leaf, const certs_t *chain,
                             const certs_t *roots, int64_t at_s) {
    const char *use = cli_flag(cli, "use", NULL);
    const rdg_cert_t *others[2 * CERTS_MAX], *trusted[CERTS_MAX], *first = leaf->list[0];
    size_t count = 0;
    for (size_t i = 1; i < leaf->count; i++) others[count++] = leaf->list[i];
    for (size_t i = 0; i < chain->count; i++) others[count++] = chain->list[i];
    for (size_t i = 0; i < roots->count; i++) trusted[i] = roots->list[i];
    if (use && strcmp(use, "ca") == 0)
        return rdg_cert_verify_ca(first, others, count, trusted, roots->count, at_s);
    if (use && strcmp(use, "sign") != 0 && strcmp(use, "encrypt") != 0)
        return rdg_fail(RDG_E_INVALID, "--use %.40s: take sign, encrypt or ca", use);
    bool sign = use ? strcmp(use, "sign") == 0 : rdg_cert_allows(first, RDG_CERT_SIGN);
    return rdg_cert_verify(first, sign ? RDG_CERT_SIGN : RDG_CERT_ENCRYPT, others, count, trusted,
                           roots->count, at_s);
}

static rdg_err_t check_all(const cli_t *cli, const certs_t *leaf, const certs_t *chain, const certs_t *roots,
                           const rdg_crl_t *crl) {
    const char *name = cli_flag(cli, "name", NULL), *at = cli_flag(cli, "at", NULL);
    int64_t at_s = (int64_t)time(NULL);
    if (at) RDG_TRY(parse_time(at, &at_s));
    RDG_TRY(check_chain(cli, leaf, chain, roots, at_s));
    if (crl) RDG_TRY(check_crl(crl, leaf, chain, roots, at_s));
    if (name && !rdg_cert_has_name(leaf->list[0], name))
        return rdg_fail(RDG_E_FORBIDDEN, "the certificate is not for the name '%.200s'", name);
    return RDG_OK;
}

static void tell(const cli_t *cli, rdg_err_t err) {
    if (!cli->json && err == RDG_OK) printf("%s: verified\n", cli->args[0]);
    if (!cli->json) return;
    json_t *o = json_pack("{s:b}", "verified", err == RDG_OK);
    if (err != RDG_OK) {
        json_object_set_new(o, "code", json_string(rdg_err_name(err)));
        json_object_set_new(o, "reason", json_string(rdg_err_message(err)));
    }
    out_json(o);
    json_decref(o);
}

static rdg_err_t verify(cli_t *cli) {
    const char *root = cli_flag(cli, "root", NULL), *more = cli_flag(cli, "chain", NULL),
               *list = cli_flag(cli, "crl", NULL);
    certs_t leaf = {.count = 0}, chain = {.count = 0}, roots = {.count = 0};
    rdg_crl_t *crl = NULL;
    if (!root) return rdg_fail(RDG_E_INVALID, "give --root FILE: whom to trust is yours to say");
    rdg_err_t err = load(cli->args[0], &leaf);
    if (err == RDG_OK) err = load(root, &roots);
    if (err == RDG_OK && more) err = load(more, &chain);
    if (err == RDG_OK && list) err = read_crl(list, &crl);
    if (err == RDG_OK) {
        err = check_all(cli, &leaf, &chain, &roots, crl);
        tell(cli, err);
    }
    rdg_crl_free(crl);
    drop(&leaf), drop(&chain), drop(&roots);
    return err;
}

const command_t cert_commands[] = {
    {"cert",
     "show",
     "FILE",
     "what a certificate, or each of several, says (- is standard input)",
     1,
     1,
     show,
     {{0}}},
    {"cert",
     "verify",
     "FILE",
     "whether a certificate is good under a root; further ones in FILE fill the chain",
     1,
     1,
     verify,
     {{"root", "FILE", "the roots to trust (required)"},
      {"chain", "FILE", "certificates between it and a root"},
      {"crl", "FILE", "a revocation list that one of these CAs made"},
      {"use", "USE", "sign, encrypt or ca (default: what its key usage says)"},
      {"at", "TIME", "at this time, as 2026-11-21T10:00:00Z (default: now)"},
      {"name", "NAME", "also that it is for this name"},
      {0}}},
    {0},
};
