/* A platform with its own mosquitto behind a REST service, and devices that speak MQTT as agents do. */
#ifndef PLATFORM_TEST_KIT_H
#define PLATFORM_TEST_KIT_H
#include "internal.h"
#include "ridge/crypto/cert_request.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"

typedef struct kit {
    rdg_platform_t *platform;
    rdg_service_t *service;
    rdg_http_client_t *http;
    rdg_access_t *access;
} kit_t;

void kit_open(kit_t *k); /* in the test's directory: a second open after a close finds the same data */
void kit_open_with(kit_t *k, const rdg_platform_options_t *o);
void kit_open_at(kit_t *k, const rdg_platform_options_t *o,
                 const rdg_clock_t *clock); /* of its limits; borrowed */
void kit_close(kit_t *k);
/* Returns the status. *answer is owned, NULL if there is none; answer may be NULL. */
unsigned kit_call(kit_t *k, const char *method, const char *path, const char *body, json_t **answer);
/* The same as the holder of another token. */
unsigned kit_call_as(kit_t *k, const char *token, const char *method, const char *path, const char *body,
                     json_t **answer);
/* The same without the token. */
unsigned kit_call_public(kit_t *k, const char *method, const char *path, const char *body, json_t **answer);
const char *kit_text(const json_t *o, const char *field); /* "" if absent */
const char *kit_error(const json_t *answer, const char *field);
void kit_token(kit_t *k, char out[128]);

typedef struct fake {
    char name[65], url[128], password[128];
    char group[65]; /* for which it was prepared; "": any */
    rdg_sm2_key_t *key, *enc_key;
    json_t *certificates;                            /* of the last enrolment */
    json_t *got_certificates, *got_list, *got_trust; /* the last that came by MQTT; under the lock */
    rdg_mqtt_t *mqtt;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned commands;      /* deliveries */
    unsigned acks;          /* telemetry records that the cloud says it has */
    char last_command[65];  /* id */
    char taken[2048];       /* the ids in the order of their first delivery, each with a space behind it */
    bool connected, silent; /* silent: requests stay without an answer */
    bool finish;            /* answers each command with running and done */
} fake_t;

void fake_init(fake_t *f, const char *name);
/* Enrols with this token; returns the status, *answer owned if given. */
unsigned fake_enrol_with(kit_t *k, fake_t *f, const char *token, const char *sign_request,
                         const char *enc_request, json_t **answer);
char *fake_request(const rdg_sm2_key_t *key, const char *name); /* PEM; owned */
/* The body of POST /enrol; owned. */
char *fake_enrolment(const fake_t *f, const char *token, const char *sign_request, const char *enc_request);
void fake_digest(const char *text, char out[65]);
void fake_sign(const rdg_sm2_key_t *key, const char *text, char out[129]);
unsigned fake_enrol(kit_t *k, fake_t *f, const char *token, json_t **answer);
void fake_connect(kit_t *k,
                  fake_t *f);    /* enrolled by kit_token when it was not; waits until the platform sees it */
void fake_disconnect(fake_t *f); /* says offline first */
void fake_fini(fake_t *f);
void fake_publish(fake_t *f, const char *kind, const char *payload);
void fake_wait_taken(fake_t *f, const char *id); /* first delivered by now; fails after 15 s */
void fake_publish_bytes(fake_t *f, const char *kind, rdg_bytes_t payload);
void fake_wait_acks(fake_t *f, unsigned count);     /* of telemetry; fails after 15 s */
void fake_wait_commands(fake_t *f, unsigned count); /* fails after 10 s */
void kit_pause(void);                               /* between two looks at what somebody else changes */
void kit_wait_state(kit_t *k, const char *command, const char *state);
void kit_wait_online(kit_t *k, const char *device, bool online);

#endif
