/* Matching of a path against a pattern with {parameters}. */
#ifndef RIDGE_SERVICE_ROUTE_H
#define RIDGE_SERVICE_ROUTE_H
#include <stdbool.h>
#include "ridge/service/service.h"

/* True if every segment fits; then the parameters are in call. A parameter takes one non-empty segment. */
bool rdg_route_match(const char *pattern, const char *path, rdg_service_call_t *call);

#endif
