/* SPDX-License-Identifier: MIT
 *
 * A client on a raw socket that allocates nothing: it shares its process with a node whose every
 * allocation may be made to fail, and must not be hit itself.  It reads answers strictly.  Every
 * wait ends after ten seconds.  One thread. */
#ifndef QMN_TESTS_FAULTS_WIRE_H
#define QMN_TESTS_FAULTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_BYTES = 1 << 20 };

struct wire {
    int fd; /* -1: not open */
    size_t len;
    char in[WIRE_BYTES]; /* received, not yet taken */
};

struct answer {
    int status;      /* 0: the connection ended before the first byte of an answer */
    bool broken;     /* neither whole nor absent; `why` says what is wrong with it */
    const char *why; /* static */
    size_t head_len, body_len;
    char head[8192];       /* NUL-terminated */
    char body[WIRE_BYTES]; /* NUL-terminated, not counted */
};

void wire_open(struct wire *w, uint16_t port);
void wire_close(struct wire *w);
/* False if the peer does not take it: it may have answered, or closed, already. */
bool wire_send(struct wire *w, const char *text);
/* The next whole answer. */
void wire_answer(struct wire *w, struct answer *ret);
/* Only its head; the body stays to be read with wire_line. */
void wire_head(struct wire *w, struct answer *ret);
/* The next line of a body in chunks, without chunk marks and line end, waiting at most wait_ms.
 * WIRE_END: the body has ended properly; WIRE_CUT: the connection has ended inside it. */
enum wire_line { WIRE_LINE = 1, WIRE_END, WIRE_CUT, WIRE_SILENT };
struct wire_chunks {
    size_t left; /* of the chunk at hand, with the CRLF behind it */
    size_t len;
    char line[65536]; /* NUL-terminated after WIRE_LINE */
};
enum wire_line wire_line(struct wire *w, struct wire_chunks *c, int wait_ms);
/* Something to read, or the end, within wait_ms. */
bool wire_readable(struct wire *w, int wait_ms);

#endif
