/* What the parts of the image service share. */
#ifndef RIDGE_PLATFORM_IMAGES_INTERNAL_H
#define RIDGE_PLATFORM_IMAGES_INTERNAL_H
#include "ridge/platform/images.h"

struct rdg_images {
    rdg_registry_t *registry;
    rdg_service_t *users;     /* whose tokens count */
    rdg_platform_t *platform; /* whose devices are; NULL: not known */
};

/* What an image says of itself: its manifest's annotations, or else its configuration's labels, and the configuration.
 * reference: tag or digest. Returns owned. NOT_FOUND. */
rdg_err_t image_form(rdg_registry_t *r, const char *name, const char *reference, json_t **out);

bool images_of_tenant(const char *repository, const char *tenant); /* TENANT/…; "": all are the cloud's */

extern const rdg_service_route_t image_routes[];
extern const size_t image_route_count;

#endif
