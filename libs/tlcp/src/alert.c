#include "ridge/tlcp/alert.h"

const char *rdg_tlcp_alert_name(unsigned number) {
    switch (number) {
#define ALERT_CASE(name, value)                                                                              \
    case value: return #name;
        RDG_TLCP_ALERT_TABLE(ALERT_CASE)
#undef ALERT_CASE
    default: return "unknown";
    }
}
