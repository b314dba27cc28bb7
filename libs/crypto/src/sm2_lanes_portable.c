#define SUM_LANES rdg_sm2_sum_lanes_portable
#include "sm2_lanes_body.h"
