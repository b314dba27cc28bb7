#define LANES 8
#define MIX rdg_sm3_mix_8_generic
#include "sm3_lanes_body.h"
