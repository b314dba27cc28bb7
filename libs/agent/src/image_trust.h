/* Whose images this device runs (ridge/image/trust.h): <dir>/image-trust.json, which the oci driver reads.
 *
 * A list comes from the cloud as {"trust","signature","chain"}: the text, the issuing CA's signature over it, and the
 * chain of that CA. It is taken when the CA stands under the device's own root and the number is larger than that of
 * the list on disk; it is then kept as a state file (state_file.h), twice. A list that is damaged in both counts as none. What comes with an
 * enrolment is taken whatever its number: the directory may have belonged to another cloud before. */
#ifndef RIDGE_AGENT_IMAGE_TRUST_H
#define RIDGE_AGENT_IMAGE_TRUST_H
#include <limits.h>
#include "ridge/codec/json.h"

/* Its certificates must be installed. RDG_OK also for the same list again. STALE: an older one; BAD_SIGNATURE;
 * whatever rdg_cert_verify_ca says. */
rdg_err_t image_trust_take(const char *dir, const json_t *message, int64_t now_s, bool enrolment);
/* At the start, before the driver reads it: a damaged copy is written anew from the other. */
void image_trust_mend(const char *dir);
rdg_err_t image_trust_path(const char *dir, char out[PATH_MAX]);

#endif
