#if defined(__x86_64__)
#define LANES 8
#define MIX rdg_sm3_mix_8_avx2
#include "sm3_lanes_body.h"
#else
typedef int rdg_sm3_lanes_none_t; /* a file may not be empty */
#endif
