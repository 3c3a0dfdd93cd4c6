/* SPDX-License-Identifier: MIT
 *
 * Tasks: named pieces of work that traces join. */
#include "engine/tenancy.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "translate_priv.h"

struct task_one {
    struct task_in in;
    struct task_out out;
};

static enum qmn_code create_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__CreateTaskRequest *m = IN(Qmn__V1__CreateTaskRequest, x);
    struct task_one *t = DATA(struct task_one, x);
    t->in = (struct task_in){
        .id = in_text(m->id),
        .title = in_text(m->title),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .outcome = -1,
    };
    engine_create_task(x->api->engine, &x->call, &t->in, &t->out);
    return QMN_OK;
}

static Qmn__V1__Task *out_task(struct api_call *x, const struct task_out *t)
{
    Qmn__V1__Task *m = out_new(x, &qmn__v1__task__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, t->id);
    m->title = out_text(x, t->title);
    m->status = out_word(label_name(task_status_names, t->status));
    if (t->outcome >= 0)
        SET(m, outcome, t->outcome);
    SET_RAW(m, metadata, t->metadata);
    SET_TIME(m, created_at, t->created_ms);
    SET_TIME(m, updated_at, t->updated_ms);
    return m;
}

static ProtobufCMessage *task_answer(struct api_call *x)
{
    Qmn__V1__Task *m = out_task(x, &DATA(struct task_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_task_create = {
    .call = "engine_create_task",
    .request = &qmn__v1__create_task_request__descriptor,
    .response = &qmn__v1__task__descriptor,
    .data_size = sizeof(struct task_one),
    .start = create_start,
    .answer = task_answer,
};

static enum qmn_code get_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_get_task(x->api->engine, &x->call, in_text(IN(Qmn__V1__TaskRef, x)->id),
                    &DATA(struct task_one, x)->out);
    return QMN_OK;
}

const struct operation op_task_get = {
    .call = "engine_get_task",
    .request = &qmn__v1__task_ref__descriptor,
    .response = &qmn__v1__task__descriptor,
    .data_size = sizeof(struct task_one),
    .start = get_start,
    .answer = task_answer,
};

static enum qmn_code update_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__UpdateTaskRequest *m = IN(Qmn__V1__UpdateTaskRequest, x);
    struct task_one *t = DATA(struct task_one, x);
    t->in = (struct task_in){
        .id = in_text(m->id),
        .title = in_text(m->title),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .status = label_parse(task_status_names, in_text(m->status)),
        .outcome = m->has_outcome ? m->outcome : -1,
    };
    engine_update_task(x->api->engine, &x->call, &t->in, &t->out);
    return QMN_OK;
}

const struct operation op_task_update = {
    .call = "engine_update_task",
    .request = &qmn__v1__update_task_request__descriptor,
    .response = &qmn__v1__task__descriptor,
    .data_size = sizeof(struct task_one),
    .start = update_start,
    .answer = task_answer,
};

struct task_listing {
    struct tasks_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__ListTasksRequest *m = IN(Qmn__V1__ListTasksRequest, x);
    engine_list_tasks(x->api->engine, &x->call, label_parse(task_status_names, in_text(m->status)),
                      m->limit, &DATA(struct task_listing, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct tasks_out *out = &DATA(struct task_listing, x)->out;
    Qmn__V1__TaskList *m = out_new(x, &qmn__v1__task_list__descriptor);
    if (!m)
        return NULL;
    m->n_tasks = out->count;
    m->tasks = out_array(x, out->count);
    for (size_t i = 0; m->tasks && i < out->count; i++)
        m->tasks[i] = out_task(x, &out->tasks[i]);
    return &m->base;
}

const struct operation op_task_list = {
    .call = "engine_list_tasks",
    .request = &qmn__v1__list_tasks_request__descriptor,
    .response = &qmn__v1__task_list__descriptor,
    .data_size = sizeof(struct task_listing),
    .start = list_start,
    .answer = list_answer,
};
