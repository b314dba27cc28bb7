/* Headers with their seals, from one ledger to another, ahead of the blocks.
 *
 * A segment is a run of headers, each with the seal of its block and, as far as the giver has them, its executed header
 * with the checkpoint certificate. Import verifies all of it before it stores any: that each follows the one before
 * (parent, height, time), that it is of the epoch that its height belongs to, every signature of every certificate, in
 * batches. Epochs prove themselves on the way: a certified executed header names the latest epoch (block.h), whose
 * record stands beside it, and from its first height on seals are verified against that one.
 *
 * Import stops at the last header with a checkpoint certificate: under Raft a seal alone is one validator's word. An
 * executed header without certificate is not taken; the ledger then knows no state root at that height.
 *
 * Stored headers are facts about the chain, whatever becomes of the sync that fetched them. Until the head has reached
 * them no reader sees them (ledger.h, invariant 5).
 *
 * Segment: "RHDR", chain id u64, first height u64, count u32, then for each: header, seal, executed, checkpoint, epoch,
 * each with a u16 length in front; the last three may be empty. epoch: RLP record (governance.h) of the next epoch,
 * in the window of heights between the block that decided it and its first.
 *
 * Limits: RDG_HEADERS_SEGMENT_MAX bytes a segment. Errors: MALFORMED, TOO_LARGE, WRONG_CHAIN, CONFLICT (does not follow
 * what is known), BAD_SIGNATURE, each with the height; UNAVAILABLE: no header of the segment is certified, or one that
 * the giver does not have; STALE: nothing that was not known. A refused segment changes nothing. Threads: any. */
#ifndef RIDGE_LEDGER_HEADERS_H
#define RIDGE_LEDGER_HEADERS_H
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_HEADERS_SEGMENT_MAX (1u << 20)

/* From height `from` up to `to`, the head, or max_bytes, whichever comes first. Appends. *last: the last height that
 * is in it. */
rdg_err_t rdg_headers_export(rdg_ledger_t *l, uint64_t from, uint64_t to, size_t max_bytes, rdg_buf_t *out,
                             uint64_t *last);
/* *known: up to where headers are known now. */
rdg_err_t rdg_headers_import(rdg_ledger_t *l, rdg_bytes_t segment, uint64_t *known);
/* Highest height whose header is verified and stored; at least the head. */
uint64_t rdg_headers_known(rdg_ledger_t *l);
/* Is this the body of a known header? CONFLICT names the height; UNAVAILABLE: its header is not known. Signatures of
 * transactions are not verified. */
rdg_err_t rdg_headers_check_body(rdg_ledger_t *l, rdg_bytes_t proposal, uint64_t *height);

#ifdef __cplusplus
}
#endif
#endif
