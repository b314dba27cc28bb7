/* The alerts of GB/T 38636-2020, 6.4.2: those of TLS 1.1 and the standard's own 200 to 205. */
#ifndef RIDGE_TLCP_ALERT_H
#define RIDGE_TLCP_ALERT_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number) */
#define RDG_TLCP_ALERT_TABLE(X)                                                                              \
    X(close_notify, 0)                                                                                       \
    X(unexpected_message, 10)                                                                                \
    X(bad_record_mac, 20)                                                                                    \
    X(decryption_failed, 21)                                                                                 \
    X(record_overflow, 22)                                                                                   \
    X(decompression_failure, 30)                                                                             \
    X(handshake_failure, 40)                                                                                 \
    X(no_certificate, 41)                                                                                    \
    X(bad_certificate, 42)                                                                                   \
    X(unsupported_certificate, 43)                                                                           \
    X(certificate_revoked, 44)                                                                               \
    X(certificate_expired, 45)                                                                               \
    X(certificate_unknown, 46)                                                                               \
    X(illegal_parameter, 47)                                                                                 \
    X(unknown_ca, 48)                                                                                        \
    X(access_denied, 49)                                                                                     \
    X(decode_error, 50)                                                                                      \
    X(decrypt_error, 51)                                                                                     \
    X(protocol_version, 70)                                                                                  \
    X(insufficient_security, 71)                                                                             \
    X(internal_error, 80)                                                                                    \
    X(user_canceled, 90)                                                                                     \
    X(no_renegotiation, 100)                                                                                 \
    X(unsupported_site2site, 200)                                                                            \
    X(no_area, 201)                                                                                          \
    X(unsupported_areatype, 202)                                                                             \
    X(bad_ibcparam, 203)                                                                                     \
    X(unsupported_ibcparam, 204)                                                                             \
    X(identity_need, 205)

typedef enum rdg_tlcp_alert {
#define RDG_TLCP_ALERT_ENUM(name, number) RDG_TLCP_ALERT_##name = number,
    RDG_TLCP_ALERT_TABLE(RDG_TLCP_ALERT_ENUM)
#undef RDG_TLCP_ALERT_ENUM
        RDG_TLCP_ALERT_NONE = 256
} rdg_tlcp_alert_t;

/* The standard's name, "unknown" for a number that it does not have. */
const char *rdg_tlcp_alert_name(unsigned number);

#ifdef __cplusplus
}
#endif
#endif
