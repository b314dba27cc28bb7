/* The keys of encrypted archives, in the cloud's custody: <data>/keys/ID.key (0600), ID is archive-<chain id>-<number>.
 *
 * A chain has none until its archives are to be encrypted, then one after the other: what is archived next is under the
 * newest. A key is on disk before anything is encrypted under it, and stays as long as an archive under it does, also when
 * its chain is destroyed. An administrator may destroy one that no archive needs and the next is not made with. Devices get it wrapped for their nodes (ridge/ledger/archive_key.h) and no other way; people by an
 * order of their own, which is recorded before it is answered.
 *
 * Errors about a key name chain, key and remedy. NOT_FOUND: its file is gone; CORRUPT: the file holds another key. */
#ifndef RIDGE_BAAS_SRC_ARCHIVE_KEYS_H
#define RIDGE_BAAS_SRC_ARCHIVE_KEYS_H
#include "archive_states.h"
#include "ridge/ledger/archive_key.h"

extern const char archive_keys_migration[];

/* The id of the key for the chain's next archive; made if there is none. Not within a transaction. */
rdg_err_t archive_keys_current(rdg_baas_t *b, const chain_t *c, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]);
/* The caller clears it (rdg_secure_zero). chain: its name, for the error. */
rdg_err_t archive_keys_load(rdg_baas_t *b, const char *chain, const char *id, rdg_archive_key_t *out);
/* Wrapped for the chain's node on a device. CONFLICT: the node has no valid encryption certificate. Returns owned. */
rdg_err_t archive_keys_wrap(rdg_baas_t *b, const chain_t *c, const char *device, const char *id,
                            json_t **out);
/* Each key that an entry of `archives` names in "key", once. Returns owned. */
rdg_err_t archive_keys_wrap_all(rdg_baas_t *b, const chain_t *c, const char *device, const json_t *archives,
                                json_t **out);
/* Each of these can be opened: better said before a recovery than by the device, when its ledger is set aside. */
rdg_err_t archive_keys_check(rdg_baas_t *b, const chain_t *c, const archive_piece_t *pieces, size_t count);
/* A chain is gone: of its keys those go under which there is no archive. */
void archive_keys_forget(rdg_baas_t *b, const chain_t *c);

/* As rdg_service_owner_t wants it: a key is of its chain's tenant. */
rdg_err_t archive_keys_own(void *baas, const char *tenant, const char *id);

extern const rdg_service_route_t archive_key_routes[];
extern const size_t archive_key_route_count;

#endif
