#include "ridge/net/address_ranges.h"
#include <arpa/inet.h>
#include <string.h>

#define ITEM_MAX (INET6_ADDRSTRLEN + 4) /* "/128" */

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits) {
    const unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0) return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool has_host_bits(const rdg_address_range_t *r) {
    for (unsigned i = r->bits; i < r->len * 8; ++i)
        if (r->bytes[i / 8] & (0x80u >> (i % 8))) return true;
    return false;
}

/* Decimal digits alone, without a leading zero. */
static bool read_bits(const char *text, unsigned max, unsigned *out) {
    const size_t len = strlen(text);
    unsigned n = 0;
    if (len == 0 || len > 3 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1)) return false;
    for (const char *c = text; *c; ++c) n = n * 10 + (unsigned)(*c - '0');
    *out = n;
    return n <= max;
}

/* item is taken apart in place. */
static bool read_range(char *item, rdg_address_range_t *out) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char *slash = strchr(item, '/');
    memset(out, 0, sizeof *out);
    if (!slash) return false;
    *slash = '\0';
    if (inet_pton(AF_INET, item, out->bytes) == 1)
        out->len = 4;
    else if (inet_pton(AF_INET6, item, out->bytes) == 1 && memcmp(out->bytes, mapped, sizeof mapped) != 0)
        out->len = 16;
    return out->len > 0 && read_bits(slash + 1, out->len * 8, &out->bits) && !has_host_bits(out);
}

static rdg_err_t parse(const char *setting, const char *text, rdg_address_ranges_t *out) {
    char item[ITEM_MAX + 1];
    for (const char *at = text;; ++at) {
        const size_t len = strcspn(at, ",");
        if (out->count == RDG_ADDRESS_RANGES_MAX)
            return rdg_fail(RDG_E_FULL, "%s: %d ranges at most", setting, RDG_ADDRESS_RANGES_MAX);
        if (len < sizeof item) {
            memcpy(item, at, len);
            item[len] = '\0';
        }
        if (len >= sizeof item || !read_range(item, &out->list[out->count]))
            return rdg_fail(RDG_E_INVALID,
                            "%s: '%.*s' is no range of addresses: want ADDRESS/BITS with commas between, as "
                            "10.20.0.0/16 or fd12:3456::/48, and no bits of the address behind BITS",
                            setting, len < 64 ? (int)len : 64, at);
        ++out->count;
        at += len;
        if (!*at) return RDG_OK;
    }
}

rdg_err_t rdg_address_ranges_parse(const char *setting, const char *text, rdg_address_ranges_t *out) {
    memset(out, 0, sizeof *out);
    out->setting = setting;
    if (!text || !*text) return RDG_OK;
    rdg_err_t err = parse(setting, text, out);
    if (err != RDG_OK) out->count = 0;
    return err;
}

bool rdg_address_ranges_have(const rdg_address_ranges_t *r, rdg_bytes_t address) {
    for (size_t i = 0; i < r->count; ++i)
        if (r->list[i].len == address.len && same_prefix(r->list[i].bytes, address.data, r->list[i].bits))
            return true;
    return false;
}
