/* SPDX-License-Identifier: MIT
 *
 * What HTTP/1.1 alone costs: answers every request with 35 bytes of JSON and, once a second, prints
 * requests and processor time per request.
 *
 *     build/bench/bench_net [PORT [LOOPS]]
 *     wrk -t1 -c64 -d10 -s post37k.lua http://127.0.0.1:8090/
 * where post37k.lua is
 *     wrk.method = "POST"; wrk.body = string.rep("x", 37000) */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/server.h"

static _Atomic uint64_t requests;

static void on_request(void *ctx, struct request *req)
{
    const struct header headers[] = {{BYTES_LIT("Content-Type"), BYTES_LIT("application/json")}};
    (void)ctx;
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    request_answer(req, 200, headers, 1, BYTES_LIT("{\"nutrient_id\":\"0123456789abcdef01\"}"));
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    uint16_t port = argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 8090;
    struct listener_config listener = {.host = "127.0.0.1", .port = port};
    struct server_config config = {.listeners = &listener,
                                   .listener_count = 1,
                                   .loops = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1,
                                   .handler = {.on_request = on_request}};
    struct server *s;
    struct err err;
    if (server_new(&config, &s, &err) != QMN_OK || server_start(s, &err) != QMN_OK) {
        fprintf(stderr, "bench_net: %s\n", err.text);
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", server_port(s, 0));
    for (;;) {
        uint64_t n = requests;
        double cpu = cpu_us();
        sleep(1);
        n = requests - n;
        cpu = cpu_us() - cpu;
        if (n)
            printf("%8llu req/s  %6.2f us of processor each\n", (unsigned long long)n,
                   cpu / (double)n);
        fflush(stdout);
    }
}
