/* The cloud's end of a device's link: TLCP, a tunnel, and two services. Devices are not looked at: the platform's
 * gateway is tested with the platform. */
#ifndef RIDGE_AGENT_TEST_FAKE_GATEWAY_H
#define RIDGE_AGENT_TEST_FAKE_GATEWAY_H
#include "ridge/test_ca.h"

typedef struct fake_gateway fake_gateway_t;

/* enrol, mqtt: ports on loopback. */
fake_gateway_t *fake_gateway_start(const rdg_test_ca_t *ca, uint16_t enrol, uint16_t mqtt);
uint16_t fake_gateway_port(const fake_gateway_t *g);
/* Since the start: links with and without a device's certificate. */
unsigned fake_gateway_devices(const fake_gateway_t *g);
unsigned fake_gateway_strangers(const fake_gateway_t *g);
unsigned fake_gateway_resumed(const fake_gateway_t *g); /* links whose TLCP session went on */
void fake_gateway_cut(fake_gateway_t *g);               /* closes every link */
void fake_gateway_stop(fake_gateway_t *g);

#endif
