/* SPDX-License-Identifier: MIT
 *
 * Plans are built once and found by the descriptor's address; nested messages link straight to
 * their plans, so a document costs one search.  Rows are checked against the schema here, where a
 * mistake stops the program at its start. */
#include "codec_priv.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* immutable after registration */
static struct u64map by_descriptor; /* descriptor address -> plan address */
static struct plan *first_plan, **last_plan = &first_plan;
static bool initialised;

static const struct constraint no_rule;

const struct plan *plan_of(const ProtobufCMessageDescriptor *desc)
{
    const uint64_t *found = u64map_get(&by_descriptor, (uintptr_t)desc);
    return found ? (const struct plan *)(uintptr_t)*found : NULL;
}

enum qmn_code plan_missing(const ProtobufCMessageDescriptor *desc, struct err *err)
{
    return err_set(err, QMN_E_INTERNAL, "message %s is not registered with the codec",
                   desc ? desc->name : "(none)");
}

const struct plan_field *plan_find(const struct plan *p, struct bytes name)
{
    uint64_t hash = bytes_hash(name, 0);
    for (uint64_t i = hash & p->slot_mask;; i = (i + 1) & p->slot_mask) {
        const struct plan_slot *s = &p->slots[i];
        if (!s->field || (s->hash == hash && bytes_equal(s->field->name, name)))
            return s->field;
    }
}

const struct constraint *constraint_of(const ProtobufCMessageDescriptor *message,
                                       unsigned field_index)
{
    const struct plan *p = plan_of(message);
    return p && field_index < message->n_fields ? p->fields[field_index].rule : NULL;
}

bool constraint_is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t len = strlen(entry->short_name);
    return len > 5 && strcmp(entry->short_name + len - 5, "Entry") == 0 && entry->n_fields == 2 &&
           strcmp(entry->fields[0].name, "key") == 0 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
           strcmp(entry->fields[1].name, "value") == 0 &&
           entry->fields[1].label != PROTOBUF_C_LABEL_REPEATED;
}

static void plan_free(struct plan *p)
{
    mem_free(p->fields);
    mem_free(p->slots);
    mem_free(p->empty);
    mem_free(p->key_text);
    mem_free(p);
}

static void plan_freep(struct plan **p)
{
    if (*p)
        plan_free(*p);
}

static void plan_fill_names(struct plan *p)
{
    char *text = p->key_text;
    for (unsigned i = 0; i < p->desc->n_fields; i++) {
        struct plan_field *f = &p->fields[i];
        f->fd = &p->desc->fields[i];
        f->rule = &no_rule;
        f->index = (uint8_t)i;
        f->map = constraint_is_map(f->fd);
        f->items_max = CODEC_ITEMS;
        size_t len = strlen(f->fd->name);
        text[0] = '"';
        memcpy(text + 1, f->fd->name, len);
        memcpy(text + 1 + len, "\":", 2);
        f->name = bytes_of(text + 1, len);
        f->json_key = bytes_of(text, len + 3);
        text += len + 3;
        uint64_t hash = bytes_hash(f->name, 0), slot = hash & p->slot_mask;
        while (p->slots[slot].field)
            slot = (slot + 1) & p->slot_mask;
        p->slots[slot] = (struct plan_slot){.field = f, .hash = hash};
    }
}

static enum qmn_code check_field(const ProtobufCMessageDescriptor *desc,
                                 const ProtobufCFieldDescriptor *fd, struct err *err)
{
    if (fd->label == PROTOBUF_C_LABEL_REQUIRED)
        return err_set(err, QMN_E_INTERNAL, "%s.%s: write CON_REQUIRED, not required", desc->name,
                       fd->name);
    if (fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return err_set(err, QMN_E_INTERNAL, "%s.%s: oneof is not supported", desc->name, fd->name);
    if (fd->label == PROTOBUF_C_LABEL_NONE)
        return err_set(err, QMN_E_INTERNAL, "%s.%s: proto3 field without presence", desc->name,
                       fd->name);
    return QMN_OK;
}

static enum qmn_code plan_add(const ProtobufCMessageDescriptor *desc, struct err *err)
{
    if (plan_of(desc))
        return QMN_OK;
    if (desc->n_fields > PLAN_FIELDS_MAX)
        return err_set(err, QMN_E_INTERNAL, "%s: more than %d fields", desc->name, PLAN_FIELDS_MAX);
    size_t text = 1, slots = 4;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        TRY(check_field(desc, &desc->fields[i], err));
        text += strlen(desc->fields[i].name) + 3;
    }
    while (slots < (size_t)desc->n_fields * 2)
        slots *= 2;
    CLEANUP(plan_freep) struct plan *p = mem_calloc(1, sizeof *p);
    if (!p)
        return err_nomem(err);
    p->desc = desc;
    p->slot_mask = slots - 1;
    p->fields = mem_calloc(desc->n_fields + 1, sizeof *p->fields);
    p->slots = mem_calloc(slots, sizeof *p->slots);
    p->key_text = mem_alloc(text);
    p->empty = mem_calloc(1, desc->sizeof_message);
    if (!p->fields || !p->slots || !p->key_text || !p->empty ||
        !u64map_put(&by_descriptor, (uintptr_t)desc, (uintptr_t)p))
        return err_nomem(err);
    desc->message_init(p->empty);
    plan_fill_names(p);
    *last_plan = p;
    last_plan = &p->next;
    TAKE(p);
    return QMN_OK;
}

static enum qmn_code misfit(const ProtobufCMessageDescriptor *desc, const struct constraint *row,
                            const char *why, struct err *err)
{
    return err_set(err, QMN_E_INTERNAL, "constraint table: %s.%s: %s", desc->name, row->field, why);
}

static enum qmn_code check_row(const struct plan *p, const struct plan_field *f,
                               const struct constraint *row, struct err *err)
{
    const ProtobufCFieldDescriptor *fd = f->fd;
    bool repeated = fd->label == PROTOBUF_C_LABEL_REPEATED;
    uint32_t raw = CON_RAW_JSON | CON_RAW_VALUE, fill = CON_NULLABLE | CON_ALWAYS;
    if (f->rule != &no_rule)
        return misfit(p->desc, row, "two rows", err);
    if ((row->flags & raw) && fd->type != PROTOBUF_C_TYPE_BYTES)
        return misfit(p->desc, row, "raw JSON needs a bytes field", err);
    if ((row->flags & raw) == raw)
        return misfit(p->desc, row, "raw object or raw value, not both", err);
    if ((row->flags & CON_TIME) && (fd->type != PROTOBUF_C_TYPE_INT64 || repeated))
        return misfit(p->desc, row, "a time needs an int64 field", err);
    if ((row->flags & CON_TIME) && (row->flags & CON_ALWAYS))
        return misfit(p->desc, row, "a time has no default: CON_NULLABLE instead", err);
    if ((row->flags & fill) == fill)
        return misfit(p->desc, row, "null or default, not both", err);
    if ((row->flags & CON_BARE_ARRAY) && (p->desc->n_fields != 1 || !repeated || f->map))
        return misfit(p->desc, row, "a bare array needs one repeated field and no other", err);
    if ((row->flags & CON_OR_TEXT) &&
        (!(row->flags & CON_VECTOR) ||
         !protobuf_c_message_descriptor_get_field_by_name(p->desc, "text")))
        return misfit(p->desc, row, "or text needs a vector, and a text beside it", err);
    if ((row->flags & CON_VECTOR) && (fd->type != PROTOBUF_C_TYPE_FLOAT || !repeated))
        return misfit(p->desc, row, "a vector needs a repeated float field", err);
    if ((row->flags & CON_CLEARS) && (fd->type != PROTOBUF_C_TYPE_STRING || !repeated))
        return misfit(p->desc, row, "names of cleared fields need a repeated string field", err);
    if ((row->pattern || row->one_of) && fd->type != PROTOBUF_C_TYPE_STRING)
        return misfit(p->desc, row, "patterns and lists of values need a string field", err);
    if (bounds_set(row->each) && (!repeated || fd->type == PROTOBUF_C_TYPE_MESSAGE))
        return misfit(p->desc, row, "bounds of elements need a repeated scalar field", err);
    if (bounds_set(row->range) && !repeated &&
        (fd->type == PROTOBUF_C_TYPE_MESSAGE || fd->type == PROTOBUF_C_TYPE_BOOL))
        return misfit(p->desc, row, "bounds do not suit the type", err);
    if (!(row->range.min <= row->range.max) || !(row->each.min <= row->each.max))
        return misfit(p->desc, row, "the bounds are empty", err);
    return QMN_OK;
}

static enum qmn_code plan_rules(const struct message_rules *rules, struct err *err)
{
    struct plan *p = (struct plan *)(uintptr_t)plan_of(rules->message);
    if (p->rules)
        return err_set(err, QMN_E_INTERNAL, "constraint table: %s stands twice", p->desc->name);
    p->rules = rules;
    for (size_t i = 0; i < rules->count; i++) {
        const struct constraint *row = &rules->rows[i];
        const struct plan_field *found = plan_find(p, bytes_cstr(row->field));
        if (!found)
            return misfit(p->desc, row, "no such field", err);
        TRY(check_row(p, found, row, err));
        struct plan_field *f = &p->fields[found->index];
        f->rule = row;
        if (bounds_set(row->range) && row->range.max < (double)UINT32_MAX)
            f->items_max = (size_t)row->range.max;
        p->bare |= (row->flags & CON_BARE_ARRAY) != 0;
        if (row->flags & CON_CLEARS)
            p->cleared = f;
    }
    for (size_t i = 0; i < rules->count; i++)
        if ((rules->rows[i].flags & CON_CLEARABLE) && !p->cleared)
            return misfit(p->desc, &rules->rows[i], "no field takes the names of those cleared",
                          err);
    return QMN_OK;
}

enum qmn_code codec_register(const struct message_rules *rules, size_t count, struct err *err)
{
    struct plan **fresh = last_plan;
    for (size_t i = 0; i < count; i++)
        TRY(plan_add(rules[i].message, err));
    /* Adding appends to the list being walked, so nested messages are reached without recursion. */
    for (struct plan *p = *fresh; p; p = p->next) {
        for (unsigned i = 0; i < p->desc->n_fields; i++) {
            const ProtobufCFieldDescriptor *fd = &p->desc->fields[i];
            if (fd->type != PROTOBUF_C_TYPE_MESSAGE)
                continue;
            TRY(plan_add(fd->descriptor, err));
            p->fields[i].sub = plan_of(fd->descriptor);
        }
    }
    for (size_t i = 0; i < count; i++)
        TRY(plan_rules(&rules[i], err));
    return QMN_OK;
}

enum qmn_code codec_init(struct err *err)
{
    if (initialised)
        return QMN_OK;
    TRY(codec_register(constraint_table, constraint_table_len, err));
    TRY(codec_register(constraint_table_memory, constraint_table_memory_len, err));
    initialised = true;
    return QMN_OK;
}

void codec_release(void)
{
    while (first_plan) {
        struct plan *p = first_plan;
        first_plan = p->next;
        plan_free(p);
    }
    last_plan = &first_plan;
    u64map_release(&by_descriptor);
    initialised = false;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void keep(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

ProtobufCAllocator codec_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){.alloc = allocate, .free = keep, .allocator_data = arena};
}

ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *desc, struct arena *arena)
{
    ProtobufCMessage *msg = arena_calloc(arena, 1, desc->sizeof_message);
    if (msg)
        desc->message_init(msg);
    return msg;
}
