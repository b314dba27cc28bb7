#include "internal.h"
#include <stdio.h>

/* Call with the lock held. */
void turns_put(rdg_platform_t *p, device_t *d) {
    if (!d->online || d->turn == TURN_READY) return;
    rdg_list_remove(&d->turns);
    rdg_list_append(&p->ready, &d->turns);
    d->turn = TURN_READY;
}

static void take_out(device_t *d) {
    rdg_list_remove(&d->turns);
    d->turn = TURN_NONE;
}

void turns_drop(device_t *d) {
    take_out(d);
}

void turns_ready(rdg_platform_t *p, const char *device) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, device);
    if (d) turns_put(p, d);
    pthread_mutex_unlock(&p->lock);
}

void turns_all_ready(rdg_platform_t *p) {
    size_t pos = 0;
    void *d;
    pthread_mutex_lock(&p->lock);
    while (rdg_map_next(p->devices, &pos, NULL, &d)) turns_put(p, d);
    pthread_mutex_unlock(&p->lock);
}

bool turns_next(rdg_platform_t *p, char name[65]) {
    bool found = false;
    pthread_mutex_lock(&p->lock);
    while (!found && !rdg_list_empty(&p->ready)) {
        device_t *d = RDG_LIST_ENTRY(p->ready.next, device_t, turns);
        take_out(d);
        found = d->online;
        if (found) snprintf(name, 65, "%s", d->name);
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

void turns_stall(rdg_platform_t *p, const char *device) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, device);
    if (d && d->turn == TURN_NONE && d->online) {
        rdg_list_append(&p->stalled, &d->turns);
        d->turn = TURN_STALLED;
    }
    pthread_mutex_unlock(&p->lock);
}

void turns_ended_one(rdg_platform_t *p, const char *device) {
    pthread_mutex_lock(&p->lock);
    device_t *d = devices_find(p, device);
    if (d && d->turn == TURN_STALLED) {
        turns_put(p, d);
        p->kicked = true;
        pthread_cond_signal(&p->kick);
    }
    pthread_mutex_unlock(&p->lock);
}

void turns_retry(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    RDG_LIST_EACH_SAFE(it, &p->stalled) {
        device_t *d = RDG_LIST_ENTRY(it, device_t, turns);
        take_out(d);
        turns_put(p, d);
    }
    pthread_mutex_unlock(&p->lock);
}
