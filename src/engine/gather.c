/* SPDX-License-Identifier: MIT */
#include "engine/engine_priv.h"

struct gather *gather_of(struct engine *e, const struct executor *exec)
{
    for (uint32_t i = 0; i < e->gather_count; i++)
        if (e->gathers[i].exec == exec)
            return &e->gathers[i];
    return NULL;
}

bool engine_gather(struct engine *e, struct executor *exec)
{
    if (e->gather_count == ENGINE_GATHERS)
        return false;
    e->gathers[e->gather_count++] = (struct gather){.exec = exec};
    return true;
}

void gather_begin(struct engine *e, struct gather *g)
{
    if (g->begun)
        return;
    g->begun = true;
    g->commands_end = &g->commands;
    writer_expect(e);
}

void gather_command(struct engine *e, struct gather *g, struct command *cmd)
{
    gather_begin(e, g);
    cmd->next = NULL;
    *g->commands_end = cmd;
    g->commands_end = &cmd->next;
}

void engine_round(struct engine *e, struct executor *exec)
{
    struct gather *g = gather_of(e, exec);
    while (g && g->begun) { /* the end of a call that is shed may begin another one */
        broadcast_decide_all(e, g);
        struct command *list = g->commands;
        g->commands = NULL;
        g->begun = false;
        writer_hand_in(e, list);
    }
}
