/* Files: reading with a limit, and writing so that a power cut leaves the old content or the new.
 *
 * rdg_file_replace writes a temporary file beside the target, fsyncs it, renames it over the target and
 * fsyncs the directory: on success the new content is durable; on failure the target is as it was, except
 * that after a failed fsync of the directory (IO) it may be either.
 * Trees are walked without following links, without entering another mount (BUSY: "unmount it first"), and
 * not deeper than 128 directories (TOO_LARGE). */
#ifndef RIDGE_BASE_FILE_H
#define RIDGE_BASE_FILE_H
#include <stdbool.h>
#include <sys/types.h>
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the whole file to out (whose max is the limit). NOT_FOUND, TOO_LARGE, IO. */
rdg_err_t rdg_file_read(const char *path, rdg_buf_t *out);
/* The same, of a directory in which somebody else may write: what is no plain file is INVALID, and nobody waits for who
 * would write into a pipe; and so is a link in its place, unless links. */
rdg_err_t rdg_file_read_plain(const char *path, bool links, rdg_buf_t *out);
rdg_err_t rdg_file_replace(const char *path, rdg_bytes_t content, mode_t mode);
/* The same, owned by uid and gid from the first moment that it is there (-1: as rdg_file_replace). */
rdg_err_t rdg_file_replace_as(const char *path, rdg_bytes_t content, mode_t mode, uid_t uid, gid_t gid);
bool rdg_file_exists(const char *path);
rdg_err_t rdg_dir_make(const char *path, mode_t mode); /* with parents; an existing directory is fine */
/* Removes a file or a whole tree without following symbolic links; absent is fine. Adds the bytes freed
 * (allocated blocks) to *freed if given. */
rdg_err_t rdg_tree_remove(const char *path, uint64_t *freed);
rdg_err_t rdg_tree_size(const char *path, uint64_t *bytes); /* allocated blocks, links not followed */
rdg_err_t rdg_dir_sync(const char *path);
rdg_err_t rdg_write_all(int fd, rdg_bytes_t data); /* whole, restarting on EINTR */
/* Joins with one '/', into out; TOO_LARGE if it does not fit. */
rdg_err_t rdg_path_join(char *out, size_t size, const char *dir, const char *name);
/* True for a name that is safe as one path component or topic level: 1 to 64 of [a-z0-9._-], first
 * alphanumeric. Chains, devices and images are named so. */
bool rdg_name_valid(const char *name);

#ifdef __cplusplus
}
#endif
#endif
