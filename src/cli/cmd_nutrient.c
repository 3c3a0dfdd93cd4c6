/* SPDX-License-Identifier: MIT
 *
 * broadcast, inbox, ack, nack, respond. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_priv.h"
#include "codec/json_decode.h"
#include "qmn/v1/router.pb-c.h"

/* Where one nutrient went, and why. */
static void print_hops(struct cli *c, Qmn__V1__Hop *const *hops, size_t count)
{
    struct table t;
    TABLE(&t, c, "TO", ">SCORE", ">SIMILARITY", ">EDGE", ">DEMAND", ">SKILLS", "BY");
    for (size_t i = 0; i < count; i++) {
        const Qmn__V1__Hop *h = hops[i];
        table_cell(&t, S_BOLD "%s", cli_or(h->agent_id, "?"));
        table_cell(&t, S_GREEN "%.3f", (double)h->score);
        table_cell(&t, "%.3f", (double)h->similarity);
        table_cell(&t, "%.3f", (double)h->edge_weight);
        table_cell(&t, "%.2f", (double)h->demand);
        table_cell(&t, "%u", h->capability_matches);
        if (h->explored)
            table_cell(&t, "chance");
        else
            table_cell(&t, "%s%s", h->hop > 1 ? "passed on by " : "choice",
                       h->hop > 1 ? cli_or(h->from_agent_id, "?") : "");
    }
    table_end(&t, "nobody");
}

enum qmn_code cmd_broadcast(struct cli *c, struct err *err)
{
    Qmn__V1__BroadcastRequest *in;
    Qmn__V1__BroadcastResponse *out;
    const char *text;
    TRY(cli_words(c, 0, &text, err));
    TRY(cli_request(c, &qmn__v1__broadcast_request__descriptor, &in, err));
    in->summary = in->text = (char *)(uintptr_t)text;
    const struct client_call call = {"POST",    "/v1/nutrients:broadcast",
                                     &in->base, &qmn__v1__broadcast_response__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    print_hops(c, out->hops, out->n_hops);
    if (out->n_hops == 0 && out->reason)
        cli_print(c, "%s\n", out->reason);
    cli_print(c,
              S_DIM "nutrient" S_OFF " %s\n" S_DIM "trace" S_OFF "    %s\n" S_DIM
                    "qmn outcome TRACE SCORE teaches the network" S_OFF "\n",
              cli_or(out->nutrient_id, "-"), cli_or(out->trace_id, "-"));
    return QMN_OK;
}

/* ---- inbox ---- */

static void print_item(struct cli *c, const Qmn__V1__InboxItem *i)
{
    cli_print(c, S_BOLD "%s" S_OFF "  from %s%s%s  %s%s\n", cli_or(i->nutrient_id, "?"),
              cli_or(i->source_agent_id, "?"), i->hop > 1 ? " via " : "",
              i->hop > 1 ? cli_or(i->from_agent_id, "?") : "", cli_when(c, i->created_at),
              i->attempt > 1 ? S_YELLOW "  (again)" S_OFF : "");
    cli_print(c, "  %s\n", cli_or(i->summary, ""));
    for (size_t k = 0; k < i->n_snippets; k++)
        cli_print(c, S_DIM "  | %s" S_OFF "\n", i->snippets[k]);
    if (i->n_tool_hints)
        cli_print(c, S_DIM "  hints: %s" S_OFF "\n", cli_join(c, i->tool_hints, i->n_tool_hints));
}

/* Without a word: what is printed are the nutrients. */
static enum qmn_code ack_ids(struct cli *c, struct client *by, char **ids, size_t count,
                             struct err *err)
{
    struct client_answer answer;
    Qmn__V1__AckRequest in;
    qmn__v1__ack_request__init(&in);
    in.nutrient_ids = ids;
    in.n_nutrient_ids = count;
    const struct client_call call = {
        "POST", cli_path(c, "/v1/agents/%s/nutrients:ack", c->args[0]), &in.base, NULL, NULL, 0};
    return client_send(by, &call, &c->arena, &answer, err);
}

struct following {
    struct cli *c;
    const char *path;
    struct client *acker; /* a connection of its own: the stream keeps the first one busy */
    char last_id[64];     /* of the last nutrient that is dealt with: where a new stream goes on */
    bool stop;
    enum qmn_code code;
    struct err *err;
};

static bool ack_one(struct following *f, char *id)
{
    f->code = ack_ids(f->c, f->acker, &id, 1, f->err);
    return f->code == QMN_OK;
}

static bool show_event(struct following *f, const struct client_event *e)
{
    struct cli *c = f->c;
    ProtobufCMessage *m = message_new(&qmn__v1__inbox_item__descriptor, &c->arena);
    f->code = m ? json_decode_into(e->data, m, &c->arena, f->err) : err_nomem(f->err);
    if (f->code != QMN_OK)
        return false;
    const Qmn__V1__InboxItem *item = (const Qmn__V1__InboxItem *)(const void *)m;
    if (c->json)
        printf("%.*s\n", BYTES_FMT(e->data));
    else
        print_item(c, item);
    f->stop = fflush(stdout) != 0;
    return !f->stop && (!f->acker || !item->nutrient_id || ack_one(f, item->nutrient_id));
}

/* Each event gets an arena of its own: this may run for weeks. */
static bool follow_event(void *ctx, const struct client_event *e)
{
    struct following *f = ctx;
    struct arena kept = f->c->arena;
    if (!bytes_is(e->type, "nutrient"))
        return true;
    arena_init(&f->c->arena, 0);
    bool go_on = show_event(f, e);
    arena_release(&f->c->arena);
    f->c->arena = kept;
    if (go_on)
        snprintf(f->last_id, sizeof f->last_id, "%.*s", BYTES_FMT(e->id));
    return go_on;
}

/* Whether it is worth asking again: nobody is there, or somebody says "later". */
static bool may_pass(const struct following *f, enum qmn_code code)
{
    const struct client *asked = f->code != QMN_OK ? f->acker : f->c->client;
    return code == QMN_OK || code_info(code)->retryable || (asked && client_unreachable(asked));
}

/* One stream after the other: a node may be restarted under whoever listens.  Only the first has to
 * begin, or a mistyped address would be tried for ever. */
static enum qmn_code follow_on(struct following *f, struct err *err)
{
    enum {
        SILENCE_MS = 60000, /* the node sends a sign of life every 15 s */
        PAUSE_MS = 250,     /* a guess: a node is back within a second */
        PAUSE_MAX_MS = 5000
    };
    struct cli *c = f->c;
    uint32_t pause_ms = PAUSE_MS;
    for (bool ever = false;; ever = true) {
        f->code = QMN_OK;
        enum qmn_code code =
            client_stream(c->client, f->path, f->last_id, SILENCE_MS, follow_event, f, err);
        bool begun = client_stream_begun(c->client);
        code = code != QMN_OK ? code : f->code;
        if (f->stop || !may_pass(f, code) || !(begun || ever))
            return code;
        if (begun) {
            pause_ms = PAUSE_MS;
            cli_note(c, S_DIM "%s ended the stream; listening again once it answers" S_OFF "\n",
                     client_address(c->client));
        }
        usleep(pause_ms * 1000);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
}

static enum qmn_code follow(struct cli *c, const char *path, struct err *err)
{
    struct following f = {.c = c, .path = path, .code = QMN_OK, .err = err};
    TRY(cli_connect(c, err));
    if (cli_flag(c, "ack")) {
        struct client *first = TAKE(c->client);
        enum qmn_code code = cli_connect(c, err);
        f.acker = TAKE(c->client);
        c->client = first;
        TRY(code);
    }
    if (!c->json)
        cli_note(c, S_DIM "listening for %s; end with Ctrl-C" S_OFF "\n", c->args[0]);
    enum qmn_code code = follow_on(&f, err);
    client_free(f.acker);
    return code;
}

/* The path of a pull or a stream; NULL when out of memory. */
static const char *inbox_path(struct cli *c, bool streaming, double limit, double lease_s,
                              double wait_s)
{
    CLEANUP(buf_release) struct buf path;
    buf_init(&path, 4096);
    buf_adds(&path,
             cli_path(c, streaming ? "/v1/agents/%s/nutrients:stream" : "/v1/agents/%s/nutrients",
                      c->args[0]));
    client_path_query_int(&path, "lease_ms", (int64_t)(lease_s * 1000));
    client_path_query_int(&path, "limit", (int64_t)limit);
    if (!streaming)
        client_path_query_int(&path, "wait_ms", (int64_t)(wait_s * 1000));
    return buf_ok(&path) ? arena_cstr(&c->arena, buf_bytes(&path)) : NULL;
}

static enum qmn_code ack_items(struct cli *c, const Qmn__V1__PullResponse *out, struct err *err)
{
    char **ids = arena_array(&c->arena, char *, out->n_nutrients);
    if (!ids)
        return err_nomem(err);
    for (size_t i = 0; i < out->n_nutrients; i++)
        ids[i] = out->nutrients[i]->nutrient_id;
    return ack_ids(c, c->client, ids, out->n_nutrients, err);
}

/* What is in the inbox and was not printed: more of it, or leased by an earlier look. */
static void print_rest(struct cli *c, const Qmn__V1__PullResponse *out, bool acked)
{
    const char *agent = c->args[0];
    const char *first = out->n_nutrients ? out->nutrients[0]->nutrient_id : NULL;
    if (out->n_nutrients == 0 && out->pending == 0)
        cli_print(c, S_DIM "nothing for %s" S_OFF "\n", agent);
    else if (out->n_nutrients == 0)
        cli_print(c,
                  S_DIM "nothing new for %s\n%u read before and not acknowledged: offered again "
                        "when the lease ends,\n30 s after it was read or what --lease said" S_OFF
                        "\n",
                  agent, out->pending);
    else if (!acked)
        cli_print(c, S_DIM "yours until %s, then offered again" S_OFF "\n",
                  cli_time(c, out->nutrients[0]->lease_until));
    if (out->pending && !acked)
        cli_print(c, S_DIM "done with it?  qmn ack %s %s%s" S_OFF "\n", agent,
                  cli_or(first, "NUTRIENT"), out->n_nutrients > 1 ? " ..." : "");
    if (out->n_nutrients && out->pending > out->n_nutrients)
        cli_print(c, S_DIM "%u more in the inbox" S_OFF "\n",
                  out->pending - (unsigned)out->n_nutrients);
    if (out->dropped)
        cli_print(c, S_DIM "%llu dropped, since the inbox was full" S_OFF "\n",
                  (unsigned long long)out->dropped);
}

enum qmn_code cmd_inbox(struct cli *c, struct err *err)
{
    double limit, wait_s, lease_s;
    Qmn__V1__PullResponse *out;
    TRY(cli_number(c, "limit", 1, 1000, 10, &limit, err));
    TRY(cli_number(c, "wait", 0, 25, 0, &wait_s, err));
    TRY(cli_number(c, "lease", 1, 3600, 30, &lease_s, err));
    bool streaming = cli_flag(c, "follow"), ack = cli_flag(c, "ack");
    const char *path = inbox_path(c, streaming, limit, lease_s, wait_s);
    if (!path)
        return err_nomem(err);
    if (streaming)
        return follow(c, path, err);

    const struct client_call call = {"GET", path,
                                     NULL,  &qmn__v1__pull_response__descriptor,
                                     NULL,  (uint32_t)(wait_s * 1000) + 30000};
    TRY(cli_ask(c, &call, &out, err));
    for (size_t i = 0; !c->json && i < out->n_nutrients; i++)
        print_item(c, out->nutrients[i]);
    if (!c->json)
        print_rest(c, out, ack);
    return ack && out->n_nutrients ? ack_items(c, out, err) : QMN_OK;
}

/* ---- ack, nack ---- */

static void print_ack(struct cli *c, const Qmn__V1__AckResponse *out, const char *what)
{
    cli_print(c, "%u %s\n", out->changed, what);
    if (out->n_unknown)
        cli_print(c, S_YELLOW "not in this inbox (expired, or done already):" S_OFF " %s\n",
                  cli_join(c, out->unknown, out->n_unknown));
}

enum qmn_code cmd_ack(struct cli *c, struct err *err)
{
    Qmn__V1__AckRequest in;
    Qmn__V1__AckResponse *out;
    qmn__v1__ack_request__init(&in);
    in.nutrient_ids = (char **)(uintptr_t)(c->args + 1);
    in.n_nutrient_ids = c->arg_count - 1;
    const struct client_call call = {
        "POST",   cli_path(c, "/v1/agents/%s/nutrients:ack", c->args[0]),
        &in.base, &qmn__v1__ack_response__descriptor,
        NULL,     0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_ack(c, out, "acknowledged");
    return QMN_OK;
}

enum qmn_code cmd_nack(struct cli *c, struct err *err)
{
    Qmn__V1__NackRequest *in;
    Qmn__V1__AckResponse *out;
    TRY(cli_request(c, &qmn__v1__nack_request__descriptor, &in, err));
    in->nutrient_ids = (char **)(uintptr_t)(c->args + 1);
    in->n_nutrient_ids = c->arg_count - 1;
    const struct client_call call = {
        "POST",    cli_path(c, "/v1/agents/%s/nutrients:nack", c->args[0]),
        &in->base, &qmn__v1__ack_response__descriptor,
        NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_ack(c, out, in->reject ? "rejected" : "given back");
    return QMN_OK;
}

/* ---- respond ---- */

enum qmn_code cmd_respond(struct cli *c, struct err *err)
{
    Qmn__V1__RespondRequest *in;
    Qmn__V1__RespondResponse *out;
    const char *words;
    TRY(cli_words(c, 1, &words, err));
    TRY(cli_request(c, &qmn__v1__respond_request__descriptor, &in, err));
    if (!*words && !in->has_content)
        return cli_usage(c, err, "what is the answer?  qmn respond NUTRIENT TEXT..., or --content");
    if (*words && in->has_content)
        return cli_usage(c, err, "give either words or --content, not both");
    if (*words) {
        TRY(cli_text_object(c, words, &in->content, err));
        in->has_content = 1;
        if (cli_flag(c, "match-words"))
            in->text = (char *)(uintptr_t)words;
    }
    const struct client_call call = {"POST",    cli_path(c, "/v1/nutrients/%s:respond", c->args[0]),
                                     &in->base, &qmn__v1__respond_response__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c, "%s answered: %s\n", cli_or(out->agent_id, "?"),
                  cli_or(out->response_id, "-"));
    return QMN_OK;
}
