/* SPDX-License-Identifier: MIT
 *
 * An inbox as server-sent events: a pull that waits, over and over.  Each item is one event whose
 * id is its inbox sequence; a comment every 15 s keeps proxies awake.
 *
 * Last-Event-ID resumes: what the client has seen is not offered again while its lease could still
 * run, and what a stream that has ended was sent above that is taken over at once.  After that time
 * everything is offered, because an item that nobody acknowledged must come back; a redelivery
 * carries no id, so that a client's position never moves backwards.
 *
 * A reader that falls behind pauses the pulls (its items stay in the inbox, unleased) instead of
 * filling memory.  What was leased for it and had not left the node when its connection ended goes
 * back, for the next reader to have at once.  Belongs to the request's loop. */
#include "base/mem.h"
#include "codec/json_encode.h"
#include "inbox_priv.h"
#include "operations_priv.h"

enum {
    HEARTBEAT_MS = 15000,
    PAUSE_ABOVE_BYTES = 262144, /* a quarter of what net allows before it gives the reader up */
    PAUSE_MS = 50,
    ARENA_MAX_BYTES = 64 << 20, /* of one pull: what net allows any other request */
    ROUNDS_AT_ONCE = 8,         /* a full inbox must not keep the loop from everybody else */
    EVENT_MAX_BYTES = 8 << 20,
};

/* An item that may not have left the node. */
struct flight {
    int64_t sequence;
    uint64_t end; /* in request_stream_sent(); UINT64_MAX: not sent yet */
};

struct stream {
    struct timer timer;
    struct api_call *x;
    struct arena arena; /* of one pull */
    struct pull_in in;
    struct pull_out out;
    int64_t last_id;      /* highest sequence that went out, or came as Last-Event-ID */
    int64_t resume_from;  /* Last-Event-ID */
    int64_t resume_until; /* clock_mono_us() until which only sequences above it are asked for */
    uint64_t sent_bytes;
    struct flight *flights; /* in the order they go */
    size_t flight_count, flight_cap;
    bool begun;
    bool starting, done; /* a pull may be done before engine_pull returns */
};

/* What to do after a step. */
enum next { NEXT_PULL = 1, NEXT_PAUSE, NEXT_ENDED };

/* ---- what is on its way ---- */

static uint64_t position(const struct request *req, size_t behind)
{
    uint64_t sent = request_stream_sent(req);
    return sent > behind ? sent - behind : 0; /* the head may be pending, too */
}

/* The items of a pull, to be sent.  NULL: none, or no memory, and their leases run their time. */
static struct flight *flights_add(struct stream *s)
{
    uint64_t left = position(s->x->req, request_stream_pending(s->x->req));
    size_t landed = 0;
    while (landed < s->flight_count && s->flights[landed].end <= left)
        landed++;
    s->flight_count -= landed;
    if (landed)
        memmove(s->flights, s->flights + landed, s->flight_count * sizeof *s->flights);
    if (!s->out.count)
        return NULL;
    size_t need = s->flight_count + s->out.count;
    if (need > s->flight_cap) {
        struct flight *more = mem_resize(s->flights, need, sizeof *more);
        if (!more)
            return NULL;
        s->flights = more;
        s->flight_cap = need;
    }
    struct flight *first = s->flights + s->flight_count;
    for (size_t i = 0; i < s->out.count; i++)
        first[i] = (struct flight){s->out.items[i].sequence, UINT64_MAX};
    s->flight_count = need;
    return first;
}

/* The sequences of those that will never leave. */
static const int64_t *flights_lost(struct stream *s, size_t *ret_count)
{
    uint64_t left = position(s->x->req, request_stream_lost(s->x->req));
    int64_t *lost = arena_array(&s->arena, int64_t, s->flight_count + 1);
    *ret_count = 0;
    for (size_t i = 0; lost && i < s->flight_count; i++)
        if (s->flights[i].end > left)
            lost[(*ret_count)++] = s->flights[i].sequence;
    return lost;
}

/* ---- the stream ---- */

static void stream_release(struct stream *s)
{
    size_t count;
    const int64_t *unsent = flights_lost(s, &count);
    engine_stream_close(s->x->api->engine, s->in.stream, unsent, count);
    mem_free(s->flights);
    arena_release(&s->arena);
}

static void stream_end(struct stream *s)
{
    struct api_call *x = s->x;
    struct request *req = x->req;
    req->exec->timer_cancel(req->exec, &s->timer);
    stream_release(s);
    answer_account(x, x->route->status, s->sent_bytes);
    request_stream_end(req);
}

static bool stream_send(struct stream *s, struct bytes data)
{
    s->sent_bytes += data.len;
    return request_stream_send(s->x->req, data);
}

static bool stream_begin(struct stream *s)
{
    struct answer_headers h;
    answer_headers(s->x, &h);
    answer_header(&h, "Content-Type", bytes_cstr(s->x->route->media));
    answer_header(&h, "X-Accel-Buffering", BYTES_LIT("no"));
    s->begun = true;
    return request_stream_begin(s->x->req, s->x->route->status, h.list, h.count) &&
           stream_send(s, BYTES_LIT(": nutrients\n\n"));
}

static bool send_item(struct stream *s, const struct inbox_item *item)
{
    const Qmn__V1__InboxItem *m = out_inbox_item(s->x, item);
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, EVENT_MAX_BYTES);
    buf_adds(&b, "event: nutrient\n");
    if (item->sequence > s->last_id) {
        s->last_id = item->sequence;
        buf_printf(&b, "id: %lld\n", (long long)item->sequence);
    }
    buf_adds(&b, "data: ");
    if (!m || s->x->oom || s->arena.failed || json_encode(&m->base, &b) != QMN_OK)
        return false;
    buf_adds(&b, "\n\n");
    return buf_ok(&b) && stream_send(s, buf_bytes(&b));
}

static bool send_items(struct stream *s, struct flight *flights)
{
    if (s->out.count == 0 && s->in.wait_ms)
        return stream_send(s, BYTES_LIT(": heartbeat\n\n"));
    for (size_t i = 0; i < s->out.count; i++) {
        if (!send_item(s, &s->out.items[i]))
            return false;
        if (flights)
            flights[i].end = request_stream_sent(s->x->req);
    }
    return true;
}

/* After a pull. */
static enum next stream_step(struct stream *s)
{
    struct api_call *x = s->x;
    x->running = false;
    if (x->call.code != QMN_OK && !s->begun) {
        x->call.err.code = x->call.code;
        stream_release(s);
        answer_error(x, &x->call.err);
        return NEXT_ENDED;
    }
    struct flight *flights = x->call.code == QMN_OK ? flights_add(s) : NULL;
    bool going = x->call.code == QMN_OK && !x->req->gone && x->req->method != HTTP_HEAD;
    if (!(s->begun || stream_begin(s)) || !going || !send_items(s, flights)) {
        stream_end(s);
        return NEXT_ENDED;
    }
    return request_stream_pending(x->req) > PAUSE_ABOVE_BYTES ? NEXT_PAUSE : NEXT_PULL;
}

static void stream_pause(struct stream *s)
{
    struct executor *exec = s->x->req->exec;
    if (!exec->timer_set(exec, &s->timer, PAUSE_MS))
        stream_end(s);
}

/* Pulls until one has to wait, the reader falls behind, or the stream ends. */
static void stream_run(struct stream *s)
{
    struct api_call *x = s->x;
    for (int round = 0; round < ROUNDS_AT_ONCE; round++) {
        s->in.wait_ms = s->begun ? HEARTBEAT_MS : 0;
        s->in.resume = clock_mono_us() < s->resume_until;
        if (x->req->method == HTTP_HEAD)
            s->in.after = INT64_MAX; /* asks whether, and leases nothing */
        else
            s->in.after = s->in.resume ? s->resume_from : 0;
        arena_reset(&s->arena);
        s->starting = true;
        s->done = false;
        x->running = true;
        engine_pull(x->api->engine, &x->call, &s->in, &s->out);
        s->starting = false;
        if (!s->done)
            return;
        enum next next = stream_step(s);
        if (next == NEXT_ENDED)
            return;
        if (next == NEXT_PAUSE)
            break;
    }
    stream_pause(s);
}

static void stream_pulled(struct call *c)
{
    struct stream *s = CONTAINER_OF(c, struct api_call, call)->data;
    s->done = true;
    if (s->starting)
        return;
    switch (stream_step(s)) {
    case NEXT_PULL:
        stream_run(s);
        break;
    case NEXT_PAUSE:
        stream_pause(s);
        break;
    case NEXT_ENDED:
        break;
    }
}

static void stream_woken(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, timer);
    if (request_stream_pending(s->x->req) > PAUSE_ABOVE_BYTES)
        stream_pause(s);
    else
        stream_run(s);
}

/* The client left: while a pull waits its done function ends the stream, while paused nobody else
 * would. */
static void stream_gone(struct request *req)
{
    struct api_call *x = req->user;
    if (x->running)
        engine_cancel(x->api->engine, &x->call);
    else
        stream_end(x->data);
}

static enum qmn_code read_last_id(const struct request *req, int64_t *ret, struct err *err)
{
    struct bytes text;
    TRY(header_single(req, "last-event-id", &text, err));
    int64_t id = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || id > (INT64_MAX - 9) / 10)
            return err_field(err, QMN_E_INVALID, "Last-Event-ID",
                             "expected the id of an event, a whole number");
        id = id * 10 + (text.ptr[i] - '0');
    }
    *ret = id;
    return QMN_OK;
}

static enum qmn_code stream_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__PullRequest *m = IN(Qmn__V1__PullRequest, x);
    struct stream *s = DATA(struct stream, x);
    TRY(read_last_id(x->req, &s->last_id, err));
    s->x = x;
    s->timer.fire = stream_woken;
    s->in = (struct pull_in){
        .agent_id = in_text(m->agent_id),
        .limit = m->limit,
        .lease_ms = m->lease_ms,
        .embedding = m->embedding,
        .stream = engine_stream_open(x->api->engine),
    };
    s->resume_from = s->last_id;
    if (s->last_id)
        s->resume_until = clock_mono_us() + (int64_t)m->lease_ms * 1000;
    arena_init(&s->arena, ARENA_MAX_BYTES);
    x->call.arena = &s->arena;
    x->call.done = stream_pulled;
    x->req->on_gone = stream_gone;
    stream_run(s);
    return QMN_OK;
}

const struct operation op_stream = {
    .call = "engine_pull",
    .request = &qmn__v1__pull_request__descriptor,
    .response = &qmn__v1__inbox_item__descriptor,
    .data_size = sizeof(struct stream),
    .start = stream_start,
};
