/* Whose images devices run (ridge/image/trust.h): the list that the administrator keeps, and the platform's own key.
 *
 * The platform is a signer like others, named "platform": its key is <data>/images.key, made at the first start, and
 * signs what --image brings in. A list is published (retained, topic cloud/image-trust) whenever it has changed, and
 * comes with each enrolment. Its number is the time in seconds, or one more than the last: it only grows, also after
 * the database was put back from a copy. */
#ifndef RIDGE_PLATFORM_IMAGE_TRUST_H
#define RIDGE_PLATFORM_IMAGE_TRUST_H
#include "internal.h"
#include "ridge/image/trust.h"

#define IMAGE_SIGNER_PLATFORM "platform"

rdg_err_t image_trust_open(rdg_platform_t *p); /* after the CA; makes key and list when they are not there */
void image_trust_close(rdg_platform_t *p);
/* {"trust","signature","chain"}, signed by the issuing CA; returns owned. */
rdg_err_t image_trust_message(rdg_platform_t *p, json_t **out);
void image_trust_tick(rdg_platform_t *p, bool connected,
                      bool again); /* again: the broker may have forgotten */
extern const rdg_service_route_t image_trust_routes[];
extern const size_t image_trust_route_count;

#endif
