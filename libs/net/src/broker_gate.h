/* Whether the broker lets somebody in: one file for each user in one directory.
 *
 * The file's name is the user's, its content what mosquitto's own password file has behind the name:
 * "$7$<iterations>$<salt>$<hash>", PBKDF2 with HMAC-SHA-512, both in base64. So a user is added, changed and removed
 * without a look at the others, and what a broker had in one file is taken over as it is.
 *
 * This part is in the library, which writes and tests, and in the plugin that mosquitto loads (plugin/): it needs the C
 * library and libcrypto alone, allocates nothing of ours and logs nothing. What comes from the network is hostile, and what
 * is in a file may be damaged: neither lets anybody in. Thread-safe. */
#ifndef RIDGE_NET_BROKER_GATE_H
#define RIDGE_NET_BROKER_GATE_H
#include <stdbool.h>
#include <stddef.h>

#define BROKER_GATE_NAME_MAX 65 /* rdg_name_valid, and a '_' in front */
#define BROKER_GATE_PASSWORD_MAX 128
#define BROKER_GATE_RECORD_MAX 256
#define BROKER_GATE_ITERATIONS_MAX 100000

typedef enum broker_gate { BROKER_GATE_IN, BROKER_GATE_OUT, BROKER_GATE_BROKEN } broker_gate_t;

/* rdg_name_valid, but for one '_' in front; NULL is none. A file is looked for under no other name. */
bool broker_gate_name_valid(const char *user);
/* users: the open directory. Either name may be NULL. BROKEN: the user's file cannot be read or is none of these; errno says
 * why (EBADMSG: its content). */
broker_gate_t broker_gate_ask(int users, const char *user, const char *password);
/* The content of a file and a password. Hashes are compared in constant time. */
broker_gate_t broker_gate_match(const char *record, size_t len, const char *password);

#endif
