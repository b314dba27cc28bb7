#if defined(__x86_64__)
#define SUM_LANES rdg_sm2_sum_lanes_ifma
#include "sm2_lanes_body.h"
#else
typedef int rdg_sm2_lanes_none_t; /* a file may not be empty */
#endif
