/* eth_subscribe: sessions, their subscriptions, and the thread that tells them of new blocks and transactions. */
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/list.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PER_SESSION_MAX = 16, TOTAL_MAX = 256, BACKLOG_MAX = 10000, REPEAT_MS = 300, PENDING_AT_ONCE = 128 };

typedef enum subject { OF_HEADS, OF_LOGS, OF_PENDING } subject_t;

typedef struct subscription {
    char id[RPC_ID_CHARACTERS + 1];
    subject_t subject;
    rpc_filter_t *filter; /* of logs */
    uint64_t next;        /* the height to be told of next; of pending transactions: the number */
    uint64_t told_ms;     /* new heads: when the last one was told; 0: it has been repeated */
    bool answered; /* the subscriber knows the id: a message before that would be lost on some clients */
} subscription_t;

struct rdg_node_rpc_session {
    rdg_list_t node;
    rdg_node_rpc_t *rpc;
    rdg_node_rpc_send_t send;
    void *to;
    size_t count;
    subscription_t list[PER_SESSION_MAX];
};

struct subscriptions {
    rdg_node_rpc_t *rpc;
    pthread_mutex_t lock; /* of all sessions, too */
    pthread_cond_t changed;
    rdg_list_t sessions;
    size_t total, of_logs;
    bool woken, stopping, running;
    pthread_t thread;
};

/* --- telling ---------------------------------------------------------------------------------------------- */

static void send_to(rdg_node_rpc_session_t *s, const subscription_t *sub, rdg_bytes_t result) {
    rdg_buf_t out;
    rdg_buf_init(&out, result.len + 256);
    rdg_buf_printf(&out,
                   "{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{\"subscription\":\"%s\","
                   "\"result\":",
                   sub->id);
    rdg_buf_append(&out, result.data, result.len);
    /* A connection that does not take it is closed by its own side. */
    if (rdg_buf_str(&out, "}}") == RDG_OK) (void)s->send(s->to, rdg_buf_view(&out));
    rdg_buf_fini(&out);
}

/* log NULL: a head. */
static void tell_all(subscriptions_t *all, uint64_t height, const rdg_log_entry_t *log, const json_t *value) {
    rdg_buf_t text;
    rdg_buf_init(&text, 32u << 20);
    if (value && rdg_json_dump(value, &text) == RDG_OK) RDG_LIST_EACH(it, &all->sessions) {
            rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
            for (size_t i = 0; i < s->count; ++i) {
                const subscription_t *sub = &s->list[i];
                if (!sub->answered || sub->next != height || sub->subject != (log ? OF_LOGS : OF_HEADS))
                    continue;
                if (!log || rdg_log_matches(&sub->filter->f, log)) send_to(s, sub, rdg_buf_view(&text));
            }
        }
    rdg_buf_fini(&text);
}

static rdg_err_t on_log(void *ctx, const rdg_log_hit_t *h) {
    subscriptions_t *all = ctx;
    json_t *value = rdg_eth_log_json(h->log, &h->block_hash, &h->tx_id, h->height, h->tx_index, h->log_index);
    tell_all(all, h->height, h->log, value);
    json_decref(value);
    return RDG_OK;
}

static void tell_head(subscriptions_t *all, uint64_t height) {
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    rdg_bloom_t bloom;
    rdg_ledger_t *l = all->rpc->options.ledger;
    if (rdg_ledger_header(l, height, &header, &hash, &executed) != RDG_OK ||
        rdg_ledger_bloom(l, height, &bloom) != RDG_OK)
        return;
    json_t *value = rdg_eth_block_json(NULL, &header, &hash, &executed, &bloom, false);
    json_object_del(value, "transactions");
    json_object_del(value, "uncles");
    json_object_del(value, "size");
    tell_all(all, height, NULL, value);
    json_decref(value);
}

/* The lowest height that somebody is to be told of; false: all know all up to the head. */
static bool due(const subscriptions_t *all, uint64_t head, uint64_t *height) {
    *height = UINT64_MAX;
    RDG_LIST_EACH(it, &all->sessions) {
        const rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
        for (size_t i = 0; i < s->count; ++i)
            if (s->list[i].answered && s->list[i].subject != OF_PENDING && s->list[i].next < *height)
                *height = s->list[i].next;
    }
    return *height <= head;
}

/* After a jump by a snapshot there are no logs of what lies between. */
static void advance(subscriptions_t *all, uint64_t height, uint64_t head) {
    RDG_LIST_EACH(it, &all->sessions) {
        rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
        for (size_t i = 0; i < s->count; ++i) {
            subscription_t *sub = &s->list[i];
            if (sub->subject == OF_PENDING) continue;
            if (sub->answered && sub->next == height) {
                ++sub->next;
                if (sub->subject == OF_HEADS) sub->told_ms = rdg_mono_ms(rdg_clock_system());
            }
            if (head > BACKLOG_MAX && sub->next < head - BACKLOG_MAX) sub->next = head;
        }
    }
}

/* With the lock held: a block's logs are read once for all sessions. */
static void tell(subscriptions_t *all, uint64_t height) {
    tell_head(all, height);
    if (all->of_logs == 0) return;
    rdg_log_filter_t any = {.from = height, .to = height};
    (void)rdg_ledger_logs(all->rpc->options.ledger, &any, SIZE_MAX, on_log, all);
}

/* Takes back that they know the head, of those who have known it for long enough. True: others come later. */
static bool ripen(subscriptions_t *all, uint64_t head, bool *any) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    bool later = *any = false;
    RDG_LIST_EACH(it, &all->sessions) {
        rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
        for (size_t i = 0; i < s->count; ++i) {
            subscription_t *sub = &s->list[i];
            if (sub->told_ms == 0 || sub->next != head + 1) continue;
            if (now - sub->told_ms < REPEAT_MS) {
                later = true;
                continue;
            }
            sub->next = head;
            sub->told_ms = 0;
            *any = true;
        }
    }
    return later;
}

/* Who asks for a receipt just before its block comes is told of the block, asks again and may be answered by a
 * cache of its own (ethers keeps answers for 250 ms); on an idle chain nothing would make it ask a third time. So
 * the head is told once more when no block has followed. True: somebody is to be told later. */
static bool repeat_head(subscriptions_t *all, uint64_t head) {
    bool any, later = ripen(all, head, &any);
    if (!any) return later;
    tell_head(all, head);
    RDG_LIST_EACH(it, &all->sessions) {
        rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
        for (size_t i = 0; i < s->count; ++i)
            if (s->list[i].subject == OF_HEADS && s->list[i].answered && s->list[i].next == head)
                ++s->list[i].next;
    }
    return later;
}

static void tell_pending(rdg_node_rpc_session_t *s, subscription_t *sub) {
    rdg_hash_t ids[PENDING_AT_ONCE];
    char text[70] = "\"0x";
    size_t count;
    while ((count = pending_since(s->rpc->pending, &sub->next, ids, PENDING_AT_ONCE)) > 0)
        for (size_t i = 0; i < count; ++i) {
            rdg_hex_encode(ids[i].b, sizeof ids[i].b, text + 3);
            text[67] = '"', text[68] = 0;
            send_to(s, sub, rdg_bytes_str(text));
        }
}

static void tell_all_pending(subscriptions_t *all) {
    RDG_LIST_EACH(it, &all->sessions) {
        rdg_node_rpc_session_t *s = RDG_LIST_ENTRY(it, rdg_node_rpc_session_t, node);
        for (size_t i = 0; i < s->count; ++i)
            if (s->list[i].subject == OF_PENDING && s->list[i].answered) tell_pending(s, &s->list[i]);
    }
}

static void wait_change(subscriptions_t *all, bool repeat) {
    struct timespec until;
    if (all->woken) return;
    if (!repeat) {
        pthread_cond_wait(&all->changed, &all->lock);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += REPEAT_MS / 4 * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_nsec -= 1000000000L, ++until.tv_sec;
    (void)pthread_cond_timedwait(&all->changed, &all->lock, &until);
}

static void *run(void *arg) {
    subscriptions_t *all = arg;
    uint64_t height;
    bool repeat = false;
    pthread_mutex_lock(&all->lock);
    while (!all->stopping) {
        wait_change(all, repeat);
        all->woken = false;
        tell_all_pending(all);
        uint64_t head = rpc_head(all->rpc);
        while (!all->stopping && due(all, head, &height)) {
            tell(all, height);
            advance(all, height, head);
            /* Whoever wants to subscribe, or to leave, gets a turn between two blocks. */
            pthread_mutex_unlock(&all->lock);
            pthread_mutex_lock(&all->lock);
        }
        repeat = repeat_head(all, head);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

void subscriptions_wake(subscriptions_t *all) {
    pthread_mutex_lock(&all->lock);
    all->woken = true;
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

rdg_err_t subscriptions_new(rdg_node_rpc_t *rpc, subscriptions_t **out) {
    subscriptions_t *all = rdg_calloc(1, sizeof *all);
    if (!all) return rdg_fail(RDG_E_NO_MEMORY, "no memory for subscriptions");
    all->rpc = rpc;
    rdg_list_init(&all->sessions);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    *out = all;
    return RDG_OK;
}

void subscriptions_free(subscriptions_t *all) {
    if (!all) return;
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
    if (all->running) pthread_join(all->thread, NULL);
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    rdg_free(all);
}

/* --- sessions and methods --------------------------------------------------------------------------------- */

rdg_err_t rdg_node_rpc_session_new(rdg_node_rpc_t *rpc, rdg_node_rpc_send_t send, void *to,
                                   rdg_node_rpc_session_t **out) {
    rdg_node_rpc_session_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a session");
    s->rpc = rpc;
    s->send = send;
    s->to = to;
    pthread_mutex_lock(&rpc->subscriptions->lock);
    rdg_list_append(&rpc->subscriptions->sessions, &s->node);
    pthread_mutex_unlock(&rpc->subscriptions->lock);
    *out = s;
    return RDG_OK;
}

/* With the lock held. */
static void drop(rdg_node_rpc_session_t *s, size_t i) {
    subscriptions_t *all = s->rpc->subscriptions;
    if (s->list[i].subject == OF_LOGS) --all->of_logs;
    --all->total;
    rpc_filter_unref(s->list[i].filter);
    s->list[i] = s->list[--s->count];
}

void rdg_node_rpc_session_free(rdg_node_rpc_session_t *s) {
    if (!s) return;
    subscriptions_t *all = s->rpc->subscriptions;
    pthread_mutex_lock(&all->lock);
    while (s->count > 0) drop(s, s->count - 1);
    rdg_list_remove(&s->node);
    pthread_mutex_unlock(&all->lock);
    rdg_free(s);
}

/* With the lock held. */
static rdg_err_t start_thread(subscriptions_t *all) {
    if (all->running) return RDG_OK;
    int why = pthread_create(&all->thread, NULL, run, all);
    if (why != 0) return rdg_fail_errno(why, "cannot start the thread of subscriptions");
    all->running = true;
    return RDG_OK;
}

static rdg_err_t check_room(const subscriptions_t *all, const rdg_node_rpc_session_t *s) {
    if (s->count == PER_SESSION_MAX)
        return rdg_fail(RDG_E_FULL, "a connection has at most %d subscriptions: end one by eth_unsubscribe",
                        PER_SESSION_MAX);
    if (all->total == TOTAL_MAX)
        return rdg_fail(RDG_E_FULL,
                        "this node has at most %d subscriptions: try again later, or another node",
                        TOTAL_MAX);
    return RDG_OK;
}

/* Takes filter. */
static rdg_err_t add(rdg_node_rpc_session_t *s, subject_t subject, rpc_filter_t *filter, json_t **result) {
    subscriptions_t *all = s->rpc->subscriptions;
    uint64_t next = 0;
    pthread_mutex_lock(&all->lock);
    rdg_err_t err = check_room(all, s);
    if (err == RDG_OK) err = start_thread(all);
    if (err == RDG_OK && subject == OF_PENDING) err = pending_watch(s->rpc->pending, &next);
    if (err == RDG_OK) {
        subscription_t *sub = &s->list[s->count++];
        if (subject != OF_PENDING) next = rpc_head(s->rpc) + (subject == OF_LOGS);
        *sub = (subscription_t){.id = "0x", .subject = subject, .filter = filter, .next = next};
        rdg_random_hex(rdg_random_system(), sub->id + 2, (RPC_ID_CHARACTERS - 2) / 2);
        ++all->total;
        if (subject == OF_LOGS) ++all->of_logs;
        *result = json_string(sub->id);
    } else {
        rpc_filter_unref(filter);
    }
    pthread_mutex_unlock(&all->lock);
    return err;
}

static rdg_err_t subscribe(rdg_node_rpc_session_t *s, const json_t *params, json_t **result) {
    const char *what = json_string_value(json_array_get(params, 0));
    rpc_filter_t *filter = NULL;
    if (what && strcmp(what, "newHeads") == 0) return add(s, OF_HEADS, NULL, result);
    if (what && strcmp(what, "newPendingTransactions") == 0) {
        if (!json_is_true(json_array_get(params, 1))) return add(s, OF_PENDING, NULL, result);
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "newPendingTransactions tells hashes: ask eth_getTransactionByHash for the rest");
    }
    if (!what || strcmp(what, "logs") != 0)
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "eth_subscribe: want \"newHeads\", \"logs\" or \"newPendingTransactions\", not \"%.40s\"",
            what ? what : "");
    RDG_TRY(rpc_filter_new(json_array_get(params, 1), &filter));
    return add(s, OF_LOGS, filter, result);
}

void rdg_node_rpc_session_answered(rdg_node_rpc_session_t *s) {
    subscriptions_t *all = s->rpc->subscriptions;
    bool fresh = false;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < s->count; ++i) {
        fresh = fresh || !s->list[i].answered;
        s->list[i].answered = true;
    }
    pthread_mutex_unlock(&all->lock);
    if (fresh) subscriptions_wake(all);
}

static rdg_err_t unsubscribe(rdg_node_rpc_session_t *s, const json_t *params, json_t **result) {
    const char *id = json_string_value(json_array_get(params, 0));
    bool found = false;
    if (!id) return rdg_fail(RDG_E_INVALID, "parameter 1: want the id that eth_subscribe gave");
    pthread_mutex_lock(&s->rpc->subscriptions->lock);
    for (size_t i = 0; i < s->count && !found; ++i) {
        found = strcmp(s->list[i].id, id) == 0;
        if (found) drop(s, i);
    }
    pthread_mutex_unlock(&s->rpc->subscriptions->lock);
    *result = json_boolean(found);
    return RDG_OK;
}

static rdg_err_t needs_session(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)rpc, (void)params, (void)result;
    return rdg_fail(
        RDG_E_UNSUPPORTED,
        "subscriptions need a WebSocket (ws:// and this address); over HTTP use eth_newFilter and "
        "eth_getFilterChanges");
}

const rpc_method_t rpc_subscribe_methods[] = {{"eth_subscribe", needs_session, subscribe},
                                              {"eth_unsubscribe", needs_session, unsubscribe},
                                              {NULL, NULL, NULL}};
