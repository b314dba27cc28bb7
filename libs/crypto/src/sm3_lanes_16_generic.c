#define LANES 16
#define MIX rdg_sm3_mix_16_generic
#include "sm3_lanes_body.h"
