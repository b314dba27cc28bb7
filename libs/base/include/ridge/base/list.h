/* An intrusive doubly linked list. The owner embeds rdg_list_t; a head is a node linked to itself. */
#ifndef RIDGE_BASE_LIST_H
#define RIDGE_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_list {
    struct rdg_list *prev, *next;
} rdg_list_t;

#define RDG_LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#define RDG_LIST_EACH(it, head) for (rdg_list_t *it = (head)->next; it != (head); it = it->next)
#define RDG_LIST_EACH_SAFE(it, head)                                                                         \
    for (rdg_list_t *it = (head)->next, *it##_next = it->next; it != (head);                                 \
         it = it##_next, it##_next = it->next)

static inline void rdg_list_init(rdg_list_t *l) {
    l->prev = l->next = l;
}
static inline bool rdg_list_empty(const rdg_list_t *head) {
    return head->next == head;
}
static inline void rdg_list_append(rdg_list_t *head, rdg_list_t *node) {
    node->prev = head->prev, node->next = head, head->prev->next = node, head->prev = node;
}
static inline void rdg_list_remove(rdg_list_t *node) {
    node->prev->next = node->next, node->next->prev = node->prev, node->prev = node->next = node;
}

#ifdef __cplusplus
}
#endif
#endif
