/* SPDX-License-Identifier: MIT
 *
 * Authors nobody registered: scripts store memories first and register later, or never. */
#include "engine/authors_priv.h"

#include "model/labels.h"

enum {
    QUOTA_RETRY_S = 60, /* nothing frees a place but somebody who suspends an agent: a guess */
};

/* Agents let in earlier in this group count too. */
enum qmn_code agent_quota(struct engine *e, struct tenant *t, const struct agent *known,
                          struct err *err)
{
    uint64_t limit = plan_agent_quota((uint32_t)t->record->plan);
    bool counts = !known || known->record->status == AGENT_SUSPENDED;
    if (t->agents_group != writer_group(e)) {
        t->agents_group = writer_group(e);
        t->agents_coming = 0;
    }
    t->agents_coming += counts;
    if (counts && limit != UINT64_MAX && t->active_agents + t->agents_coming > limit)
        return err_retry(err, QMN_E_QUOTA, QUOTA_RETRY_S,
                         "plan \"%s\" allows %llu agents and %u are registered; suspend one first",
                         label_name(plan_tier_names, (uint32_t)t->record->plan),
                         (unsigned long long)limit, t->active_agents);
    return QMN_OK;
}

enum qmn_code author_conceive(struct engine *e, struct command *cmd, struct bytes id,
                              struct author *a, struct err *err)
{
    struct tenant *t = cmd->tenant;
    if (!writer_claim(e, cmd, RECORD_AGENT, bytes_hash(id, (uint64_t)t->record->no)))
        return QMN_OK;
    TRY(agent_quota(e, t, NULL, err));
    int64_t now = writer_now_ms(e);
    a->row = (struct record_agent){.no = writer_next_no(e),
                                   .tenant_no = t->record->no,
                                   .id = id,
                                   .metadata = BYTES_LIT("{}"),
                                   .region = t->record->region,
                                   .status = AGENT_ACTIVE,
                                   .created_ms = now,
                                   .updated_ms = now};
    a->fresh = agent_new(t, &a->row);
    if (!a->fresh || !network_grow_agents(&e->net, t, writer_places(e, 0)))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_AGENT, &a->row);
    return QMN_OK;
}

struct agent *author_born(struct engine *e, struct author *a)
{
    struct agent *born = TAKE(a->fresh);
    network_add_agent(&e->net, born, NULL);
    return born;
}

void author_unborn(struct author *a)
{
    agent_free(TAKE(a->fresh));
}
