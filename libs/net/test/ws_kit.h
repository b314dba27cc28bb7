/* A WebSocket client that sends what it is told, right or wrong. */
#ifndef WS_KIT_H
#define WS_KIT_H
#include "ridge/base/buf.h"
#include "ridge/test.h"

typedef struct ws_client {
    int fd;
    rdg_buf_t in; /* received, not yet taken */
} ws_client_t;

typedef struct ws_frame {
    unsigned opcode, code; /* code: of a close frame */
    rdg_buf_t payload;
} ws_frame_t;

/* The handshake; the status of the answer (101: the connection is open). */
unsigned ws_connect(ws_client_t *c, uint16_t port, const char *extra_headers);
void ws_disconnect(ws_client_t *c);
/* first: FIN, reserved bits and opcode as they stand in the first byte. */
void ws_send_frame(ws_client_t *c, unsigned first, rdg_bytes_t payload);
void ws_send_text(ws_client_t *c, const char *text);
void ws_send_raw(ws_client_t *c, const void *bytes, size_t len);
/* The next frame, within 30 s; false: the connection is at its end. */
bool ws_receive(ws_client_t *c, ws_frame_t *out);
void ws_expect_text(ws_client_t *c, const char *text);
unsigned ws_close_code(ws_client_t *c); /* of the next frame but pings, which is a close frame */
/* The next frame but pings is a close frame with this code. */
void ws_expect_close(ws_client_t *c, unsigned code, const char *reason);

#endif
