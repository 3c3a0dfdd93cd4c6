/* SPDX-License-Identifier: MIT
 *
 * Listening: ports, families, several loops. */
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void four_loops(struct server_config *c)
{
    c->loops = 4;
}

static void dual_stack(struct server_config *c)
{
    static const struct listener_config listeners[] = {{.host = "::"}, {.host = "localhost"}};
    c->listeners = listeners;
    c->listener_count = 2;
    c->handler.on_refused = NULL;
}

static void a_taken_port_says_who_holds_it(void **state)
{
    struct fixture f;
    struct server *second = NULL;
    struct err err;
    char want[64];
    (void)state;
    fixture_start(&f, NULL);
    struct listener_config again = {.host = "127.0.0.1", .port = f.port};
    struct server_config config = f.config;
    config.listeners = &again;
    assert_int_equal(server_new(&config, &second, &err), QMN_E_CONFLICT);
    assert_null(second);
    snprintf(want, sizeof want, "port %u ", f.port);
    assert_non_null(strstr(err.text, want));
    snprintf(want, sizeof want, "pid %d (test_net_listen", (int)getpid());
    assert_non_null(strstr(err.text, want));
    fixture_stop(&f);
}

static void a_port_may_be_taken_again_right_after(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, NULL);
    uint16_t port = f.port;
    http_connect(&c, port);
    assert_true(http_sends(&c, "GET /peer HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
    check_reply(&c, 200, NULL); /* the server closes first and keeps the TIME-WAIT */
    http_close(&c);
    struct server_config config = f.config;
    fixture_stop(&f);
    struct listener_config again = {.host = "127.0.0.1", .port = port};
    struct server *s;
    struct err err;
    config.listeners = &again;
    config.metrics = NULL;
    assert_int_equal(server_new(&config, &s, &err), QMN_OK);
    server_free(s);
}

static void senseless_listeners_are_refused(void **state)
{
    static const struct listener_config bad[] = {
        {.host = ""}, {.host = NULL}, {.host = "no such host.invalid"}, {.host = "192.0.2.1"}};
    struct fixture f;
    struct server *s = NULL;
    struct err err;
    (void)state;
    fixture_start(&f, NULL);
    struct server_config config = f.config;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        config.listeners = &bad[i];
        assert_int_not_equal(server_new(&config, &s, &err), QMN_OK);
        assert_true(err.text[0]);
    }
    config.listener_count = 0;
    assert_int_equal(server_new(&config, &s, &err), QMN_E_INVALID);
    assert_null(s);
    fixture_stop(&f);
}

static int connect6(uint16_t port)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void the_unspecified_address_listens_on_both_families(void **state)
{
    struct fixture f;
    struct http_client c;
    (void)state;
    fixture_start(&f, dual_stack);
    for (size_t i = 0; i < 2; i++) {
        http_connect(&c, server_port(f.server, i));
        assert_true(http_sends(&c, GET("/peer")));
        check_reply(&c, 200, "127.0.0.1"); /* not ::ffff:127.0.0.1 */
        http_close(&c);
    }
    http_prepare(&c);
    close(c.fd);
    c.fd = connect6(server_port(f.server, 0));
    if (c.fd >= 0) { /* a kernel without IPv6 has no second family */
        assert_true(http_sends(&c, GET("/peer") "bad\n"));
        check_reply(&c, 200, "::1");
        check_reply(&c, 400, "the request line holds a control or non-ASCII byte");
    }
    http_close(&c);
    assert_int_equal(server_port(f.server, 2), 0);
    fixture_stop(&f);
}

static void connections_are_shared_out_evenly(void **state)
{
    enum { N = 40 };
    struct fixture f;
    struct http_client c[N];
    int per_loop[4] = {0};
    (void)state;
    fixture_start(&f, four_loops);
    assert_int_equal(server_loops(f.server), 4);
    assert_null(server_loop(f.server, 4));
    for (int i = 0; i < N; i++) {
        fixture_open(&f, &c[i], GET("/park"));
        assert_true(wait_for(&f.parked, i + 1));
    }
    pthread_mutex_lock(&f.lock);
    for (int i = 0; i < N; i++) {
        for (uint32_t k = 0; k < 4; k++)
            per_loop[k] += f.kept[i]->exec == server_loop(f.server, k);
    }
    pthread_mutex_unlock(&f.lock);
    for (int k = 0; k < 4; k++)
        assert_in_range(per_loop[k], N / 4 - 2, N / 4 + 2);
    fixture_release(&f);
    for (int i = 0; i < N; i++) {
        check_reply(&c[i], 200, "released");
        http_close(&c[i]);
    }
    fixture_stop(&f);
}

static void two_loops(struct server_config *c)
{
    c->loops = 2;
}

/* Keeps a loop from doing anything until it is let go. */
struct hold {
    struct task task;
    sem_t held, go;
};

static void hold_run(struct task *t)
{
    struct hold *h = CONTAINER_OF(t, struct hold, task);
    sem_post(&h->held);
    sem_wait(&h->go);
}

static void a_burst_is_shared_out_evenly(void **state)
{
    enum { N = 20 };
    struct fixture f;
    struct http_client c[N];
    struct hold hold = {.task.run = hold_run};
    int on_first = 0;
    (void)state;
    fixture_start(&f, two_loops);
    sem_init(&hold.held, 0, 0);
    sem_init(&hold.go, 0, 0);
    struct executor *second = server_loop(f.server, 1);
    second->post(second, &hold.task);
    sem_wait(&hold.held);
    for (int i = 0; i < N; i++) /* the first loop accepts all, and cannot hand over any */
        fixture_open(&f, &c[i], GET("/park"));
    bool half = wait_for(&f.parked, N / 2);
    sem_post(&hold.go);
    assert_true(half);
    assert_true(wait_for(&f.parked, N));
    pthread_mutex_lock(&f.lock);
    for (int i = 0; i < N; i++)
        on_first += f.kept[i]->exec == server_loop(f.server, 0);
    pthread_mutex_unlock(&f.lock);
    assert_int_equal(on_first, N / 2);
    fixture_release(&f);
    for (int i = 0; i < N; i++) {
        check_reply(&c[i], 200, "released");
        http_close(&c[i]);
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_port_says_who_holds_it),
        cmocka_unit_test(a_port_may_be_taken_again_right_after),
        cmocka_unit_test(senseless_listeners_are_refused),
        cmocka_unit_test(the_unspecified_address_listens_on_both_families),
        cmocka_unit_test(connections_are_shared_out_evenly),
        cmocka_unit_test(a_burst_is_shared_out_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
