/* SPDX-License-Identifier: MIT
 *
 * A small online shop on a bad Monday. */
#include "demo.h"

#include "base/attr.h"

/* clang-format off */
const struct demo_agent demo_agents[] = {
    {"oncall", "watches alerts at night, declares incidents, pages people, keeps the timeline", {"alerts", "incidents"}},
    {"dba", "postgres database: slow queries, indexes, locks, connection pool, vacuum, replication lag", {"postgres", "sql"}},
    {"cache", "redis cache: eviction, memory limits, hot keys, expiry, hit rate", {"redis"}},
    {"network", "network: dns, load balancer, tls certificate, requests that time out, packet loss, waiting connections", {"dns", "tls"}},
    {"frontend", "web pages in the browser: layout, buttons, forms, javascript errors, accessibility", {"browser", "css"}},
    {"payments", "payments: cards, checkout, refunds, invoices, webhooks of the payment provider", {"checkout", "refunds"}},
    {"search", "product search: ranking, synonyms, relevance, index of products, typo tolerance", {"search"}},
    {"security", "security: suspicious logins, leaked secrets, access reviews, vulnerabilities", {"secrets", "audit"}},
    {"analyst", "numbers: conversion, revenue reports, dashboards, customer churn, experiments", {"reports", "sql"}},
    {"support", "customers: tickets, complaints, replies, refunds promised, angry reviews", {"tickets"}},
    {"release", "releases: deploys, rollback, feature flags, change calendar, migrations", {"deploy"}},
    {"writer", "documentation: guides, release notes, error messages, status page texts", {"docs"}},
};
const size_t demo_agent_count = ARRAY_LEN(demo_agents);

const struct demo_nutrient demo_nutrients[] = {
    {"oncall", "requests time out: all connections of the pool are waiting", {"timeouts"}, "dba",
     "a report holds row locks for minutes; the pool of 20 connections drains. Kill it, raise the pool to 60."},
    {"oncall", "slow query on orders, the index is not used", {"postgres"}, "dba",
     "statistics are stale after the import: run analyze on orders."},
    {"oncall", "connections waiting again, requests time out at noon", {"timeouts"}, "dba",
     "same report, scheduled at noon. Moved it to the replica."},
    {"oncall", "redis memory is full and keys are evicted", {"redis"}, "cache",
     "sessions have no expiry. Set one of 24 h and use volatile-lru."},
    {"oncall", "tls certificate of the load balancer expires tonight", {"tls"}, "network",
     "renewed; the timer had been disabled by the last migration."},
    {"oncall", "many suspicious logins from one address", {"audit"}, "security",
     "credential stuffing: blocked the range, forced 41 password resets."},
    {"support", "customers complain: card refused at checkout, charged anyway", {"checkout"}, "payments",
     "provider captured twice after our retry; refunds are running, retries now carry a key."},
    {"support", "tickets about refunds promised but not received", {"refunds"}, "payments",
     "the webhook was down on Friday; replayed 212 refunds."},
    {"support", "angry reviews: product search finds nothing for plural words", {"search"}, "search",
     "the stemmer was off for the new language; reindexing, done in an hour."},
    {"support", "how do I export my invoices? asked forty times this week", {"docs"}, "writer",
     "wrote a guide with pictures and linked it from the invoice page."},
    {"release", "the deploy of Friday needs a rollback of its migrations", {"deploy"}, "dba",
     "the migration is additive; roll back the code only and leave the column."},
    {"release", "javascript errors after the deploy: the checkout button does nothing", {"browser"}, "frontend",
     "a form lost its handler in the new bundle; hotfix is behind the flag buy-button."},
    {"release", "release notes for the new checkout are missing", {"docs"}, "writer",
     "drafted: two screens, what changed for invoices, known issues."},
    {"release", "a secret leaked in the build log", {"secrets"}, "security",
     "rotated the token, cleaned the log, added a filter to the build."},
    {"frontend", "checkout form times out waiting for the card provider", {"checkout"}, "payments",
     "their sandbox is slow, production is not: raise our timeout to 8 s."},
    {"frontend", "dns of the image host fails for some customers", {"dns"}, "network",
     "one of three name servers answered with an old record; removed."},
    {"analyst", "conversion dropped ten percent on Monday, which release was it?", {"deploy"}, "release",
     "flag buy-button went to 100% at 09:10; that is when it dropped."},
    {"analyst", "revenue report query runs for minutes and locks rows", {"sql"}, "dba",
     "it needs the index on (day, shop) and should run on the replica."},
    {"payments", "hot keys in redis when refunds are listed", {"redis"}, "cache",
     "one list per shop grew to 2 MB; split by month."},
    {"writer", "error messages of the card form: what do they mean?", {"checkout"}, "payments",
     "here is the table of provider codes with words for people."},
};
const size_t demo_nutrient_count = ARRAY_LEN(demo_nutrients);

const struct demo_memory demo_memories[] = {
    {"dba", "insight", "connections wait and requests time out whenever the pool is smaller than the number of workers", .9},
    {"release", "change", "Friday's deploy doubled the workers that wait for a connection but not the pool", .8},
    {"network", "runbook", "when requests time out first look at the load balancer queue", .5},
    {"cache", "insight", "redis evicts sessions first when memory is full", .7},
    {"support", "preference", "customers want a date in every reply about refunds", .6},
};
const size_t demo_memory_count = ARRAY_LEN(demo_memories);
/* clang-format on */
