/* Messages of consensus between the links and the core: a worker checks their signatures, in batches, and the loop hears
 * of those that passed, in order.
 *
 *   put ──► a queue for each peer ──► a job takes from all of them in turn ──► worker: rdg_consensus_check_many
 *                                                                                    │
 *   the core ◄── deliver, on the loop ◄──────────────────────────────────────────────┘
 *
 * 1. Messages of one peer are delivered in the order in which they came; a peer's are checked and delivered once.
 * 2. A light message (rdg_consensus_is_light) of a peer that has nothing on its way is checked at once, on the loop, and
 *    delivered inside put: at most INBOX_AT_ONCE in a millisecond of all peers, and none of a peer whose message was
 *    refused less than INBOX_DISTRUST_MS ago. So a chain of a few validators pays for no thread, and nobody can keep
 *    the loop at work with signatures.
 * 3. A job takes one message of each peer in turn, INBOX_BATCH in all and one that is not light, so that whoever sends
 *    much, or what does not verify, costs the others one job of waiting.
 * 4. Limits: INBOX_PEER_COUNT messages and INBOX_PEER_BYTES of a peer, INBOX_BYTES of all. What does not fit is refused
 *    (FULL), and comes again by retransmission.
 * 5. A verdict counts for the core that checked. When another takes its place what was checked meanwhile is checked again
 *    (its epoch is over, mostly). A core that a worker reads is freed when the worker is done.
 *
 * Everything belongs to the loop's thread but the check itself. */
#ifndef RIDGE_NODE_INBOX_H
#define RIDGE_NODE_INBOX_H
#include "ridge/consensus/consensus.h"
#include "ridge/net/loop.h"
#include "ridge/p2p/p2p.h"

#define INBOX_BATCH 64
#define INBOX_AT_ONCE 16
#define INBOX_DISTRUST_MS 5000
#define INBOX_PEER_COUNT 512
#define INBOX_PEER_BYTES (RDG_CONSENSUS_MESSAGE_MAX + (1u << 20))
#define INBOX_BYTES (64u << 20)

typedef struct inbox inbox_t;

/* err and why: what check said; bytes are borrowed during the call, in which the core may be replaced. */
typedef void (*inbox_deliver_fn)(void *ctx, size_t peer, rdg_bytes_t bytes, rdg_err_t err, const char *why);

rdg_err_t inbox_new(rdg_loop_t *loop, inbox_deliver_fn deliver, void *ctx, inbox_t **out);
/* Nothing is delivered any more. Frees when the worker is done; NULL is fine. */
void inbox_close(inbox_t *i);
/* The core that checks from now on; the former one is freed, as soon as nobody reads it. NULL: none any more. */
void inbox_set_core(inbox_t *i, rdg_consensus_t *core);
/* FULL, NO_MEMORY: the message is dropped. */
rdg_err_t inbox_put(inbox_t *i, size_t peer, rdg_bytes_t bytes);
/* Another key has taken the peer's place: what the former sent goes. */
void inbox_forget(inbox_t *i, size_t peer);
/* Messages that wait or are being checked. */
size_t inbox_count(const inbox_t *i);

#endif
