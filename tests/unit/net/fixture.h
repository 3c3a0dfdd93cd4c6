/* SPDX-License-Identifier: MIT
 *
 * A server on a free loopback port whose handler does what the path says:
 *   /echo        200, the body back, its length in X-Length
 *   /early       401 out of on_head
 *   /limit/N     body limit N, then as /echo
 *   /big/N       200, N bytes
 *   /forge       a header with a line break in it
 *   /park        kept until fixture_release; counted in `parked`
 *   /wait/N      as /park, and the deadline moves by N ms
 *   /leave       as /park, and answered inside on_gone
 *   /stream      a stream kept open; fixture_stream_send and _end act on all of them
 *   /flood       a stream that sends 4 KB pieces until send says no, then ends (floods counts)
 *   /round       answered by on_round, which moves the clock by round_ms for each
 *   /work/N      moves the clock by N ms; 200, how many requests came before it
 *   /block/N     the same, once fixture_let_go allows (after wait_for(&f->holding, 1))
 *   /peer        the peer's address
 *
 * The server goes by a clock that stands still until the test moves it, so time-outs are asserted
 * to the millisecond; and what clients do is waited for until the server has seen it.  Waits have
 * an end (patience.h) only to make a failure visible. */
#ifndef QMN_TESTS_NET_FIXTURE_H
#define QMN_TESTS_NET_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/server.h"
#include "support/http_client.h"
#include "support/manual_clock.h"
#include "support/test.h"

enum { FIXTURE_KEPT = 2048 };

struct fixture {
    struct server *server;
    struct metrics *metrics;
    struct listener_config listener;
    struct server_config config;
    uint16_t port;
    struct manual_clock clock;
    _Atomic int requests, parked, gone, streams, rounds, refused, flooded, floods;
    _Atomic uint64_t stream_sent, stream_lost; /* of the last stream whose reader left */
    struct task hold;
    _Atomic int holding;
    _Atomic int round_batch; /* most requests one on_round answered */
    _Atomic int round_ms;
    /* guarded by lock */
    pthread_mutex_t lock;
    struct request *kept[FIXTURE_KEPT]; /* parked or streaming; NULL: free */
};

/* A test with a server of one loop and default limits as *state. */
#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Requests; POST goes on with more headers, an empty line and the body. */
#define GET(path)  "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: t\r\n"

/* Starts with one loop and default limits unless `change` sets otherwise. */
void fixture_start(struct fixture *f, void (*change)(struct server_config *));
void fixture_stop(struct fixture *f);
/* On their loops: answers all parked requests with 200 "released". */
void fixture_release(struct fixture *f);
void fixture_stream_send(struct fixture *f, const char *text);
void fixture_stream_end(struct fixture *f);

/* Settles, then keeps a loop from doing anything until let go; returns when that has begun.  What
 * has been delivered meanwhile (http_delivered), it finds all at once. */
void fixture_hold_loop(struct fixture *f, uint32_t loop);
void fixture_let_go(struct fixture *f);

/* Waits until each loop has finished a round begun after this call: what was posted, sent and
 * delivered, or due before it has had its effect. */
void fixture_settle(struct fixture *f);
/* Moves the clock, then settles. */
void fixture_advance(struct fixture *f, int64_t ms);
/* Sends and waits until the server has read it all and settled. */
void fixture_feed(struct fixture *f, struct http_client *c, const char *data, size_t len);
void fixture_feeds(struct fixture *f, struct http_client *c, const char *text);

/* Waits for *value to reach `at_least`. */
bool wait_for(_Atomic int *value, int at_least);
/* The scraped value of a series, e.g. "qmn_net_connections"; -1: not there. */
double scraped(struct fixture *f, const char *series);
/* Waits until the series reads exactly so. */
bool wait_scraped(struct fixture *f, const char *series, double value);
bool wait_scraped_above(struct fixture *f, const char *series, double value);
/* One turn of a loop that waits. */
void a_moment(void);

/* Connects and sends. */
void fixture_open(struct fixture *f, struct http_client *c, const char *text);
/* One request on a new connection; the reply is released by the caller. */
void fixture_ask(struct fixture *f, const char *request, struct http_reply *ret);
/* Asserts a status, and body (NULL: any), then releases. */
void check_reply(struct http_client *c, int status, const char *body);

#endif
