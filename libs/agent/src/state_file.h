/* A small file without which the device is lost: kept twice, <path> and <path>.2, each replaced atomically and synced
 * (ridge/base/file.h), so that neither a power cut nor one damaged file takes it away.
 *
 * Invariants
 * 1. When state_file_save has returned RDG_OK, the content is what state_file_load gives. When it failed, or power was
 *    cut in it, load gives the old content or the new.
 * 2. Load believes a copy only when `take` does; a damaged one is written anew from the other. */
#ifndef RIDGE_AGENT_STATE_FILE_H
#define RIDGE_AGENT_STATE_FILE_H
#include <sys/types.h>
#include "ridge/base/buf.h"

rdg_err_t state_file_save(const char *path, rdg_bytes_t content, mode_t mode);
/* Reads the content and answers whether it is sound; may be called twice. */
typedef rdg_err_t (*state_file_take_fn)(void *ctx, rdg_bytes_t content);
/* NOT_FOUND: neither copy is there. Else the first copy's trouble, when the second is no better. The content is wiped
 * from memory. */
rdg_err_t state_file_load(const char *path, size_t max, mode_t mode, state_file_take_fn take, void *ctx);

#endif
