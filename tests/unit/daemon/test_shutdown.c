/* SPDX-License-Identifier: MIT
 *
 * A node that stops while everything is under way: long polls, streams and collects are parked,
 * broadcasts are in the writer's queue, a backup and a purge run.  Nothing may be used after it was
 * freed (the sanitizers look), nobody is left hanging, and given the time everybody is answered.
 *
 * The order is that of node_stop and node_free: drain, loops, writer, requests, transport, engine
 * and store.  QMN_SHUTDOWN_ROUNDS=1000 makes a run longer. */
#include "support/test.h"

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/config.h"
#include "daemon/node.h"
#include "support/http_client.h"

enum {
    ROUNDS = 4,
    PARKED = 4, /* of each kind */
    LOADERS = 4,
    IN_FLIGHT = 16, /* broadcasts sent and not waited for */
    GRACE_MS = 5000,
};

/* How it stops. */
enum manner { PATIENTLY, SOON, AT_ONCE, WITHOUT_DRAIN, MANNERS };

static char base[64], key[200], weak[200]; /* weak: may not broadcast, and tries */

static struct scene {
    struct config config;
    struct data_dir data;
    struct node *node;
    uint16_t port;
    struct http_client polls[PARKED], streams[PARKED], collects[PARKED], flights[IN_FLIGHT], backup;
} s;

/* ---- a node ---- */

static void start(bool sqlite)
{
    struct err err = {0};
    struct identity who = {.uid = getuid(), .gid = getgid()};
    char dir[96];
    snprintf(dir, sizeof dir, "%s/%s", base, sqlite ? "sqlite" : "memory");
    char *const argv[] = {(char *)(uintptr_t) "qmnd",
                          (char *)(uintptr_t) "--data-dir",
                          dir,
                          (char *)(uintptr_t) "--listen",
                          (char *)(uintptr_t) "127.0.0.1:0",
                          (char *)(uintptr_t) "--loops",
                          (char *)(uintptr_t) "2",
                          (char *)(uintptr_t) "--store",
                          (char *)(uintptr_t)(sqlite ? "sqlite" : "memory")};
    char *const none[] = {NULL};
    if (config_load(&s.config, ARRAY_LEN(argv), argv, none, &err) != QMN_OK ||
        node_bind(&s.config, &s.node, &err) != QMN_OK ||
        data_dir_open(s.config.data_dir, &who, false, &s.data, &err) != QMN_OK ||
        node_start(s.node, &s.data, &err) != QMN_OK)
        fail_msg("the node does not start: %s", err.text);
    s.port = node_port(s.node, 0);
    FILE *f = fopen(DATA_ADMIN_KEY, "r"); /* the data directory is the working directory */
    assert_non_null(f);
    assert_non_null(fgets(key, sizeof key, f));
    fclose(f);
    key[strcspn(key, "\n")] = 0;
}

static void stop(enum manner manner)
{
    if (manner != WITHOUT_DRAIN)
        node_stop(s.node, manner == PATIENTLY ? GRACE_MS : manner == SOON ? 20 : 0);
    node_free(TAKE(s.node));
    data_dir_close(&s.data);
    config_release(&s.config);
}

/* ---- requests ---- */

static bool ask_as(struct http_client *c, const char *who, const char *method, const char *path,
                   const char *body)
{
    char text[2048];
    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: t\r\nX-API-Key: %s\r\nContent-Length: %zu\r\n\r\n%s", method,
             path, who, strlen(body), body);
    return http_sends(c, text);
}

static bool ask(struct http_client *c, const char *method, const char *path, const char *body)
{
    return ask_as(c, key, method, path, body);
}

static void call(const char *method, const char *path, const char *body)
{
    struct http_client c;
    struct http_reply reply;
    http_connect(&c, s.port);
    assert_true(ask(&c, method, path, body));
    http_get_reply(&c, &reply);
    if (reply.status < 200 || reply.status > 204)
        fail_msg("%s %s: %d %s", method, path, reply.status, reply.body.ptr);
    http_reply_release(&reply);
    http_close(&c);
}

static void make_weak_key(void)
{
    struct http_client c;
    struct http_reply reply;
    http_connect(&c, s.port);
    assert_true(ask(&c, "POST", "/v1/keys", "{\"scopes\":[\"inbox\"]}"));
    http_get_reply(&c, &reply);
    const char *at = strstr(reply.body.ptr, "\"api_key\":\"");
    assert_non_null(at);
    snprintf(weak, sizeof weak, "%s", at + strlen("\"api_key\":\""));
    weak[strcspn(weak, "\"")] = 0;
    http_reply_release(&reply);
    http_close(&c);
}

static void send_on(struct http_client *c, const char *method, const char *path, const char *body)
{
    http_connect(c, s.port);
    assert_true(ask(c, method, path, body));
}

#define BROADCAST                                                                                  \
    "{\"summary\":\"s\",\"text\":\"slow queries\",\"source_agent_id\":\"asker\",\"top_k\":1}"

/* An agent that was asked and is around, so that a collect waits for it; one nobody ever asks. */
static void set_scene(void)
{
    call("POST", "/v1/agents:register",
         "{\"agent_id\":\"helper\",\"profile\":{\"text\":\"slow queries\"}}");
    call("POST", "/v1/agents:register", "{\"agent_id\":\"asker\"}");
    call("POST", "/v1/agents:register", "{\"agent_id\":\"idle\"}");
    call("POST", "/v1/nutrients:broadcast", BROADCAST);
    call("GET", "/v1/agents/helper/nutrients", "");
    make_weak_key();
}

static void park(void)
{
    for (int i = 0; i < PARKED; i++) {
        struct http_reply head;
        send_on(&s.polls[i], "GET", "/v1/agents/idle/nutrients?wait_ms=25000", "");
        send_on(&s.collects[i], "POST", "/v1/contexts:collect",
                "{\"text\":\"slow queries\",\"agent_id\":\"asker\",\"window_ms\":5000}");
        send_on(&s.streams[i], "GET", "/v1/agents/idle/nutrients:stream", "");
        http_read_head(&s.streams[i], &head);
        assert_int_equal(head.status, 200);
        http_reply_release(&head);
    }
}

/* What is on its way when the node stops. */
static void set_off(bool sqlite, int round)
{
    char body[96];
    for (int i = 0; i < IN_FLIGHT; i++)
        send_on(&s.flights[i], "POST", "/v1/nutrients:broadcast", BROADCAST);
    if (!sqlite)
        return;
    snprintf(body, sizeof body, "{\"id\":\"gone-%d-%d\",\"name\":\"g\"}", (int)getpid(), round);
    call("POST", "/v1/tenants", body);
    snprintf(body, sizeof body, "/v1/tenants/gone-%d-%d?purge=true", (int)getpid(), round);
    call("DELETE", body, "");
    snprintf(body, sizeof body, "{\"path\":\"%d.db\"}", round);
    send_on(&s.backup, "POST", "/v1/node:backup", body);
}

static bool silent(const struct http_client *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static void all_are_parked(void)
{
    for (int i = 0; i < PARKED; i++) {
        assert_true(silent(&s.polls[i]));
        assert_true(silent(&s.collects[i]));
    }
}

/* Allowed or, for the audit, denied. */
static void *load(void *arg)
{
    struct http_client c;
    const char *who = arg;
    http_connect(&c, s.port);
    for (bool on = true; on;) {
        struct http_reply reply;
        if (!ask_as(&c, who, "POST", "/v1/nutrients:broadcast", BROADCAST))
            break;
        http_get_reply(&c, &reply);
        on = reply.status != 0 && !reply.close;
        http_reply_release(&reply);
    }
    http_close(&c);
    return NULL;
}

/* ---- what became of them ---- */

/* An answer or the end of the connection, in time; answered: it must be 200. */
static void has_ended(struct http_client *c, bool answered, const char *what)
{
    struct http_reply reply;
    http_get_reply(c, &reply);
    if (answered && (reply.status != 200 || reply.truncated))
        fail_msg("%s: %d %s", what, reply.status, reply.body.len ? reply.body.ptr : "");
    http_reply_release(&reply);
    http_close(c);
}

static void look(bool sqlite, enum manner manner)
{
    bool answered = manner == PATIENTLY;
    for (int i = 0; i < PARKED; i++) {
        has_ended(&s.polls[i], answered, "a long poll");
        has_ended(&s.collects[i], answered, "a collect");
        char rest[256];
        while (read(s.streams[i].fd, rest, sizeof rest) > 0)
            ;
        http_close(&s.streams[i]);
    }
    for (int i = 0; i < IN_FLIGHT; i++) /* refused, perhaps, if read after the drain began */
        has_ended(&s.flights[i], false, "a broadcast");
    if (sqlite)
        has_ended(&s.backup, false, "a backup");
}

static int rounds(void)
{
    const char *text = getenv("QMN_SHUTDOWN_ROUNDS");
    return text ? atoi(text) : ROUNDS;
}

static void it_stops_in_order_whatever_is_under_way(void **state)
{
    (void)state;
    for (int round = 0; round < rounds(); round++) {
        enum manner manner = (enum manner)(round % MANNERS);
        bool sqlite = round / MANNERS % 2 == 0;
        pthread_t threads[LOADERS];
        start(sqlite);
        set_scene();
        park();
        for (int i = 0; i < LOADERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load, i % 2 ? weak : key), 0);
        set_off(sqlite, round);
        all_are_parked();
        stop(manner);
        look(sqlite, manner);
        for (int i = 0; i < LOADERS; i++)
            pthread_join(threads[i], NULL);
    }
}

static void one_that_was_only_bound_or_only_started_goes_as_well(void **state)
{
    struct err err = {0};
    char *const argv[] = {(char *)(uintptr_t) "qmnd", (char *)(uintptr_t) "--listen",
                          (char *)(uintptr_t) "127.0.0.1:0"};
    char *const none[] = {NULL};
    (void)state;
    assert_int_equal(config_load(&s.config, ARRAY_LEN(argv), argv, none, &err), QMN_OK);
    assert_int_equal(node_bind(&s.config, &s.node, &err), QMN_OK);
    node_stop(s.node, GRACE_MS);
    node_free(TAKE(s.node));
    config_release(&s.config);
    start(false);
    stop(WITHOUT_DRAIN);
}

/* ---- */

static int remove_one(const char *path, const struct stat *st QMN_UNUSED, int type QMN_UNUSED,
                      struct FTW *at QMN_UNUSED)
{
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    log_configure(LOG_ERROR, LOG_LOGFMT);
    snprintf(base, sizeof base, "%s/qmn-shutdown-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(base));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stops_in_order_whatever_is_under_way),
        cmocka_unit_test(one_that_was_only_bound_or_only_started_goes_as_well),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
