#include <string.h>
#include "governance.h"

/* One "type name" of the list. */
static json_t *param_json(const char *text, size_t len) {
    const char *space = memchr(text, ' ', len);
    size_t type = (size_t)(space - text);
    return json_pack("{s:s%, s:s%}", "type", text, type, "name", space + 1, len - type - 1);
}

json_t *governance_params_json(const char *text) {
    json_t *list = json_array();
    while (list && *text) {
        size_t len = strcspn(text, ",");
        if (json_array_append_new(list, param_json(text, len)) != 0) {
            json_decref(list);
            return NULL;
        }
        text += len + (text[len] == ',');
    }
    return list;
}
