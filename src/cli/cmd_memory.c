/* SPDX-License-Identifier: MIT
 *
 * memory, task. */
#include "cli_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"

static void print_memory(struct cli *c, const Qmn__V1__Memory *m)
{
    cli_print(c, S_BOLD "%s" S_OFF "  %s by %s, quality %.2f, %s, %s%s%s\n  %s\n",
              cli_or(m->id, "?"), cli_or(m->kind, "?"), cli_or(m->agent_id, "?"), m->quality,
              cli_or(m->sensitivity, "?"), cli_when(c, m->created_at),
              m->expires_at ? ", expires " : "", m->expires_at ? cli_when(c, m->expires_at) : "",
              cli_gist(c, m->content, 100000));
    if (m->merged)
        cli_note(c, "the very same was there already\n");
}

enum qmn_code cmd_memory_store(struct cli *c, struct err *err)
{
    Qmn__V1__StoreMemoryRequest *in;
    Qmn__V1__Memory *out;
    const char *words;
    TRY(cli_words(c, 0, &words, err));
    TRY(cli_request(c, &qmn__v1__store_memory_request__descriptor, &in, err));
    if (!*words && !in->has_content)
        return cli_usage(c, err,
                         "what is to be remembered?  qmn memory store TEXT..., or "
                         "--content JSON");
    if (!in->kind)
        in->kind = (char *)(uintptr_t) "note";
    in->text = *words ? (char *)(uintptr_t)words
                      : arena_cstr(&c->arena, bytes_of(in->content.data, in->content.len));
    if (!in->text)
        return err_nomem(err);
    if (!in->has_content) {
        TRY(cli_text_object(c, words, &in->content, err));
        in->has_content = 1;
    }
    const struct client_call call = {
        "POST", "/v1/hyphal:store", &in->base, &qmn__v1__memory__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_memory(c, out);
    return QMN_OK;
}

/* One line: the parts of its score, each with its place, and the words that matched. */
static void print_explanation(struct cli *c, const Qmn__V1__SearchHit *h)
{
    const Qmn__V1__SearchExplanation *x = h->explanation;
    cli_print(c, S_DIM "%s" S_OFF "  relevance %.4f", cli_or(h->id, "?"), (double)x->relevance);
    if (x->has_cosine)
        cli_print(c, ", cosine %.3f", (double)x->cosine);
    if (x->has_vector_rank)
        cli_print(c, " (#%u by vector)", x->vector_rank);
    if (x->has_words_score)
        cli_print(c, ", words %.3f", (double)x->words_score);
    if (x->has_words_rank)
        cli_print(c, " (#%u by words)", x->words_rank);
    for (size_t i = 0; i < x->n_terms; i++)
        cli_print(c, "%s%s %.2f", i ? ", " : ": ", cli_or(x->terms[i]->word, "?"),
                  (double)x->terms[i]->score);
    cli_print(c, "\n");
}

static void print_hits(struct cli *c, const Qmn__V1__SearchMemoryResponse *out)
{
    struct table t;
    TABLE(&t, c, ">SCORE", ">SIMILARITY", ">QUALITY", "FROM", "KIND", "AGE", "MEMORY", "*CONTENT");
    for (size_t i = 0; i < out->n_results; i++) {
        const Qmn__V1__SearchHit *h = out->results[i];
        table_cell(&t, S_GREEN "%.3f", (double)h->score);
        if (h->has_similarity)
            table_cell(&t, "%.3f", (double)h->similarity);
        else
            table_cell(&t, "-");
        table_cell(&t, "%.2f", h->quality);
        table_cell(&t, S_BOLD "%s", cli_or(h->agent_id, "?"));
        table_cell(&t, "%s", cli_or(h->kind, "?"));
        table_cell(&t, "%s", cli_when(c, h->created_at));
        table_cell(&t, S_DIM "%s", cli_or(h->id, "?"));
        table_cell(&t, "%s", cli_gist(c, h->content, 400));
    }
    table_end(&t, "nothing found");
    for (size_t i = 0; i < out->n_results; i++)
        if (out->results[i]->explanation)
            print_explanation(c, out->results[i]);
}

enum qmn_code cmd_memory_search(struct cli *c, struct err *err)
{
    Qmn__V1__SearchMemoryRequest *in;
    Qmn__V1__SearchMemoryResponse *out;
    const char *words;
    TRY(cli_words(c, 0, &words, err));
    TRY(cli_request(c, &qmn__v1__search_memory_request__descriptor, &in, err));
    in->query = (char *)(uintptr_t)words; /* the node makes it a vector, too, where it can */
    in->has_explain = in->explain = cli_flag(c, "explain");
    in->has_exact = in->exact = cli_flag(c, "exact");
    const struct client_call call = {"POST",    "/v1/hyphal:search",
                                     &in->base, &qmn__v1__search_memory_response__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_hits(c, out);
    return QMN_OK;
}

enum qmn_code cmd_memory_list(struct cli *c, struct err *err)
{
    Qmn__V1__MemoryList *out;
    struct table t;
    const char *path = cli_query(c, cli_path(c, "/v1/hyphal/agent/%s", c->args[0]));
    const struct client_call call = {"GET", path, NULL, &qmn__v1__memory_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, "MEMORY", "KIND", ">QUALITY", "LABEL", "AGE", "*CONTENT");
    for (size_t i = 0; i < out->n_memories; i++) {
        const Qmn__V1__Memory *m = out->memories[i];
        table_cell(&t, S_DIM "%s", cli_or(m->id, "?"));
        table_cell(&t, "%s", cli_or(m->kind, "?"));
        table_cell(&t, "%.2f", m->quality);
        table_cell(&t, "%s", cli_or(m->sensitivity, "?"));
        table_cell(&t, "%s", cli_when(c, m->created_at));
        table_cell(&t, "%s", cli_gist(c, m->content, 400));
    }
    table_end(&t, "nothing remembered yet");
    return QMN_OK;
}

enum qmn_code cmd_memory_browse(struct cli *c, struct err *err)
{
    Qmn__V1__MemoryPage *out;
    struct table t;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/hyphal"), NULL, &qmn__v1__memory_page__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, "MEMORY", "FROM", "KIND", ">QUALITY", "LABEL", "AGE", "*CONTENT");
    for (size_t i = 0; i < out->n_memories; i++) {
        const Qmn__V1__Memory *m = out->memories[i];
        table_cell(&t, S_DIM "%s", cli_or(m->id, "?"));
        table_cell(&t, S_BOLD "%s", cli_or(m->agent_id, "?"));
        table_cell(&t, "%s", cli_or(m->kind, "?"));
        table_cell(&t, "%.2f", m->quality);
        table_cell(&t, "%s", cli_or(m->sensitivity, "?"));
        table_cell(&t, "%s", cli_when(c, m->created_at));
        table_cell(&t, "%s", cli_gist(c, m->content, 400));
    }
    table_end(&t, "nothing remembered yet");
    if (out->next_cursor)
        cli_note(c, "there are more: --cursor %s\n", out->next_cursor);
    return QMN_OK;
}

enum qmn_code cmd_memory_duplicates(struct cli *c, struct err *err)
{
    Qmn__V1__MemoryDuplicatesPage *out;
    struct table t;
    const struct client_call call = {"GET", cli_query(c, "/v1/hyphal:duplicates"),
                                     NULL,  &qmn__v1__memory_duplicates_page__descriptor,
                                     NULL,  0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, ">SIMILARITY", "MEMORY", "FROM", "KIND", ">QUALITY", "AGE");
    for (size_t i = 0; i < out->n_groups; i++) {
        const Qmn__V1__MemoryDuplicates *g = out->groups[i];
        table_cell(&t, " ");
        table_cell(&t, S_BOLD "%s", cli_or(g->id, "?"));
        table_cell(&t, "%s", cli_or(g->agent_id, "?"));
        table_cell(&t, "%s", cli_or(g->kind, "?"));
        table_cell(&t, "%.2f", g->quality);
        table_cell(&t, "%s", cli_when(c, g->created_at));
        for (size_t k = 0; k < g->n_duplicates; k++) {
            const Qmn__V1__MemoryDuplicate *d = g->duplicates[k];
            table_cell(&t, S_GREEN "%.4f", d->similarity);
            table_cell(&t, S_DIM "%s", cli_or(d->id, "?"));
            table_cell(&t, "%s", cli_or(d->agent_id, "?"));
            table_cell(&t, "%s", cli_or(d->kind, "?"));
            table_cell(&t, "%.2f", d->quality);
            table_cell(&t, "%s", cli_when(c, d->created_at));
        }
    }
    table_end(&t, "no near-duplicates on this page");
    if (out->next_cursor)
        cli_note(c, "%u looked at, there are more: --cursor %s\n", out->examined, out->next_cursor);
    return QMN_OK;
}

enum qmn_code cmd_memory_update(struct cli *c, struct err *err)
{
    Qmn__V1__UpdateMemoryRequest *in;
    Qmn__V1__Memory *out;
    const char *words;
    TRY(cli_words(c, 1, &words, err));
    TRY(cli_request(c, &qmn__v1__update_memory_request__descriptor, &in, err));
    if (*words) {
        in->text = (char *)(uintptr_t)words;
        TRY(cli_text_object(c, words, &in->content, err));
        in->has_content = 1;
    }
    const struct client_call call = {"PATCH",   cli_path(c, "/v1/hyphal/%s", c->args[0]),
                                     &in->base, &qmn__v1__memory__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_memory(c, out);
    return QMN_OK;
}

enum qmn_code cmd_memory_history(struct cli *c, struct err *err)
{
    Qmn__V1__MemoryHistory *out;
    struct table t;
    const struct client_call call = {"GET", cli_path(c, "/v1/hyphal/%s/history", c->args[0]),
                                     NULL,  &qmn__v1__memory_history__descriptor,
                                     NULL,  0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, ">VERSION", "MEMORY", "FROM", "KIND", "SINCE", "*CONTENT");
    for (size_t i = 0; i < out->n_versions; i++) {
        const Qmn__V1__Memory *m = out->versions[i];
        table_cell(&t, "%u", m->version);
        table_cell(&t, S_DIM "%s", cli_or(m->id, "?"));
        table_cell(&t, S_BOLD "%s", cli_or(m->agent_id, "?"));
        table_cell(&t, "%s", cli_or(m->kind, "?"));
        table_cell(&t, "%s", cli_when(c, m->updated_at));
        table_cell(&t, "%s", cli_gist(c, m->content, 400));
    }
    table_end(&t, "nothing remembered");
    return QMN_OK;
}

enum qmn_code cmd_memory_show(struct cli *c, struct err *err)
{
    Qmn__V1__Memory *out;
    const char *path = cli_query(c, cli_path(c, "/v1/hyphal/%s", c->args[0]));
    const struct client_call call = {"GET", path, NULL, &qmn__v1__memory__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_memory(c, out);
    return QMN_OK;
}

enum qmn_code cmd_memory_delete(struct cli *c, struct err *err)
{
    const struct client_call call = {
        "DELETE", cli_path(c, "/v1/hyphal/%s", c->args[0]), NULL, NULL, NULL, 0};
    TRY(cli_send(c, &call, NULL, err));
    if (!c->json)
        cli_print(c, "%s is deleted\n", c->args[0]);
    return QMN_OK;
}

enum qmn_code cmd_memory_cleanup(struct cli *c, struct err *err)
{
    Qmn__V1__CleanupResponse *out;
    const struct client_call call = {
        "POST", "/v1/hyphal:cleanup", NULL, &qmn__v1__cleanup_response__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c, "%llu expired memories deleted\n", (unsigned long long)out->deleted);
    return QMN_OK;
}

/* ---- task ---- */

static void print_task(struct cli *c, const Qmn__V1__Task *t)
{
    cli_print(c, S_BOLD "%s" S_OFF "  %s  %s", cli_or(t->id, "?"), cli_or(t->status, "?"),
              cli_or(t->title, ""));
    if (t->has_outcome)
        cli_print(c, "  outcome %.2f", t->outcome);
    cli_print(c, S_DIM "  begun %s, changed %s" S_OFF "\n", cli_when(c, t->created_at),
              cli_when(c, t->updated_at));
}

static enum qmn_code task_call(struct cli *c, const struct client_call *call, struct err *err)
{
    Qmn__V1__Task *out;
    TRY(cli_send(c, call, &out, err));
    if (out)
        print_task(c, out);
    return QMN_OK;
}

enum qmn_code cmd_task_create(struct cli *c, struct err *err)
{
    Qmn__V1__CreateTaskRequest *in;
    const char *title;
    TRY(cli_words(c, 0, &title, err));
    TRY(cli_request(c, &qmn__v1__create_task_request__descriptor, &in, err));
    if (*title)
        in->title = (char *)(uintptr_t)title;
    const struct client_call call = {
        "POST", "/v1/tasks", &in->base, &qmn__v1__task__descriptor, NULL, 0};
    return task_call(c, &call, err);
}

enum qmn_code cmd_task_show(struct cli *c, struct err *err)
{
    const struct client_call call = {
        "GET", cli_path(c, "/v1/tasks/%s", c->args[0]), NULL, &qmn__v1__task__descriptor, NULL, 0};
    return task_call(c, &call, err);
}

enum qmn_code cmd_task_update(struct cli *c, struct err *err)
{
    Qmn__V1__UpdateTaskRequest *in;
    TRY(cli_request(c, &qmn__v1__update_task_request__descriptor, &in, err));
    const struct client_call call = {"PATCH",   cli_path(c, "/v1/tasks/%s", c->args[0]),
                                     &in->base, &qmn__v1__task__descriptor,
                                     NULL,      0};
    return task_call(c, &call, err);
}

enum qmn_code cmd_task_list(struct cli *c, struct err *err)
{
    Qmn__V1__TaskList *out;
    struct table t;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/tasks"), NULL, &qmn__v1__task_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, "TASK", "STATUS", ">OUTCOME", "BEGUN", "*TITLE");
    for (size_t i = 0; i < out->n_tasks; i++) {
        const Qmn__V1__Task *k = out->tasks[i];
        table_cell(&t, S_BOLD "%s", cli_or(k->id, "?"));
        table_cell(&t, "%s", cli_or(k->status, "?"));
        if (k->has_outcome)
            table_cell(&t, "%.2f", k->outcome);
        else
            table_cell(&t, "-");
        table_cell(&t, "%s", cli_when(c, k->created_at));
        table_cell(&t, "%s", cli_or(k->title, ""));
    }
    table_end(&t, "no tasks");
    return QMN_OK;
}
