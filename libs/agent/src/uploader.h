/* Sends what waits in the outbox to the cloud's collection gateway, by service `collect` of the link.
 *
 * 1. One request at a time, and a piece of a file only when nothing more urgent waits.
 * 2. What the gateway has of a file is asked, never remembered: a crash of either end costs at most one piece.
 * 3. Back-pressure is honoured: an answer with Retry-After (429, 503, 507) delays that file by as much, other
 *    failures by 1 s to a minute with jitter, doubling.
 * 4. A file that the gateway refuses for good (400, 403, 409, 413), or whose content differs from its digest three
 *    times, becomes a failure of the outbox and is in nobody's way.
 * 5. An archive is not offered before the result that announces it is in the journal: executed again after a crash, the
 *    command finds it in the outbox and announces the same. It holds up no other file meanwhile.
 * Pieces have UPLOAD_PIECE_MIN to UPLOAD_PIECE_MAX bytes, as many as the link takes in about a second, and with a rate
 * not more a second than that. */
#ifndef RIDGE_AGENT_UPLOADER_H
#define RIDGE_AGENT_UPLOADER_H
#include "journal.h"
#include "outbox.h"

#define UPLOAD_PIECE_MIN (16u << 10)
#define UPLOAD_PIECE_MAX (256u << 10)

typedef struct uploader uploader_t;

typedef struct uploader_options {
    outbox_t *outbox;     /* borrowed, and so is: */
    journal_t *journal;   /* of the commands that archives are named by */
    const char *socket;   /* local socket of service `collect`; borrowed */
    uint64_t bytes_per_s; /* 0: as fast as the link goes */
} uploader_options_t;

rdg_err_t uploader_start(const uploader_options_t *o, uploader_t **out);
/* Something was put into the outbox, or a command has ended; with link_up, what a broken link has delayed is due. NULL is fine. */
void uploader_kick(uploader_t *u, bool link_up);
/* Begins nothing more; a request that waits for the cloud ends when the link is stopped, so: halt, uplink_stop, free. */
void uploader_halt(uploader_t *u);
void uploader_free(uploader_t *u); /* joins; NULL is fine */

#endif
