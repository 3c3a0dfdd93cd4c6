/* SPDX-License-Identifier: MIT
 *
 * The transport over a cardboard engine and a cardboard network. */
#ifndef QMN_TESTS_API_FIXTURE_H
#define QMN_TESTS_API_FIXTURE_H

#include "support/test.h"

#include "api/api.h"
#include "fake_engine.h"
#include "fake_http.h"

#define KEY   "X-API-Key: " FAKE_KEY "\n"
#define ADMIN "X-API-Key: " FAKE_ADMIN_KEY "\n"

extern struct handler handler;
extern struct metrics *registry;

/* cmocka group and test set-ups. */
int api_up(void **state);
int api_down(void **state);
int api_reset(void **state);

/* With the ordinary key; asserts exactly one answer with this status. */
void expect(int status, const char *method_and_target, const char *body);
void expect_with(int status, const char *headers, const char *method_and_target, const char *body);
/* The body of the last answer holds / does not hold this. */
#define assert_body_has(text)                                                                      \
    do {                                                                                           \
        if (!strstr(got.body, (text))) {                                                           \
            print_error("\"%s\" is not in: %s\n", (text), got.body);                               \
            fail();                                                                                \
        }                                                                                          \
    } while (0)
#define assert_body_lacks(text) assert_null(strstr(got.body, (text)))

/* A sum over all series of a metric in the exposition whose labels hold `labels`. */
double metric_sum(const char *name, const char *labels);

#endif
