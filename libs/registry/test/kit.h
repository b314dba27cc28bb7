/* A registry over HTTP, and the steps that most tests take. */
#ifndef RIDGE_REGISTRY_TEST_KIT_H
#define RIDGE_REGISTRY_TEST_KIT_H
#include "http.h"
#include "internal.h"
#include "ridge/test.h"

typedef struct kit {
    rdg_registry_t *registry;
    rdg_http_server_t *server;
    rdg_registry_options_t options; /* dir is the test's; set the others before kit_start */
    rdg_clock_manual_t clock;       /* used if options.clock points at it */
    char dir[300];
    uint16_t port;
    reply_t got;
} kit_t;

void kit_init(kit_t *k); /* nothing runs yet; collecting only when asked */
void kit_start(kit_t *k);
void kit_stop(kit_t *k);
void kit_fini(kit_t *k); /* and looks that no memory is left */

/* The last answer is in k->got until the next call. */
unsigned ask(kit_t *k, const char *method, const char *path, const char *headers, rdg_bytes_t body);
unsigned get(kit_t *k, const char *path);
__attribute__((format(printf, 4, 5))) unsigned askf(kit_t *k, const char *method, rdg_bytes_t body,
                                                    const char *path, ...);
const char *header(const kit_t *k, const char *name);
void check_code(const kit_t *k, const char *code); /* of the error that was answered */
void check_body(const kit_t *k, rdg_bytes_t want);

/* A body of pseudo-random bytes; owned by the caller (rdg_free). */
uint8_t *noise(size_t len, uint64_t seed);
void digest_text(rdg_bytes_t bytes, char out[DIGEST_TEXT]);
/* By POST alone; the digest goes to out. */
void push_blob(kit_t *k, const char *repo, rdg_bytes_t bytes, char out[DIGEST_TEXT]);
/* An image of one small layer, pushed and tagged; layer and digest may be NULL. */
void push_image(kit_t *k, const char *repo, const char *tag, uint64_t seed, char layer[DIGEST_TEXT],
                char digest[DIGEST_TEXT]);
/* Text of a manifest with this config and layer, into out. */
void manifest_text(const char *config, uint64_t config_size, const char *layer, uint64_t layer_size,
                   const char *more, char *out, size_t size);
/* A new upload: its path, borrowed until the next call. */
const char *begin_upload(kit_t *k, const char *repo);

#endif
