/* SPDX-License-Identifier: MIT
 *
 * Microseconds per broadcast body: 1536 dimensions as float64 text (Python's json), as base64 and
 * as protobuf; the two float scanners alone; and an answer encoded.  Prints the fastest of many
 * rounds, because the machine is shared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "codec/base64.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "codec/json_floats.h"
#include "qmn/v1/router.pb-c.h"

enum { DIM = 1536, ROUNDS = 2000, REPEAT = 10, BUF_BYTES = 1 << 20 };

struct job {
    const char *name;
    void (*run)(const struct job *job, struct arena *arena);
    struct bytes in;
    floats_scan_fn *scan;
    const ProtobufCMessage *msg;
};

static void die_if(bool failed, const char *what)
{
    if (!failed)
        return;
    fprintf(stderr, "bench_json: %s\n", what);
    exit(1);
}

static void run_json(const struct job *job, struct arena *arena)
{
    ProtobufCMessage *msg;
    struct err err = {0};
    die_if(json_decode(job->in, &qmn__v1__broadcast_request__descriptor, arena, &msg, &err) !=
               QMN_OK,
           err.text);
}

static void run_protobuf(const struct job *job, struct arena *arena)
{
    struct err err = {0};
    ProtobufCAllocator allocator = codec_allocator(arena);
    ProtobufCMessage *msg =
        protobuf_c_message_unpack(&qmn__v1__broadcast_request__descriptor, &allocator, job->in.len,
                                  (const uint8_t *)job->in.ptr);
    die_if(!msg || message_check_wire(msg, arena, &err) != QMN_OK, err.text);
}

static void run_scan(const struct job *job, struct arena *arena)
{
    float *out = arena_alloc(arena, DIM * sizeof *out);
    const char *p, *start = strstr(job->in.ptr, "\"embedding\":[") + 13;
    bool closed;
    size_t n = job->scan(start, job->in.ptr + job->in.len, out, DIM, &p, &closed);
    die_if(n < DIM * 99 / 100 && !closed, "the scanner stopped early");
}

static void run_encode(const struct job *job, struct arena *arena)
{
    static struct buf out;
    (void)arena;
    if (!out.max)
        buf_init(&out, BUF_BYTES);
    buf_clear(&out);
    die_if(json_encode(job->msg, &out) != QMN_OK, "encode");
}

static void measure(const struct job *job)
{
    struct arena arena;
    double best = 1e9;
    arena_init(&arena, 0);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_mono_us();
        for (int i = 0; i < REPEAT; i++) {
            arena_reset(&arena);
            job->run(job, &arena);
        }
        double us = (double)(clock_mono_us() - start) / REPEAT;
        best = us < best ? us : best;
    }
    arena_release(&arena);
    printf("%-34s %7zu bytes %8.2f us\n", job->name, job->in.len, best);
}

static void head(struct buf *b)
{
    buf_init(b, BUF_BYTES);
    buf_adds(b,
             "{\"summary\":\"nightly build fails in the linker\",\"tool_hints\":[\"cmake\",\"ld\"],"
             "\"snippets\":[\"undefined reference to main\"],\"sensitivity\":\"internal\","
             "\"ttl_sec\":30,");
}

static Qmn__V1__BroadcastResponse *answer(struct arena *arena)
{
    struct err err = {0};
    ProtobufCMessage *msg = NULL;
    const char *json = "{\"nutrient_id\":\"nu_0123456789abcdefghjkmnpqrstvwxyz0123\",\"trace_id\":"
                       "\"tr_0123456789abc"
                       "defghjkmnpqrstvwxyz0123\",\"routed_to\":[\"a-1\",\"a-2\",\"a-3\"],"
                       "\"routing_scores\":{\"a-1\":"
                       "0.8123457,\"a-2\":0.7123457,\"a-3\":0.6123457},\"created_at\":\"2024-05-"
                       "01T10:00:00Z\",\"hops\":"
                       "[{\"agent_id\":\"a-1\",\"hop\":1,\"score\":0.8123457,\"similarity\":0."
                       "7654321},{\"agent_id\":"
                       "\"a-2\",\"hop\":1,\"score\":0.7123457,\"similarity\":0.6654321}]}";
    die_if(json_decode(bytes_cstr(json), &qmn__v1__broadcast_response__descriptor, arena, &msg,
                       &err) != QMN_OK,
           err.text);
    return (Qmn__V1__BroadcastResponse *)msg;
}

int main(void)
{
    struct err err = {0};
    struct rng rng;
    struct buf json, base64;
    struct arena arena;
    float vector[DIM];
    die_if(codec_init(&err) != QMN_OK, err.text);
    rng_seed(&rng, 1);
    arena_init(&arena, 0);
    head(&json);
    buf_adds(&json, "\"embedding\":[");
    for (int i = 0; i < DIM; i++) {
        double x = rng_normal(&rng) * 0.0255; /* a unit vector's components */
        vector[i] = (float)x;
        buf_printf(&json, "%s%.19f", i ? ", " : "", x);
    }
    buf_adds(&json, "]}");
    buf_addc(&json, 0); /* for strstr() */
    json.len--;
    head(&base64);
    buf_adds(&base64, "\"embedding_b64\":\"");
    base64_encode(bytes_of(vector, sizeof vector), &base64);
    buf_adds(&base64, "\"}");
    ProtobufCMessage *msg;
    die_if(json_decode(buf_bytes(&json), &qmn__v1__broadcast_request__descriptor, &arena, &msg,
                       &err) != QMN_OK,
           err.text);
    uint8_t *packed = arena_alloc(&arena, protobuf_c_message_get_packed_size(msg));
    struct bytes wire = bytes_of(packed, protobuf_c_message_pack(msg, packed));
    const struct job jobs[] = {
        {.name = "broadcast, JSON array", .run = run_json, .in = buf_bytes(&json)},
        {.name = "broadcast, JSON base64", .run = run_json, .in = buf_bytes(&base64)},
        {.name = "broadcast, protobuf", .run = run_protobuf, .in = wire},
        {.name = "scanner alone, portable",
         .run = run_scan,
         .in = buf_bytes(&json),
         .scan = floats_scan_portable},
        {.name = "scanner alone, AVX-512",
         .run = run_scan,
         .in = buf_bytes(&json),
         .scan = floats_have_avx512() ? floats_scan_avx512 : floats_scan_portable},
        {.name = "answer encoded", .run = run_encode, .msg = &answer(&arena)->base},
    };
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        measure(&jobs[i]);
    arena_release(&arena);
    buf_release(&json);
    buf_release(&base64);
    return 0;
}
