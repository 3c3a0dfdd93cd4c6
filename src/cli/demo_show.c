/* SPDX-License-Identifier: MIT
 *
 * The demo's screen.  What was learned comes first, then the steps that led there, each with only
 * the rows that say something.  No line of text is wider than 80 columns; tables take up to 100. */
#include <math.h>
#include <string.h>

#include "demo_priv.h"

enum { WIDTH = 100, ROUTES_SHOWN = 6, EDGES_SHOWN = 3, SHIFTS_SHOWN = 3 };

static const char *first_asked(const Qmn__V1__BroadcastResponse *b)
{
    return b->n_hops ? cli_or(b->hops[0]->agent_id, "?") : "nobody";
}

static bool knows(const Qmn__V1__BroadcastResponse *const *round, size_t i)
{
    return strcmp(first_asked(round[i]), demo_nutrients[i].expert) == 0;
}

static unsigned right(const Qmn__V1__BroadcastResponse *const *round)
{
    unsigned n = 0;
    for (size_t i = 0; i < demo_nutrient_count; i++)
        n += knows(round, i);
    return n;
}

/* Nutrients whose first choice changed for the better; the first few. */
static size_t find_shifts(const struct demo *d, bool *ret_shown)
{
    size_t n = 0;
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        ret_shown[i] = n < SHIFTS_SHOWN && !knows(d->first, i) && knows(d->second, i);
        n += ret_shown[i];
    }
    return n;
}

static void show_summary(const struct demo *d)
{
    unsigned before = right(d->first), after = right(d->second);
    cli_print(d->c,
              S_BOLD "qmn demo" S_OFF "  %zu agents of an online shop share what they know\n"
                     "   %zu nutrients were broadcast, answered and rated; then the same %zu once "
                     "more.\n"
                     "   The one who knows was asked first " S_BOLD "%u times, before %u" S_OFF
                     "%s.\n",
              demo_agent_count, demo_nutrient_count, demo_nutrient_count, after, before,
              after > before ? ": the network learned" : "");
}

static void show_routes(const struct demo *d)
{
    struct cli *c = d->c;
    struct table t;
    bool shown[DEMO_NUTRIENTS_MAX];
    size_t count = find_shifts(d, shown);
    for (size_t i = 0; i < demo_nutrient_count && count < ROUTES_SHOWN; i++)
        if (!shown[i]) {
            shown[i] = true;
            count++;
        }
    cli_print(c,
              "\n" S_BOLD "1  where nutrients go at first" S_OFF S_DIM "   %zu of %zu" S_OFF "\n",
              count, demo_nutrient_count);
    TABLE(&t, c, "FROM", "*NUTRIENT", "ASKED", "KNOWS", ">SCORE", ">SIMIL", ">SKILLS");
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        const Qmn__V1__BroadcastResponse *b = d->first[i];
        const Qmn__V1__Hop *h = b->n_hops ? b->hops[0] : NULL;
        if (!shown[i])
            continue;
        table_cell(&t, "%s", demo_nutrients[i].source);
        table_cell(&t, "%s", demo_nutrients[i].text);
        table_cell(&t, "%s%s", knows(d->first, i) ? S_GREEN : S_YELLOW, first_asked(b));
        table_cell(&t, "%s", demo_nutrients[i].expert);
        table_cell(&t, h ? "%.2f" : "-", h ? (double)h->score : 0.0);
        table_cell(&t, h ? "%.2f" : "-", h ? (double)h->similarity : 0.0);
        table_cell(&t, h ? "%u" : "-", h ? h->capability_matches : 0u);
    }
    table_end(&t, "nothing was sent");
    cli_print(c,
              S_DIM
              "   The highest score is asked first; it ranks agents for one nutrient and is no\n"
              "   grade.  score = similarity x edge/0.5 x (1 + demand)/2 + 0.05 a skill asked\n"
              "   for.  Edges start at 0.5; demand, at 0, is how much it did of this lately.\n"
              "   %u deliveries: the one who knew answered %u, the rest were turned down" S_OFF
              "\n",
              d->asked, d->answered);
}

static void show_collected(const struct demo *d)
{
    struct cli *c = d->c;
    struct table t;
    cli_print(c, "\n" S_BOLD "2  oncall collects: why do requests time out while connections "
                 "wait?" S_OFF "\n");
    TABLE(&t, c, ">SCORE", "FROM", "AS", "*WHAT");
    for (size_t i = 0; i < d->collected->n_contents; i++) {
        const Qmn__V1__ContextItem *x = d->collected->contents[i];
        table_cell(&t, "%.2f", (double)x->score);
        table_cell(&t, "%s", cli_or(x->agent_id, "?"));
        table_cell(&t, S_DIM "%s", cli_or(x->kind, "?"));
        table_cell(&t, "%s", cli_gist(c, x->data, 300));
    }
    table_end(&t, "nothing found");
}

static double moved(const struct demo_change *k)
{
    return fabs(k->last - k->first);
}

static void show_edges(const struct demo *d)
{
    struct cli *c = d->c;
    bool shown[DEMO_CHANGES_MAX] = {false};
    cli_print(c,
              "\n" S_BOLD "3  outcomes recorded, %zu edges moved" S_OFF S_DIM
              "   the largest moves" S_OFF "\n",
              d->change_count);
    for (int row = 0; row < EDGES_SHOWN; row++) {
        size_t best = DEMO_CHANGES_MAX;
        for (size_t i = 0; i < d->change_count; i++)
            if (!shown[i] &&
                (best == DEMO_CHANGES_MAX || moved(&d->changes[i]) > moved(&d->changes[best])))
                best = i;
        if (best == DEMO_CHANGES_MAX)
            break;
        const struct demo_change *k = &d->changes[best];
        shown[best] = true;
        cli_print(c, "   %-10s \xe2\x86\x92 %-10s %.3f \xe2\x86\x92 %s%.3f" S_OFF "\n", k->src,
                  k->dst, k->first, k->last >= k->first ? S_GREEN : S_RED, k->last);
    }
}

static void show_second_round(const struct demo *d)
{
    struct cli *c = d->c;
    bool shown[DEMO_NUTRIENTS_MAX];
    struct table t;
    find_shifts(d, shown);
    cli_print(c, "\n" S_BOLD "4  the same nutrients again" S_OFF S_DIM
                 "   some that reach the right one now" S_OFF "\n");
    TABLE(&t, c, "*NUTRIENT", "BEFORE", "NOW", ">SCORE", ">SIMIL", ">EDGE", ">DEMAND");
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        if (!shown[i])
            continue;
        const Qmn__V1__Hop *h = d->second[i]->hops[0];
        table_cell(&t, "%s", demo_nutrients[i].text);
        table_cell(&t, S_YELLOW "%s", first_asked(d->first[i]));
        table_cell(&t, S_GREEN "%s", first_asked(d->second[i]));
        table_cell(&t, "%.2f", (double)h->score);
        table_cell(&t, "%.2f", (double)h->similarity);
        table_cell(&t, "%.2f", (double)h->edge_weight);
        table_cell(&t, "%.2f", (double)h->demand);
    }
    table_end(&t, "no first choice changed for the better this time");
}

void demo_show(const struct demo *d)
{
    struct cli *c = d->c;
    if (c->columns == 0 || c->columns > WIDTH)
        c->columns = WIDTH;
    show_summary(d);
    show_routes(d);
    show_collected(d);
    show_edges(d);
    show_second_round(d);
    cli_print(c, "\n" S_DIM "look closer:" S_OFF "  qmn trace %s --tenant %s\n",
              cli_or(d->first[0]->trace_id, "-"), d->tenant);
}
