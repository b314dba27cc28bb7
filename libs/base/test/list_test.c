#include "ridge/base/list.h"
#include "ridge/test.h"

typedef struct item {
    int value;
    rdg_list_t node;
} item_t;

TEST(list_keeps_order_and_may_lose_items_while_walked) {
    rdg_list_t head;
    item_t items[4] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
    int sum = 0, seen = 0;
    rdg_list_init(&head);
    CHECK(rdg_list_empty(&head));
    for (int i = 0; i < 4; ++i) rdg_list_append(&head, &items[i].node);
    RDG_LIST_EACH_SAFE(it, &head) {
        item_t *item = RDG_LIST_ENTRY(it, item_t, node);
        CHECK_EQ(item->value, ++seen);
        if (item->value % 2 == 0) rdg_list_remove(it);
    }
    RDG_LIST_EACH(it, &head) sum = sum * 10 + RDG_LIST_ENTRY(it, item_t, node)->value;
    CHECK_EQ(sum, 13);
    rdg_list_remove(&items[1].node); /* twice is fine: a removed node is linked to itself */
}
