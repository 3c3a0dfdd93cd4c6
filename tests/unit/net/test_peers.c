/* SPDX-License-Identifier: MIT
 *
 * Counts by address: who is one peer and who is not, against an array. */
#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/rng.h"
#include "net/peers_priv.h"
#include "support/fault.h"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        a.ss_family = AF_INET;
        v4->sin_port = 4711; /* not part of who it is */
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        a.ss_family = AF_INET6;
        v6->sin6_port = 4712;
    }
    return a;
}

static enum qmn_code join(struct peers *p, const char *text, struct peer **ret)
{
    struct sockaddr_storage a = address(text);
    struct err err;
    enum qmn_code code = peers_join(p, &a, ret, &err);
    if (code != QMN_OK)
        assert_int_equal(err.retry_after_s, 1);
    return code;
}

static void a_peer_may_have_so_many_and_no_more(void **state)
{
    (void)state;
    struct peers p;
    struct peer *a[3], *other, *none = NULL;
    peers_init(&p, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(&p, "192.0.2.1", &a[i]), QMN_OK);
    assert_int_equal(join(&p, "192.0.2.1", &none), QMN_E_OVERLOADED);
    assert_null(none);
    assert_int_equal(join(&p, "192.0.2.2", &other), QMN_OK);
    peers_leave(&p, a[0]);
    assert_int_equal(join(&p, "192.0.2.1", &a[0]), QMN_OK);
    assert_int_equal(p.all.len, 2);
    for (int i = 0; i < 3; i++)
        peers_leave(&p, a[i]);
    peers_leave(&p, other);
    assert_int_equal(p.all.len, 0); /* who has left is forgotten */
    peers_release(&p);
}

static void who_is_the_same_peer(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8::1", "2001:db8::ffff:1", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"fe80::1", "fe80::2", false},
        {"::1", "127.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peers p;
        struct peer *a, *b;
        peers_init(&p, 2);
        assert_int_equal(join(&p, rows[i].a, &a), QMN_OK);
        assert_int_equal(join(&p, rows[i].b, &b), QMN_OK);
        assert_int_equal(a == b, rows[i].same);
        peers_leave(&p, a);
        peers_leave(&p, b);
        peers_release(&p);
    }
}

static void random_comings_and_goings_agree_with_an_array(void **state)
{
    enum { PEERS = 300, EACH = 4 };
    (void)state;
    static struct peer *held[PEERS][EACH];
    int count[PEERS] = {0};
    struct peers p;
    struct rng rng;
    peers_init(&p, EACH);
    rng_seed(&rng, 11);
    for (int i = 0; i < 50000; i++) {
        char text[32];
        uint32_t k = rng_below(&rng, PEERS);
        struct peer *peer;
        snprintf(text, sizeof text, "10.0.%u.%u", k / 256, k % 256);
        if (rng_below(&rng, 2) && count[k]) {
            peers_leave(&p, held[k][--count[k]]);
        } else if (join(&p, text, &peer) == QMN_OK) {
            assert_true(count[k] < EACH);
            held[k][count[k]++] = peer;
            assert_int_equal(peer->connections, count[k]);
        } else {
            assert_int_equal(count[k], EACH);
        }
    }
    size_t here = 0;
    for (int k = 0; k < PEERS; k++)
        here += count[k] > 0;
    assert_int_equal(p.all.len, here);
    for (int k = 0; k < PEERS; k++)
        while (count[k])
            peers_leave(&p, held[k][--count[k]]);
    peers_release(&p);
}

static void without_memory_nobody_is_counted(void **state)
{
    (void)state;
    struct peers p;
    struct peer *peer;
    peers_init(&p, 3);
    for (unsigned n = 1;; n++) {
        fault_arm(n);
        enum qmn_code code = join(&p, "192.0.2.1", &peer);
        if (!fault_disarm()) {
            assert_int_equal(code, QMN_OK);
            break;
        }
        assert_int_equal(code, QMN_E_NOMEM);
        assert_int_equal(p.all.len, 0);
    }
    peers_leave(&p, peer);
    peers_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_may_have_so_many_and_no_more),
        cmocka_unit_test(who_is_the_same_peer),
        cmocka_unit_test(random_comings_and_goings_agree_with_an_array),
        cmocka_unit_test(without_memory_nobody_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
