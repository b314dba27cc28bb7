/* libarchive, loaded when a layer is unpacked and let go of afterwards: it brings a C++ library, ICU and libxml2 along,
 * some 2 MiB that an agent which runs containers it has would carry for nothing. */
#ifndef RIDGE_CONTAINER_ARCHIVE_API_H
#define RIDGE_CONTAINER_ARCHIVE_API_H
#include <archive.h>
#include <archive_entry.h>
#include "ridge/base/error.h"

#define ARCHIVE_API(X)                                                                                       \
    X(archive_read_new)                                                                                      \
    X(archive_read_free)                                                                                     \
    X(archive_read_support_filter_gzip)                                                                      \
    X(archive_read_support_filter_zstd)                                                                      \
    X(archive_read_support_format_tar)                                                                       \
    X(archive_read_open_filename)                                                                            \
    X(archive_read_next_header)                                                                              \
    X(archive_read_data_block)                                                                               \
    X(archive_error_string)                                                                                  \
    X(archive_entry_pathname)                                                                                \
    X(archive_entry_hardlink)                                                                                \
    X(archive_entry_symlink)                                                                                 \
    X(archive_entry_filetype)                                                                                \
    X(archive_entry_perm)                                                                                    \
    X(archive_entry_uid)                                                                                     \
    X(archive_entry_gid)                                                                                     \
    X(archive_entry_size)                                                                                    \
    X(archive_entry_size_is_set)

typedef struct archive_api {
    void *library;
#define ARCHIVE_API_MEMBER(name) __typeof__(&name) name;
    ARCHIVE_API(ARCHIVE_API_MEMBER)
#undef ARCHIVE_API_MEMBER
} archive_api_t;

/* UNSUPPORTED: libarchive is not installed. */
rdg_err_t archive_api_open(archive_api_t *out);
void archive_api_close(archive_api_t *api);

#endif
