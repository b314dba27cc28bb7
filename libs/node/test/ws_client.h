/* A WebSocket client of a few lines. Whatever goes wrong fails the test; it waits 30 s at most. */
#ifndef WS_CLIENT_H
#define WS_CLIENT_H
#include "ridge/base/buf.h"
#include "ridge/codec/json.h"

typedef struct ws {
    int fd;
    rdg_buf_t in;
} ws_t;

void ws_open(ws_t *s, uint16_t port);
void ws_send(ws_t *s, const char *text);
json_t *ws_next(ws_t *s); /* the next message, owned */
/* Whatever comes before is passed over. */
void ws_expect_close(ws_t *s, unsigned code, const char *reason);
void ws_close(ws_t *s);

#endif
