/* SPDX-License-Identifier: MIT
 *
 * See fixture.h. */
#include "fixture.h"

#include <stdlib.h>

#include "base/log.h"
#include "codec/codec.h"

struct handler handler;
struct metrics *registry;
static struct api *api;

int api_up(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_LOGFMT);
    struct err e;
    if (codec_init(&e) != QMN_OK) {
        print_error("%s\n", e.text);
        return -1;
    }
    registry = metrics_new();
    static const char *const services[] = {NULL, "memory"};
    const struct api_config config = {.engine = (struct engine *)&fake,
                                      .metrics = registry,
                                      .region = "test",
                                      .version = "1.2.3",
                                      .listener_services = services,
                                      .listener_count = 2};
    if (api_new(&config, &api, &e) != QMN_OK) {
        print_error("%s\n", e.text);
        return -1;
    }
    handler = api_handler(api);
    return 0;
}

int api_down(void **state)
{
    (void)state;
    fake_http_reset();
    api_free(api);
    metrics_free(registry);
    codec_release();
    return 0;
}

int api_reset(void **state)
{
    (void)state;
    fake_http_reset();
    fake_engine_reset();
    return 0;
}

void expect_with(int status, const char *headers, const char *method_and_target, const char *body)
{
    fake_http(&handler, method_and_target, headers, body);
    if (got.answers != 1 || got.status != status)
        print_error("%s: %u answers, %d: %s\n", method_and_target, got.answers, got.status,
                    got.body ? got.body : "");
    assert_int_equal(got.answers, 1);
    assert_int_equal(got.status, status);
}

void expect(int status, const char *method_and_target, const char *body)
{
    expect_with(status, KEY, method_and_target, body);
}

double metric_sum(const char *name, const char *labels)
{
    struct buf b;
    buf_init(&b, 4 << 20);
    metrics_expose(registry, &b);
    buf_addc(&b, 0);
    assert_true(buf_ok(&b));
    double sum = 0;
    size_t len = strlen(name);
    for (char *line = b.ptr; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        size_t end = strcspn(line, "\n");
        char *space = memrchr(line, ' ', end);
        if (!space || strncmp(line, name, len) != 0 || (line[len] != '{' && line[len] != ' '))
            continue;
        *space = 0;
        if (strstr(line, labels))
            sum += strtod(space + 1, NULL);
        *space = ' ';
    }
    buf_release(&b);
    return sum;
}
