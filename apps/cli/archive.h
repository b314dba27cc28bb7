/* What archives hold, as JSON. */
#ifndef RIDGE_CLI_ARCHIVE_H
#define RIDGE_CLI_ARCHIVE_H
#include "cli.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/ledger/archive.h"

/* 64 hex digits, with or without 0x. INVALID names what. */
rdg_err_t archive_hash(const char *what, const char *text, rdg_hash_t *out);
json_t *archive_fields_json(const rdg_archive_manifest_t *m, const rdg_hash_t *digest); /* returns owned */
json_t *archive_manifest_json(const rdg_archive_t *a); /* and who signed it */
/* archive_cloud.c: ridge archive show NUMBER, of the cloud's. */
rdg_err_t archive_cloud_show(cli_t *cli, uint64_t number);
rdg_err_t archive_block_json(const rdg_archive_block_t *b, json_t **out);

#endif
