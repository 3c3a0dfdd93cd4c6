/* SPDX-License-Identifier: MIT
 *
 * What is stored: one plain struct per kind of record, and a descriptor of its fields.  Every store
 * backend, the change feed, backups and the contract tests walk the descriptors, so a new field is
 * one line here and a migration.
 *
 * Numbers called `no` name a record inside the node.  They are assigned by the writer in commit
 * order, grow with time (never below the Unix microsecond of their making) and are never reused; 0
 * means none.  They never leave the node, except that a nutrient's no is the sequence of an agent's
 * inbox. */
#ifndef QMN_MODEL_RECORD_H
#define QMN_MODEL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum field_type {
    FIELD_INT = 1, /* int64_t */
    FIELD_REAL,    /* double, finite */
    FIELD_TEXT,    /* struct bytes, UTF-8 */
    FIELD_BLOB,    /* struct bytes */
};

enum field_flags {
    FIELD_KEY = 1,    /* part of the primary key; the key fields come first, in order */
    FIELD_SEALED = 2, /* content: leaves the process only through the sealer */
    FIELD_UNIQUE = 4, /* a unique index over this field alone; an empty value is not indexed */
    FIELD_UNIQUE_IN_TENANT =
        8, /* a unique index over (tenant_no, this field); an empty value is not indexed */
};

struct field {
    const char *name;
    enum field_type type;
    uint32_t flags;
    size_t offset;
};

enum record_kind {
    RECORD_META = 1,
    RECORD_TENANT,
    RECORD_KEY,
    RECORD_AGENT,
    RECORD_AGENT_TASKS,
    RECORD_EDGE,
    RECORD_LEARNING_LOG,
    RECORD_NUTRIENT,
    RECORD_TRACE,
    RECORD_DELIVERY,
    RECORD_RESPONSE,
    RECORD_OUTCOME,
    RECORD_MEMORY,
    RECORD_MEMORY_VECTOR,
    RECORD_POLICY,
    RECORD_TASK,
    RECORD_USAGE,
    RECORD_IDEMPOTENCY,
    RECORD_AUDIT,
    RECORD_MEMORY_VERSION,
    RECORD_MEMORY_CREDIT, /* numbers are stored: new ones go to the end */
    RECORD_KIND_COUNT
};

struct record_type {
    const char *name; /* also the table */
    size_t size;      /* sizeof the struct */
    const struct field *fields;
    size_t field_count;
    size_t key_count;
};

const struct record_type *record_type(enum record_kind kind);

/* Compares the key fields of two records of one kind: <0, 0, >0. */
int record_key_compare(enum record_kind kind, const void *a, const void *b);

struct record_meta {
    struct bytes name;
    struct bytes value;
};

struct record_tenant {
    int64_t no;
    struct bytes id;
    struct bytes name, metadata;
    struct bytes kms_key_id, region;
    int64_t plan, status; /* enum plan_tier, enum tenant_status */
    struct bytes space;   /* vector space "name/version"; empty until the first use */
    int64_t dim;          /* 0 until then */
    int64_t created_ms, updated_ms, deleted_ms;
};

struct record_key {
    struct bytes id; /* the public part of the key text */
    int64_t tenant_no;
    struct bytes mac; /* HMAC-SHA256(pepper, secret) */
    struct bytes name;
    struct bytes scopes;    /* text list */
    struct bytes agent_ids; /* text list; empty: any agent */
    int64_t clearance;      /* enum sensitivity */
    int64_t rate_per_minute;
    int64_t created_ms, expires_ms, revoked_ms; /* 0: never */
    struct bytes rotated_to;                    /* id of the key that replaces this one */
};

struct record_agent {
    int64_t no, tenant_no;
    struct bytes id;
    struct bytes name, description, metadata, region;
    struct bytes capabilities, tools, skills; /* text lists */
    int64_t status, clearance;                /* enum agent_status, enum sensitivity */
    struct bytes profile;                     /* float32[dim], unit length; empty: no profile */
    int64_t created_ms, updated_ms;
    int64_t inbox_from; /* nutrients up to this number ended with its last suspension */
};

/* A part of the last LIMIT_RECENT_TASKS nutrients an agent acknowledged or was rated well on: the
 * ring of them has several, so that the hints of one need not be written with those of all. */
struct record_agent_tasks {
    int64_t agent_no, part;
    int64_t tenant_no;
    struct bytes tasks; /* see engine/learned_priv.h */
};

struct record_edge {
    int64_t src_no, dst_no;
    int64_t tenant_no;
    double weight, success, decay;
    int64_t outcomes;               /* how many */
    int64_t created_ms, updated_ms; /* updated: the last outcome */
};

/* What one group did to the edges, recent tasks and memories of a tenant: newer than their rows
 * (engine/learning_log_priv.h). */
struct record_learning_log {
    int64_t no, tenant_no;
    struct bytes edges, tasks, memories; /* see engine/learned_priv.h */
};

/* The body of a live nutrient; gone after its TTL.  Its decision lives on in the trace of the same
 * no. */
struct record_nutrient {
    int64_t no, tenant_no, source_no;
    int64_t sensitivity, created_ms, expires_ms;
    struct bytes summary;
    struct bytes snippets;  /* text list; the tool hints stand in the decision */
    struct bytes embedding; /* float16[dim], unit length */
};

/* One decision: who was asked (or who contributed) and why.  Kept for the retention time. */
struct record_trace {
    int64_t no, tenant_no;
    struct bytes id; /* struct id */
    struct bytes
        client_key;         /* the client's own nutrient id, if it gave one, behind the digit of its
                             * label: a name is unique within that, or it would tell of a hidden one */
    struct bytes body_hash; /* of the request that gave it */
    int64_t kind;           /* enum trace_kind */
    int64_t agent_no;       /* acting agent */
    int64_t sensitivity;    /* enum sensitivity: of the nutrient, or the highest collected */
    int64_t created_ms, expires_ms; /* expires: of the nutrient */
    struct bytes task_id;
    struct bytes decision; /* see engine/decision.h */
};

/* The end of a delivery.  A pending delivery has no row: it follows from the trace. */
struct record_delivery {
    int64_t nutrient_no, agent_no;
    int64_t tenant_no;
    int64_t state; /* enum delivery_state */
    int64_t at_ms;
};

struct record_response {
    int64_t no, tenant_no;
    struct bytes id; /* struct id */
    int64_t nutrient_no, agent_no;
    int64_t sensitivity, created_ms, expires_ms;
    double quality;
    struct bytes content;   /* JSON object */
    struct bytes embedding; /* float16[dim], unit length */
};

/* All that one rater has said of one trace. */
struct record_outcome {
    int64_t trace_no, rater_no;
    int64_t tenant_no;
    double score;
    struct bytes
        hops; /* see engine/decision.h: what each hop was rated, and the weights before and after */
    struct bytes metadata; /* JSON object */
    int64_t at_ms;
};

struct record_memory {
    int64_t no, tenant_no;
    struct bytes id; /* struct id */
    int64_t agent_no;
    struct bytes kind;
    struct bytes content, metadata; /* JSON objects */
    double quality;
    int64_t sensitivity, created_ms, expires_ms;
    int64_t version;    /* what it says now; 1: it never said anything else */
    int64_t updated_ms; /* when that began ... */
    int64_t begun_ms;   /* ... and when its first version did, under whatever id */
    struct bytes task_id, trace_id;
};

struct record_memory_vector {
    int64_t no, tenant_no;
    struct bytes vector; /* float32[dim], unit length */
};

/* What outcomes said of a memory, under the id it had then.  See route/quality.h for the evidence.
 */
struct record_memory_credit {
    int64_t memory_no, tenant_no;
    struct bytes id; /* struct id */
    int64_t uses;    /* outcomes it had a share in, ever */
    double weight, sum, run_weight, run_sum;
    int64_t rater; /* a hash of its id: it may be of another node */
};

/* What a memory said before, under the number it has now.  Label and expiry are those of the
 * memory: they hold for all it ever said. */
struct record_memory_version {
    int64_t memory_no, version;
    int64_t tenant_no;
    struct bytes id;    /* struct id: what the memory was called then */
    struct bytes alias; /* the same, if the next version has another; else empty */
    int64_t agent_no;
    struct bytes kind;
    struct bytes content, metadata; /* JSON objects */
    double quality;
    int64_t created_ms;        /* of that id */
    int64_t from_ms, until_ms; /* it was what the memory said from .. until, without the latter */
    struct bytes task_id, trace_id;
    struct bytes vector; /* float32[dim], unit length; empty: that of the next version */
};

struct record_policy {
    int64_t no, tenant_no;
    struct bytes id; /* struct id */
    int64_t type;    /* enum policy_type */
    struct bytes name, description, rules;
    int64_t enabled, created_ms, updated_ms;
};

struct record_task {
    int64_t no, tenant_no;
    struct bytes id; /* the client's name for it, or ours */
    struct bytes title, metadata;
    int64_t status; /* enum task_status */
    double outcome; /* [0, 1]; negative: none yet */
    int64_t created_ms, updated_ms;
};

/* Counters of one tenant in one hour (Unix hours); hour 0 holds the totals since creation. */
struct record_usage {
    int64_t tenant_no, hour;
    int64_t nutrients, collects, searches, outcomes, stores, bytes;
};

struct record_idempotency {
    int64_t no, tenant_no;
    struct bytes key_hash;  /* 16 bytes over tenant, key, route and value */
    struct bytes body_hash; /* 16 bytes */
    int64_t status;         /* HTTP */
    struct bytes result;    /* what rebuilds the answer */
    int64_t created_ms;
};

struct record_audit {
    int64_t tenant_no, seq;
    int64_t at_ms;
    struct bytes actor;  /* key id */
    struct bytes action; /* e.g. "key.create" */
    struct bytes target;
    struct bytes detail; /* JSON object, no secrets */
};

#endif
