/* Whether an image may be unpacked and run here (ridge/image/trust.h), and the signatures that say so.
 *
 * A signature that was found good is kept in <root>/signatures, one file for each reference and manifest ("RECORD-HEX": image_record_name, the manifest's digest), written
 * before the reference's record: so what was admitted once can be asked again without a registry, by whatever list of
 * trust there is then. The layers that a signature covers by way of the manifest were compared with their digests
 * when they were unpacked; they are not compared again. */
#ifndef RIDGE_CONTAINER_IMAGE_TRUST_H
#define RIDGE_CONTAINER_IMAGE_TRUST_H
#include "image.h"
#include "ridge/image/trust.h"

/* What an image is judged by. */
typedef struct image_judge {
    const char *root, *reference;
    const image_ref_t *ref;
    const rdg_image_trust_t *trust; /* NULL: nothing is asked */
} image_judge_t;

/* *out NULL when file is NULL. FORBIDDEN: the file is not there yet, with the remedy. Returns owned (rdg_free). */
rdg_err_t image_trust_load(const char *file, rdg_image_trust_t **out);
/* By the signature that was kept. FORBIDDEN: there is none, or what rdg_image_trust_judge says. */
rdg_err_t image_admit_stored(const image_judge_t *j, const image_t *image);
/* The same; failing that, by those in the registry, of which the first good one is kept. Up to
 * IMAGE_SIGNATURES_MAX are looked at. Also what blob and manifest fetching return. */
rdg_err_t image_admit(const image_judge_t *j, const image_t *image, rdg_http_client_t *http);
/* The reference has another manifest now. */
void image_signature_drop(const char *root, const char *reference, const char *digest);

#define IMAGE_SIGNATURES_MAX 32

#endif
