# SPDX-License-Identifier: MIT
"""Negative controls: a protection is taken out of the source, a line or so, and the test that guards it has to fail.

A test that stays green without what it tests proves nothing.  Each row names a file, the text that
protects, what stands there instead, a test program and the test in it that must turn red.  The file is compiled with
its change and linked in front of the library it belongs to; neither the tree nor the build folder is touched.  A row
whose text is not there any more, or there twice, fails too: the control has to follow the code.

A test in C runs alone, and it is red when it says so, when its program crashes, or when it does not end.
"""
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("QMN_BUILD") or ROOT / "build-test").resolve()
PATIENCE_MS = 3000  # of waits in tests of which one is expected to be in vain
HANG_S = 20

# linked into a test program: it runs one of its tests
ONE_TEST = r"""
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
__attribute__((constructor)) static void only(void)
{
    cmocka_set_test_filter(getenv("ONE_TEST"));
}
"""

# what is protected, file in src, protection, without it, program, test; several changes to a file as tuples
UNITS = [
    ("vectors: filter", "index/graph_walk.c", "(k->permit && !permits(k, slot))", "false",
     "index_vectors_graph", "filters_lose_nothing"),
    ("vectors: tombstones", "index/graph_walk.c", "!rows_is_live(k->scorer->rows, slot) ||", "false ||",
     "index_vectors_graph", "churn_costs_no_recall"),
    ("vectors: links to freed slots", "index/graph_repair.c", "if (!repair_level(g, slot, level))", "if (0)",
     "index_vectors_graph", "churn_costs_no_recall"),
    ("vectors: error bounds", "index/vectors_scan.c", "room->highest, n, search_bar(f),",
     "room->highest, n, search_bar(f) + 9,",
     "index_vectors_flat", "an_exact_search_equals_a_scan_in_double"),
    ("vectors: a walk that gave up", "index/vectors_graph.c", "!f->s->walker.capped && f->best.len == k", "true",
     "index_vectors_graph", "filters_lose_nothing"),
    ("vectors: centre", "index/vectors.c", "if (g && rows_centre(&v->rows))", "if (g)",
     "index_vectors_graph", "vectors_that_lean_the_same_way_are_told_apart"),
    ("epochs: who is inside", "base/epoch.c", "if (atomic_load(&e->lanes[i].readers[(now + 1) & 1]))", "if (0)",
     "base_epoch", "who_is_inside_keeps_it"),
    ("vectors: slots wait", "base/epoch.c", "if (atomic_load(&e->lanes[i].readers[(now + 1) & 1]))", "if (0)",
     "index_vectors_readers", "a_slot_is_not_given_away_while_it_is_pinned"),
    ("vectors: graphs wait", "index/vectors.c", "epoch_retire(v->epoch, &old->garbage, view_release);",
     "view_release(&old->garbage);",
     "index_vectors_readers", "a_graph_dropped_meanwhile_is_walked_to_the_end"),
    ("vectors: exact copies wait", "index/vectors.c", "epoch_retire(v->epoch, &old->garbage, view_release);",
     "view_release(&old->garbage);",
     "index_vectors_readers", "exact_copies_given_up_meanwhile_are_there_to_the_end"),
    ("duplicates: vectors of the store", "engine/memory_duplicates.c", "            code = look_at_all(d, &scratch, g);", "            (void)look_at_all;",
     "engine_memory_duplicates", "of_a_large_tenant_the_stored_vectors_decide"),
    ("vectors: the version of links", "index/graph_walk.c",
     ("uint16_t version = graph_version(b);\n", "while (!graph_is_still(b, version)) {"),
     ("uint16_t version = 0;\n", "while (0) {"),
     "index_vectors_readers", "links_half_written_are_waited_for"),
    ("vectors: fresh is noted before the walk", "index/vectors_graph.c",
     "!note_all_fresh(f, &fresh_count) || !walk(f, larger(ef, k))",
     "!walk(f, larger(ef, k)) || !note_all_fresh(f, &fresh_count)",
     "index_vectors_readers", "linking_hides_nothing_from_a_search"),
    ("vectors: found by both tiers", "index/vectors_graph.c", "leave_out_the_met(&f->s->walker, fresh);",
     "(void)leave_out_the_met;",
     "index_vectors_readers", "linking_hides_nothing_from_a_search"),
    ("vectors: links beyond the rows of a search", "index/graph_walk.c", "at = to < limit ? to : limit;", "at = to;",
     "index_vectors_readers", "a_walk_stays_within_the_rows_that_it_began_with"),
    ("snapshot: rows are checked", "index/snapshot_load.c", "return want <= FLT_MAX && want >= s.square", "return true || want >= s.square",
     "index_snapshot", "damaged_pieces_make_no_invalid_index"),
    ("snapshot: links are checked", "index/snapshot_load.c", "if (!links_fit(l, links, count, slot))", "if (0)",
     "index_snapshot", "damaged_pieces_make_no_invalid_index"),
    ("snapshot: links to what is not there", "index/snapshot_mend.c", "if (!rows_is_linked(g->rows, to) ||", "if (",
     "index_snapshot", "chunks_of_different_moments_fit_together"),
    ("snapshot: marks of links", "index/graph_build.c",
     "        rows_touch_links(g->rows, node);\n", "",
     "index_snapshot", "chunks_of_different_moments_fit_together"),
    ("snapshot: marks of removals", "index/rows.c", "    c->links_mark++;\n    count_by(&r->live, -1);", "    count_by(&r->live, -1);",
     "index_snapshot", "marks_tell_which_pieces_changed"),
    ("snapshot: used at a start", "engine/memory_snapshot_load.c", "if (!e->snapshot_dir[0] ||", "if (true ||",
     "engine_memory_snapshot", "a_restart_goes_on_from_the_snapshot"),
    ("snapshot: versions are compared", "engine/memory_snapshot_load.c", "o->version == row->version &&", "",
     "engine_memory_snapshot", "what_the_store_knows_otherwise_comes_from_the_store"),
    ("snapshot: slots of nobody", "engine/memory_snapshot_load.c", "            memory_index_drop(t, slot);\n", "",
     "engine_memory_snapshot", "what_the_store_knows_otherwise_comes_from_the_store"),
    ("snapshot: only what changed", "engine/memory_snapshot_take.c", "was->codes.mark != k->marks.codes)", "true)",
     "engine_memory_snapshot", "only_what_changed_is_written"),
    ("snapshot: purge", "engine/purge.c", "    memory_snapshot_forget(p->engine, p->tenant);\n", "",
     "engine_memory_snapshot", "a_purge_takes_the_snapshot_with_it"),
    ("snapshot: cosines of the store", "engine/memory_search.c", "else if (all[i].no)", "else if (all[i].no < 0)",
     "engine_memory_snapshot", "a_restart_goes_on_from_the_snapshot"),
    ("snapshot: words of what it has", "engine/memory_rows.c", "    memory_enter(e, t, next, slot);\n", "    struct lexical_doc none = {0};\n    struct memory_next bare = *next;\n    bare.words = &none;\n    memory_enter(e, t, &bare, slot);\n",
     "engine_memory_snapshot", "words_come_back_and_cosines_beside_them_are_exact"),
    ("memories: cosines beside words", "engine/memory_search.c", "        if (!s->matches[i].vector_rank) {", "        if (0) {",
     "engine_memory_snapshot", "words_come_back_and_cosines_beside_them_are_exact"),
    ("sealed files: names", "store/sealed_files.c", '"file/%lld/%s", (long long)f->tenant_no, name', '"file"',
     "store_sealed_files", "a_file_of_another_name_or_tenant_is_refused"),
    ("vectors: equals", "index/graph_build.c", "same ? equal < c.equal :", "same ? true :",
     "index_vectors_graph", "equal_vectors_are_all_returned"),
    ("isolation: live nutrients", "engine/network.c", "return x && x->tenant == t && memcmp", "return x && memcmp",
     "engine_outcomes", "a_trace_of_another_tenant_cannot_be_rated"),
    ("isolation: traces", "engine/trace.c", "if (ret->tenant_no != tenant_no)", "if (0)",
     "engine_outcomes", "a_trace_of_another_tenant_cannot_be_rated"),
    ("isolation: keys", "engine/keys.c",
     "k->tenant->record->no == caller->tenant_no ||\n                         caller_is", "true || caller_is",
     "engine_key_changes", "other_tenants_keys_do_not_exist"),
    ("isolation: X-Tenant-ID", "engine/auth.c", "TRY(check_tenant(t, k, &acting, err));",
     "acting = network_tenant(&t->e->net, t->acting.len ? t->acting : k->tenant->record->id);",
     "engine_auth", "a_tenant_header_may_name_only_the_own_tenant"),
    ("clearance: routing", "engine/decide_score.c", "(uint8_t)d->in->sensitivity,", "0,",
     "engine_routing", "an_agent_below_the_label_is_never_chosen"),
    ("clearance: inbox", "engine/inbox.c", "d->nutrient->sensitivity <= clearance;", "true;",
     "engine_inbox", "a_pull_shows_only_what_key_and_agent_may_see"),
    ("clearance: acknowledge", "engine/ack.c", "return x && x->sensitivity <= clearance ?", "return x ?",
     "engine_clearance", "what_one_may_not_see_one_cannot_acknowledge"),
    ("clearance: words counted", "text/lexical_search.c",
     "with += filter->classes >> c & 1 ? t->docs[c] : 0;", "with += t->docs[c];",
     "text_lexical", "hidden_documents_change_no_bit_of_an_answer"),
    ("clearance: documents counted", "text/lexical_search.c", "if (classes >> c & 1) {", "if (classes) {",
     "text_lexical", "hidden_documents_change_no_bit_of_an_answer"),
    ("clearance: search by words", "text/lexical_search.c",
     "return class_plus && (q->filter.classes >> (class_plus - 1) & 1);", "return class_plus;",
     "text_lexical", "hidden_documents_change_no_bit_of_an_answer"),
    ("words: absent ones", "text/lexical_search.c",
     "is_counted(x, filter, filter->absent[i]) && posting_list_tf(x, t, filter->absent[i]);", "0;",
     "text_lexical", "absent_documents_change_no_bit_of_an_answer"),
    ("room: an add after a reserve", "text/lexical.c", "grow(&x->pool, &x->pool_cap, (uint64_t)x->pool_live + words",
     "grow(&x->pool, &x->pool_cap, words",
     "text_lexical", "after_a_reserve_an_add_needs_no_memory"),
    ("clearance: collect", "engine/collect.c", "memory_permit(t, p->clearance,",
     "memory_permit(t, LABEL_SECRET,",
     "engine_collect", "labels_hide_without_a_trace"),
    ("clearance: the index", "engine/memory_permit.c",
     "for (uint32_t i = 0; i < labels; i++)", "for (uint32_t i = labels - labels; i < LABEL_SECRET; i++)",
     "engine_memory_index", "they_are_found_in_the_graph"),
    ("agents: clearance in the index", "engine/agent_index.c", "bool on = t->reach[slot] >= label;", "bool on = true;",
     "engine_agent_index", "whoever_may_not_have_it_neither_gets_it_nor_hides_others"),
    ("agents: edges bring forward", "engine/decide_index.c", " || !offer_edges(d, &h, beyond)", "",
     "engine_agent_index", "an_edge_brings_forward_who_is_dissimilar"),
    ("agents: capabilities bring forward", "engine/decide_index.c",
     "!hope_by_capability(d, h, &l) || ", "",
     "engine_agent_index", "capabilities_bring_forward_who_is_dissimilar"),
    ("agents: demand brings forward", "engine/decide_index.c", "    hope_by_demand(d, h, &l);\n", "    (void)hope_by_demand;\n",
     "engine_agent_index", "demand_brings_forward_who_is_dissimilar"),
    ("agents: new ones are in the index", "engine/agent_index.c", "    put_in(x, slot, profile);\n}", "    (void)put_in;\n    (void)profile;\n}",
     "engine_agent_index", "a_new_agent_and_a_new_profile_are_found_at_once"),
    ("agents: linked behind everybody's back", "engine/writer.c", "agents = agent_index_work(e);", "agents = false;",
     "engine_agent_index", "both_ways_choose_the_same"),
    ("agents: a small tenant has no index", "engine/agent_index.c", "if (t->active_agents < enough(t) / 2) {", "if (0) {",
     "engine_agent_index", "a_tenant_gets_an_index_when_it_grows_and_loses_it_when_it_shrinks"),
    ("agents: what a sample stands for", "engine/decide_eligible.c", "*ret_p = (double)m / others / found;",
     "*ret_p = 1.0 / others;", "engine_agent_index", "exploration_is_even_and_counts_the_eligible_without_bias"),
    ("exploration: a sample's probability", "route/select.c", "found ? o->epsilon * p : 0", "found ? o->epsilon / n : 0",
     "route_select", "a_sample_counts_the_eligible_without_bias_and_explores_them_alike"),
    ("memories: linked behind everybody's back", "engine/writer.c", "        work_behind(e);\n", "        (void)work_behind;\n",
     "engine_memory_index", "they_are_found_in_the_graph"),
    ("memories: a slot is who was found", "base/epoch.c",
     "if (atomic_load(&e->lanes[i].readers[(now + 1) & 1]))", "if (0)",
     "engine_memory_readers", "a_memory_is_not_taken_for_one_that_was_found"),
    ("memories: permitted when found", "engine/memory_index.c",
     "return memory_permit_has(now, slot) ? &t->memories[slot] : NULL;", "(void)now;\n    return &t->memories[slot];",
     "engine_memory_readers", "one_that_may_not_be_found_any_more_is_left_out"),
    ("memories: a search holds no lock", "engine/memory_index.c",
     "    bool ok = vectors_search(",
     "    pthread_rwlock_rdlock(&e->net.lock);\n    bool ok = vectors_search(",
     "engine_memory_readers", "a_publish_does_not_wait_for_a_search"),
    ("memories: linking holds no lock", "engine/memory_index.c",
     "    bool more = t->memory_index &&",
     "    pthread_rwlock_wrlock(&e->net.lock);\n    bool more = t->memory_index &&",
     "engine_memory_readers", "a_search_does_not_wait_for_linking"),
    ("memory search: a filter inside the words", "engine/memory_search.c", "struct lexical_filter f = {.permit = s->permit.bits};",
     "struct lexical_filter f = {0};", "engine_memory_words", "a_filter_holds_inside_the_search_by_words"),
    ("memory search: expired words", "engine/memory_search.c", "    f->absent = slots;\n", "    f->absent_count = 0;\n",
     "engine_memory_words", "hidden_memories_change_no_bit_of_an_answer"),
    ("memory search: words counted by label", "engine/memory_search.c", "label <= s->permit.clearance; label++)",
     "label <= LABEL_SECRET; label++)", "engine_memory_words", "hidden_memories_change_no_bit_of_an_answer"),
    ("memory search: both are fused", "engine/memory_candidates.c", "all->items[fused[i].id].relevance = fused[i].score;", "",
     "engine_memory_words", "an_explanation_names_the_words_and_adds_up"),
    ("memory search: the words half", "engine/memory_candidates.c", "if (aim->unit && aim->words)", "if (0)",
     "engine_memory_words", "names_and_codes_are_found_and_come_first"),
    ("memory search: words by score", "engine/memory_candidates.c", "{w, words, weight, true}", "{w, words, weight, false}",
     "engine_memory_words", "names_and_codes_are_found_and_come_first"),
    ("memory search: equal ones by age", "engine/memory_candidates.c", "return by_number(a, b);\n}\n\nstatic struct",
     "return (a->slot > b->slot) - (a->slot < b->slot);\n}\n\nstatic struct",
     "engine_memory_words", "equal_ones_are_ordered_by_age_whatever_their_places"),
    ("memory search: more while there are equals", "engine/memory_candidates.c",
     "return count < asked || asked == most ||", "return 1 || count < asked || asked == most ||",
     "engine_memory_words", "equal_ones_are_ordered_by_age_whatever_their_places"),
    ("memory search: usefulness", "route/rerank.c", "* f.recency * f.useful", "* f.recency",
     "engine_memory_credit", "a_search_may_prefer_what_was_useful"),
    ("memory search: a pool to order anew", "engine/memory_search.c", "if (s->mode != SEARCH_HYBRID && !rerank_asked(&s->in->ranking))",
     "if (1)", "engine_memory_words", "ranking_weighs_quality_and_age"),
    ("memories: words of what changes", "engine/memory_rows.c", "    if (next->words)\n        memory_words_remove(t, slot);\n    if (next->unit)",
     "    if (next->words && 0)\n        memory_words_remove(t, slot);\n    if (next->unit)",
     "engine_memory_words", "words_follow_every_change"),
    ("memories: words of what goes", "engine/memory_rows.c", "    memory_words_remove(t, slot);\n    memory_index_remove", "    memory_index_remove",
     "engine_memory_words", "words_follow_every_change"),
    ("memories: words of a new label", "engine/memory_change.c", "says || op->row.sensitivity != op->old.sensitivity", "says",
     "engine_memory_words", "words_follow_every_change"),
    ("memories: room for all words of a group", "engine/memory_words.c", "t->words_coming += words;", "t->words_coming = words;",
     "engine_memory_words", "a_batch_of_many_words_finds_room"),
    ("memories: a changed vector takes a new place", "engine/memory_rows.c", "        slot = memory_add_vector(t, next->unit);\n",
     "", "engine_memory_versions", "what_it_says_makes_a_version_and_how_it_is_treated_none"),
    ("clearance: memories", "engine/memories.c", "return m->used && m->sensitivity <= clearance &&",
     "return m->used &&",
     "engine_memories", "labels_hide_without_a_trace"),
    ("clearance: traces", "engine/trace.c", "if (code == QMN_OK && ret->sensitivity > (int64_t)clearance)", "if (0)",
     "engine_clearance", "the_trace_of_a_secret_nutrient_is_absent_below_its_label"),
    ("clearance: names", "engine/engine.c", "p[0] = (char)('0' + label);", "(void)label, p[0] = '0';",
     "engine_clearance", "a_hidden_nutrient_does_not_show_by_its_name"),
    ("one vote: another score", "engine/outcome.c", "if (op->credits[i].score != h->score)", "if (0)",
     "engine_outcomes",
     "another_score_is_a_conflict"),
    ("one vote: the same again", "engine/outcome.c", "h->known = true;", "", "engine_outcomes",
     "a_repeat_answers_the_same_and_changes_nothing"),
    ("batches: what they reserve adds up", "engine/group.c", "e->writer->places += more;", "(void)more;",
     "engine_memories", "batches_and_others_share_a_group"),
    ("batches: one refused, all refused", "engine/memory_store.c",
     "TRY(name_item(op, i, check_item(e, op, i, err), err));", "(void)name_item(op, i, check_item(e, op, i, err), err);",
     "engine_memories", "a_batch_that_is_refused_half_way_leaves_nothing"),
    ("pages: each begins behind the one before", "engine/memory_list.c", "&m->id, &q->after) <= 0) &&", "&m->id, &q->after) < 0) &&",
     "engine_memory_list", "every_page_size_gives_the_same_list"),
    ("pages: hidden ones do not show", "engine/memory_permit.c",
     "for (uint32_t i = 0; i < labels; i++)", "for (uint32_t i = labels - labels; i < LABEL_SECRET; i++)",
     "engine_memory_list", "hidden_ones_change_neither_pages_nor_cursors"),
    ("filters: what has expired is hidden", "engine/memory_permit.c", "seen & ~expired(s, w, now)", "seen & ~(0 * expired(s, w, now))",
     "engine_memory_filters", "what_has_expired_is_hidden_before_it_goes"),
    ("filters: the earliest expiry", "engine/memory_sets.c", "head->soonest_ms = m->expires_ms;", ";",
     "engine_memory_filters", "what_has_expired_is_hidden_before_it_goes"),
    ("filters: null is what is not there", "engine/memory_permit.c", "if (has_null(f)) {", "if (0) {",
     "engine_memory_filters", "a_filter_equals_asking_each_memory"),
    ("filters: a text that goes on", "engine/memory_permit.c", "c = 1; /* it goes on */", "c = 0;",
     "engine_memory_filters", "a_filter_equals_asking_each_memory"),
    ("filters: a change leaves the old sets", "engine/terms.c", "slotset_remove(&f->terms[i]->set, slot);", "",
     "engine_memory_filters", "a_filter_equals_asking_each_memory"),
    ("filters: promises add up", "engine/terms.c", "        return false;\n    t->promised++;", "        return false;",
     "engine_terms", "what_was_promised_needs_no_memory"),
    ("filters: a promised term stays", "engine/terms.c", "    if (promised(x, t)) {", "    if (0 && promised(x, t)) {",
     "engine_terms", "a_term_that_is_promised_stays"),
    ("filters: broken promises are forgotten", "engine/terms.c", "        x->oldest = f->newer;\n        mem_free(f);\n    }\n    x->newest = NULL;\n    while (x->idle) {",
     "        x->oldest = f->newer;\n        mem_free(f);\n    }\n    x->newest = NULL;\n    while (0 && x->idle) {",
     "engine_terms", "what_never_comes_is_forgotten"),
    ("filters: metadata is bounded", "engine/memory_facts.c",
     (".most = LIMIT_METADATA_FACTS + MEMORY_ID_FACTS", "w->most = w->count + LIMIT_METADATA_FACTS;"), (".most = 2000", "w->most = 1900;"),
     "engine_memory_filters", "no_more_is_kept_of_metadata_than_the_bound"),
    ("filters: depth", "api/memory_filter.c", "if (p->depth == LIMIT_FILTER_DEPTH)", "if (0)",
     "api_memory_filter", "depth_number_and_length_are_bounded"),
    ("filters: conditions", "api/memory_filter.c", "if (p->conditions == LIMIT_FILTER_CONDITIONS)", "if (0)",
     "api_memory_filter", "depth_number_and_length_are_bounded"),
    ("slot sets: room is made before", "index/slotset.c", "    if (slotset_has_room(s, more, slots))\n        return true;", "    return true;",
     "index_slotset", "a_set_equals_an_array_of_truths"),
    ("import: a unit vector stays as it is", "engine/memory_transfer.c", "if (!(fabs(norm - 1) < UNIT_TOLERANCE)) {", "if (1) {",
     "engine_memory_list", "a_vector_comes_back_to_the_bit"),
    ("duplicates: labels", "engine/memory_duplicates.c", "memory_permit(t, network_clearance(t, d->call->caller),", "memory_permit(t, LABEL_SECRET,",
     "engine_memory_duplicates", "hidden_ones_leave_no_trace"),
    ("duplicates: the threshold", "engine/memory_duplicates.c", "similarity < bar || !memory_permit_has", "!memory_permit_has",
     "engine_memory_duplicates", "every_near_pair_is_listed_once_at_its_newer_memory"),
    ("duplicates: each pair once", "engine/memory_duplicates.c", "    strike(d, slot);\n", "(void)strike;",
     "engine_memory_duplicates", "every_near_pair_is_listed_once_at_its_newer_memory"),
    ("backlog: bounded", "engine/memory_store.c", "    TRY(memory_backlog_check(e, cmd->tenant, err));\n", "",
     "engine_memory_backlog", "beyond_the_bound_stores_wait_for_links"),
    ("backlog: small tenants", "engine/memory_backlog.c", "if (!linking || stats.fresh", "if (stats.fresh",
     "engine_memory_backlog", "a_small_tenant_is_never_refused"),
    ("backlog: the measured rate", "engine/memory_backlog.c", "(rate > 0 ? rate : ASSUMED_RATE)", "ASSUMED_RATE",
     "engine_memory_backlog", "retry_after_is_what_links_have_taken"),
    ("quality: outcomes move it", "engine/outcome.c", "    credit_memories(op);\n", "",
     "engine_memory_credit", "an_outcome_moves_the_quality_of_what_was_used_by_its_share"),
    ("quality: a vote weighs its share", "engine/outcome.c", "quality_share(c->similarity, nearest)", "1",
     "engine_memory_credit", "an_outcome_moves_the_quality_of_what_was_used_by_its_share"),
    ("quality: one rater's run is bounded", "route/quality.c", "fade(&e->run_weight, &e->run_sum, QUALITY_RUN_MAX);", "",
     "route_quality", "one_rater_alone_moves_it_half_way_at_most"),
    ("quality: the log is read at a start", "engine/learning_log.c", "TRY(memory_credit_load(e, row, &memory, err));", "",
     "engine_memory_credit", "an_outcome_moves_the_quality_of_what_was_used_by_its_share"),
    ("quality: rows catch up", "engine/memory_credit.c", "writer_add(e, MUT_PUT, RECORD_MEMORY_CREDIT, row);", "",
     "engine_memory_credit", "nothing_is_lost_whatever_is_done_to_memories"),
    ("quality: given anew", "engine/memory_change.c", "x->evidence = (struct quality_evidence){0};", "",
     "engine_memory_credit", "whoever_says_anew_how_good_it_is_begins_anew"),
    ("quality: superseded", "engine/memory_rows.c", "if (bytes_equal(m->id, id_bytes(&before.id))) {", "if (1) {",
     "engine_memory_credit", "whatever_supersedes_it_begins_anew"),
    ("import: what is known is skipped", "engine/memory_transfer.c", "known = memory_slot(t, &x->id) != UINT32_MAX;", "",
     "engine_memory_list", "an_import_adds_nothing_twice"),
    ("memories: a double is looked for", "engine/memory_store.c", "x->merged = same(&row,", "x->merged = 0 && same(&row,",
     "engine_memory_versions", "the_very_same_is_stored_once"),
    ("memories: what supersedes is as secret", "engine/memory_store.c",
     "        x->row.sensitivity = old.sensitivity;", "        ;",
     "engine_memory_versions", "labels_hold_for_the_whole_history"),
    ("memories: a changed label is audited", "engine/memory_change.c",
     'writer_audit(e, t, caller, "memory.label", op->in->id, bytes_cstr(detail));', "",
     "engine_memory_versions", "a_label_that_changes_is_written_down"),
    ("memories: history is bounded", "engine/memory_change.c",
     "return oldest >= 1 ? drop_oldest(e, cmd, old->no, oldest, op, err) : QMN_OK;", "return QMN_OK;",
     "engine_memory_versions", "only_so_many_versions_are_kept"),
    ("groups: a round is one piece", "engine/writer.c", "if (g)\n", "if (0)\n",
     "engine_group", "a_round_is_one_commit"),
    ("groups: the writer waits for a round", "engine/writer.c", "return w->expected && w->queued", "return 0 && w->queued",
     "engine_group", "the_writer_waits_for_a_round_under_way"),
    ("decisions: of the profiles as they are", "engine/decide_score.c", "return r->version != t->profiles.version ||",
     "return !r->version ||", "engine_routing", "an_agent_that_comes_within_a_round_is_seen_by_the_rest_of_it"),
    ("cosines: spiky vectors", "index/flat.c", "if (rough && !coarse(f, slots[i]))", "if (true)",
     "index_flat", "cosines_between_slots_are_near_the_exact_ones"),
    ("cosines: spiky vectors among some", "index/flat.c", "if (!rough || coarse(f, slots[i]))", "if (false)",
     "index_flat", "vectors_that_int8_holds_badly_are_found_too"),
    ("cosines: spikes in fixed point", "index/flat.c", "if (error <= FLAT_FINE)", "if (error <= 1)",
     "index_flat", "fixed_point_keeps_its_promise_of_spikes"),
    ("one vote: rated since the loop looked", "engine/outcome.c",
     "if (writer_stamped_since(e, pair_hash(op), op->looked_at))", "if (0)",
     "engine_outcomes", "a_rating_committed_behind_the_look_is_seen"),
    ("one look: the writer trusts the loop's", "engine/group.c",
     "return e->writer->stamps[what % WRITER_STAMPS] > published;", "return true;",
     "engine_outcomes", "the_writer_need_not_read_what_a_loop_has_read"),
    ("learning log: edges at the start", "engine/learning_log.c", "TRY(load_edge(e, row->no, &edge, err));", "",
     "engine_learning_log", "a_restart_finds_what_has_no_row_yet"),
    ("learning log: tasks at the start", "engine/learning_log.c", "TRY(load_task(e, row->no, &task, err));", "",
     "engine_learning_log", "a_restart_finds_what_has_no_row_yet"),
    ("learning log: tasks catch up", "engine/learning_log.c",
     "return put_edges(e, a) + recent_put_rows(e, a);", "return put_edges(e, a);",
     "engine_learning_log", "the_log_stays_within_its_bound_and_rows_catch_up"),
    ("learning log: what is loaded from it is behind", "engine/learning_log.c",
     "recent_mark(a, task->nth);", "",
     "engine_learning_log", "a_ring_that_goes_round_before_it_has_rows_is_kept"),
    ("learning log: only what lags far is caught up", "engine/learning_log.c",
     "if (g->written - (memory ? m->log_at : a->log_at) <= g->bound)", "if (0)",
     "engine_learning_log", "a_restart_finds_what_has_no_row_yet"),
    ("learning log: a purged tenant stays away", "engine/learning_log.c",
     "if (purge_ordered(e->control->purge, a->tenant->record->no))", "if (0)",
     "engine_purge", "nothing_of_it_catches_up"),
    ("recent tasks: those of a command put off", "engine/group.c",
     "w->tasks_tail = mark->tasks_tail;\n    *w->tasks_tail = NULL;", "",
     "engine_learning_log", "what_a_command_added_that_was_put_off_is_not_logged"),
    ("recent tasks: one of a nutrient in a group", "engine/recent.c", "|| coming(w, a, nutrient_no))", ")",
     "engine_recent", "acknowledged_and_rated_in_one_group_it_is_one_task"),
    ("fingerprints: the same by AVX2", "api/body_hash_wide.c", "SWAPPED = 0x4e", "SWAPPED = 0xe4",
     "api_body_hash", "every_instruction_set_gives_the_same"),
    ("doubles: what is sent is what is kept", "codec/json_put.c", "*ret = apart < ten_k;", "*ret = apart < 9 * ten_k;",
     "codec_json_encode", "no_digit_of_a_double_could_be_spared"),
    ("loops: a burst is shared out", "net/listener.c",
     "    atomic_fetch_add_explicit(&lane->loop.conn_count, 1, memory_order_relaxed);", "",
     "net_listener", "a_burst_is_shared_out_evenly"),
    ("rate limit", "engine/rate.c", "if (next - now_us > window)", "if (next - now_us > 2 * window)", "engine_rate",
     "it_allows_what_a_token_bucket_allows"),
    ("quota: reads", "engine/usage.c", "if (before >= limit &&", "if (0 &&",
     "engine_usage", "past_the_quota_reads_are_refused_until_the_hour"),
    ("quota: writes", "engine/group.c", "if (limit != UINT64_MAX && used + n > limit)", "if (0)",
     "engine_group", "a_nutrient_costs_what_it_says_and_no_more_than_there_is"),
    ("leases: redelivery", "engine/inbox.c", "if (mono >= a->inbox_scan_ms) {", "if (0) {",
     "engine_inbox", "a_leased_item_comes_again_after_its_lease"),
    ("leases: nobody else meanwhile", "engine/inbox.c", "d->ready_ms = now.mono + op->in->lease_ms;",
     "d->ready_ms = 0;",
     "engine_inbox", "a_leased_item_comes_again_after_its_lease"),
    ("checksum of content", "store/seal.c", "if (memcmp(expected, sealed.ptr + plain.len, CRC_BYTES) != 0)", "if (0)",
     "store_record_pack", "a_flipped_bit_or_another_row_is_noticed"),
    ("leases: a resume takes over", "engine/inbox.c", "return op->in->resume && d->leased && d->leased_to &&",
     "return 0 &&",
     "engine_inbox", "a_resume_takes_over_what_a_stream_that_ended_was_leasing"),
    ("log: writes are gathered", "store/sqlite/vfs.c", "return flags & SQLITE_OPEN_WAL ?", "return 0 ?",
     "store_sqlite", "a_batch_is_written_in_a_few_calls"),
    ("log: a sync flushes what was gathered first", "store/sqlite/log_file.c",
     "int rc = settle(g);\n    if (rc == SQLITE_OK && g->unsynced)",
     "int rc = SQLITE_OK;\n    if (rc == SQLITE_OK && g->unsynced)",
     "store_log_file", "a_sync_comes_after_what_was_gathered"),
    ("log: what is written needs a sync", "store/sqlite/log_file.c",
     "    g->unsynced = true;\n    int rc = real_of(g)->pMethods->xWrite", "    int rc = real_of(g)->pMethods->xWrite",
     "store_log_file", "what_has_been_synced_is_not_synced_again"),
    ("log: a transaction's last page goes out", "store/sqlite/log_file.c",
     "return rc == SQLITE_OK && ends ? flush(g) : rc;", "(void)ends;\n    return rc;",
     "store_log_file", "a_transaction_goes_out_in_one_write_before_its_last_page_returns"),
    ("log: what is lost stays reported", "store/sqlite/log_file.c", "        g->lost = rc;\n", "",
     "store_log_file", "a_sync_fails_as_long_as_something_is_lost"),
    ("log: what is written over goes out", "store/sqlite/log_file.c", " || at < g->end", "",
     "store_sqlite", "a_batch_larger_than_the_cache_is_whole_once_it_is_committed"),
    ("log: no write too long", "store/sqlite/log_file.c", "GATHER_BYTES = 124 << 10", "GATHER_BYTES = 256 << 10",
     "store_log_file", "no_write_is_longer_than_the_layer_below_takes"),
    ("what expires goes before what comes", "engine/writer.c",
     "upkeep_begin(e); /* what goes makes room for what comes */\n    check_all(e, &list, &refused, &deferred);",
     "check_all(e, &list, &refused, &deferred);\n    upkeep_begin(e);",
     "engine_upkeep", "what_goes_leaves_its_place_to_what_comes"),
    ("a closed key's waits", "engine/key_changes.c", "    key_replace(k, TAKE(op->next));\n    wake_users(e, k);",
     "    key_replace(k, TAKE(op->next));", "engine_clearance", "whoever_waits_is_told_at_once_that_the_key_ended"),
    ("isolation: names of nutrients", "engine/network.c",
     ("return bytes_hash(client_id, (uint64_t)t->record->no * 8 + label);", "bool same = x && x->tenant == t &&"),
     ("(void)t;\n    return bytes_hash(client_id, label);", "bool same = x &&"),
     "engine_inbox", "the_same_client_id_of_two_tenants_is_two_nutrients"),
    ("isolation: memories", "engine/memories.c",
     "uint32_t slot = id_parse(text, PREFIX_MEMORY, &id) ? memory_slot(t, &id) : UINT32_MAX;",
     "uint32_t slot = UINT32_MAX, at = 0;\n"
     "for (bool is = id_parse(text, PREFIX_MEMORY, &id); is && slot == UINT32_MAX && at < e->net.tenant_count;)\n"
     "    slot = memory_slot(t = e->net.tenants[at++], &id);",
     "engine_memories", "another_tenant_sees_nothing"),
    ("isolation: tasks", "engine/tasks.c",
     "enum qmn_code code = t ? find(t, id, &row, err) : err_set(err, QMN_E_NOT_FOUND, \"no tenant\");",
     "enum qmn_code code = QMN_E_NOT_FOUND;\n"
     "for (uint32_t i = 0; code != QMN_OK && i < e->net.tenant_count; i++)\n"
     "    code = find(t = e->net.tenants[i], id, &row, err);",
     "engine_tasks", "tenants_do_not_share_tasks"),
    ("isolation: audit", "engine/audit.c", "l->enough = row->tenant_no != l->tenant_no || l->count == l->limit;",
     "l->enough = l->count == l->limit;",
     "engine_audit", "tenants_see_their_own_audit"),
    ("isolation: tenants and what is listed of them", "engine/control.c",
     "else if (caller_is(caller, SCOPE_ADMIN))", "else",
     "engine_tenants", "another_tenant_and_an_absent_one_are_the_same"),
    ("isolation: idempotency keys", "engine/idempotency.c", "h = bytes_hash(caller->key_id, h);", "",
     "engine_idempotency", "another_key_route_or_tenant_is_another_call"),
    ("rate limit: an idle key saves up one burst", "engine/rate.c", "next = (old > now_us ? old : now_us) + interval;",
     "next = old + interval;",
     "engine_rate", "it_allows_what_a_token_bucket_allows"),
    ("rate limit: what is refused costs nothing", "engine/rate.c", "if (next - now_us > window)\n",
     "if (next - now_us > window && atomic_fetch_add(tat_us, interval))\n",
     "engine_rate", "what_was_refused_costs_nothing"),
    ("rate limit: loops share one bucket", "engine/rate.c",
     "} while (!atomic_compare_exchange_weak_explicit(tat_us, &old, next, memory_order_relaxed,\n"
     "                                                    memory_order_relaxed));",
     "    if (next % 512 == 0)\n        (void)sched_yield(); /* what a busy machine does anyway, now and then */\n"
     "        atomic_store(tat_us, next);\n    } while (0);",
     "engine_rate", "threads_together_get_one_burst"),
    ("rate limit: asked at each call", "engine/auth.c", "if (v.allowed)\n", "if (1)\n",
     "engine_auth", "too_many_requests_are_told_when_to_come_back"),
    ("slow clients: the head", "net/http1_codec.c", "h->begun ? s->header_timeout_ms :", "h->begun ? INT32_MAX :",
     "net_slow", "a_head_that_drips_in_is_cut_with_408"),
    ("slow clients: a head byte by byte", "net/http1_codec.c", "if (!h->begun) {", "if (1) {",
     "net_slow", "a_head_that_drips_in_is_cut_with_408"),
    ("slow clients: the body", "net/http1_codec.c",
     ("if (ms >= c->server->body_timeout_ms)\n", "return since_ms + (next_ms < whole_ms ? next_ms : whole_ms);"),
     ("if (0)\n", "return since_ms + next_ms;"),
     "net_slow", "a_body_that_is_fast_enough_but_endless_is_cut"),
    ("slow clients: the rate of a body", "net/http1_codec.c", "return ms >= c->server->body_timeout_ms / RATE_STEPS &&",
     "return 0 &&",
     "net_slow", "a_body_below_the_minimum_rate_is_cut_before_its_time"),
    ("slow clients: idle ones", "net/http1_codec.c", ": s->idle_timeout_ms);", ": INT32_MAX);",
     "net_slow", "an_idle_connection_is_closed_without_a_word"),
    ("slow clients: who does not read", "net/conn.c",
     "due_ms = c->write_us / 1000 + c->server->write_timeout_ms;", "due_ms = 0;",
     "net_slow", "a_reader_that_takes_nothing_is_cut"),
    ("the deadline of a request", "net/http1_codec.c",
     "return h->x->req.streaming ? NEVER : (h->x->req.deadline_us + 999) / 1000;", "(void)h;\n    return NEVER;",
     "net_deadline", "a_handler_that_never_answers_is_answered_for"),
    ("the ready queue: order on a connection", "net/http1_codec.c",
     ("    case PHASE_HEAD:\n        return step_head", "    case PHASE_READY:\n    case PHASE_HANDLING:\n        break;"),
     ("    case PHASE_HEAD:\n    case PHASE_READY:\n        return step_head", "    case PHASE_HANDLING:\n        break;"),
     "net_ready", "requests_of_one_connection_keep_their_order"),
    ("the ready queue: in the same round", "net/loop.c", "        run_deferred(l);\n        ready_run(l);",
     "        ready_run(l);\n        run_deferred(l);", "net_ready", "work_is_handed_over_in_the_round_that_read_it"),
    ("the ready queue: not for what has no body", "net/http1_codec.c", "if (!x->req.body.len) {", "if (0) {",
     "net_ready", "what_has_no_body_does_not_wait_behind_work"),
    ("the ready queue: its budget", "net/ready.c", "now_us - r->began_us < READY_SLICE_US)", "true)",
     "net_ready", "sockets_are_looked_at_after_every_slice"),
    ("the ready queue: a crowd is looked at last", "net/http1_codec.c", "        conn_brings_work(c);", "        (void)c;",
     "net_ready", "a_health_check_overtakes_a_crowd_that_brings_work"),
    ("the ready queue: what a round costs", "net/ready.c", "fitting(READY_SLICE_US, r->slice_ns);", "UINT32_MAX;",
     "net_ready", "a_slice_allows_for_what_the_end_of_the_round_costs"),
    ("the ready queue: its age", "net/ready.c", "    shed_old(r, now_us);", "    (void)shed_old;",
     "net_ready", "who_has_waited_too_long_is_turned_away"),
    ("the ready queue: its bound", "net/ready.c", "|| count >= fitting(wait_ms * 1000, r->turn_ns);", "|| (0 && wait_ms);",
     "net_ready", "no_more_may_wait_than_can_be_served_in_time"),
    ("the ready queue: when it is never empty", "net/ready.c", "bool standing = count && ", "bool standing = 0 && ",
     "net_ready", "a_queue_that_is_never_empty_takes_less"),
    ("the ready queue: its memory", "net/ready.c", "return r->bytes >= r->max_bytes || ", "return ",
     "net_ready", "the_memory_of_waiting_bodies_is_bounded"),
    ("the ready queue: who leaves", "net/exchange.c", "    if (x->ready)\n        ready_remove(x);\n", "",
     "net_ready", "a_client_that_leaves_gives_its_place_up"),
    ("the ready queue: who seems gone", "net/http1_codec.c", "if (c->shut_us && !c->running)", "if (0)",
     "net_ready", "a_peer_that_seems_gone_by_then_is_told_of"),
    ("the ready queue: deadlines", "net/http1_codec.c", "    case PHASE_READY:\n        return answer_due_ms(h);",
     "    case PHASE_READY:\n        return NEVER;", "net_ready", "the_deadline_of_a_request_holds_while_it_waits"),
    ("refusals: the body is not the next request", "net/http1_codec.c",
     "        refuse_busy(c, h);\n        skip_body(c, h, &framing);",
     "        refuse_busy(c, h);\n        next_message(c, h);",
     "net_ready", "no_more_may_wait_than_can_be_served_in_time"),
    ("drain: its deadline", "net/server.c", "clock_us(s->clock) < deadline_us)", "(deadline_us || true))",
     "net_lifetime", "a_drain_ends_hard_at_its_deadline"),
    ("drain: what is left is cut", "net/server.c", "while (lane->loop.conns) {\n        struct conn *c",
     "while (0) {\n        struct conn *c",
     "net_lifetime", "a_drain_ends_hard_at_its_deadline"),
    ("streams: Last-Event-ID", "api/stream.c", "s->in.after = s->in.resume ? s->resume_from : 0;", "s->in.after = 0;",
     "api_stream", "last_event_id_resumes_behind_it"),
    ("streams: a position never moves back", "api/stream.c", "if (item->sequence > s->last_id) {", "if (1) {",
     "api_stream", "a_redelivery_carries_no_id"),
    ("streams: what never left goes back", "engine/inbox.c", "        give_back(e, a, stream, unsent[i]);", "        ;",
     "engine_inbox", "what_a_stream_never_sent_is_anybodys_at_once"),
    ("streams: but not from somebody else", "engine/inbox.c", "!d->leased || d->leased_to != stream)", "!d->leased)",
     "engine_inbox", "what_somebody_else_holds_by_now_stays_theirs"),
    ("streams: what was lost with its connection", "net/exchange.c",
     "x->stream_lost = x->conn->codec->stream_pending(x);", "(void)x;",
     "net_lifetime", "a_stream_is_told_what_never_left"),
]

# the same for a whole node and the tests of it in Python
NODES = [
    ("isolation matrix: scopes", "api/auth.c", "if (x->route->access == ACCESS_KEY ||", "if (1 ||",
     "test_isolation.py", "a_missing_scope_is_forbidden"),
    ("isolation matrix: tenants", "engine/keys.c",
     "k->tenant->record->no == caller->tenant_no ||\n                         caller_is", "true || caller_is",
     "test_isolation.py", "what_belongs_to_others_is_exactly_what_is_not_there"),
    ("isolation matrix: X-Tenant-ID", "engine/auth.c", "TRY(check_tenant(t, k, &acting, err));",
     "acting = network_tenant(&t->e->net, t->acting.len ? t->acting : k->tenant->record->id);",
     "test_isolation.py", "a_tenant_header_that_is_not_the_keys_is_forbidden"),
    ("the pepper of the keys", "engine/key_pepper.c", "return new_pepper ? QMN_OK : foreign(e, err);", "return QMN_OK;",
     "test_daemon.py", "keys_without_their_pepper_are_no_start"),
    ("streams: Last-Event-ID", "api/stream.c", "s->in.after = s->in.resume ? s->resume_from : 0;", "s->in.after = 0;",
     "test_stream.py", "last_event_id_resumes_behind_it"),
    ("streams: what never left goes back", "api/stream.c", "engine, s->in.stream, unsent, count);",
     "engine, s->in.stream, unsent, 0);",
     "test_stream.py", "what_never_left_the_node_is_there_for_the_next_reader"),
    ("memory is flat: bodies", "net/exchange.c", "    mem_free(x->body_heap);\n", "",
     "test_hostile.py", "memory_is_flat"),
    ("memory is flat: connections", "net/conn.c", "    c->codec->free(c);\n    mem_free(c);", "    c->codec->free(c);",
     "test_hostile.py", "memory_is_flat"),
    ("memory is flat: parsers", "net/http1_codec.c", "    mem_free(c->state);\n", "(void)c;",
     "test_hostile.py", "memory_is_flat"),
    ("answers wait for the commit", "store/sqlite/write.c",
     ("return dbconn_roll_back(s->writer) ? QMN_OK : err_nomem(err);",
      "    enum qmn_code code = run_patiently(s, COMMON_BEGIN,",
      "code = dbconn_run(s->writer, COMMON_COMMIT, \"committing\", err);"),
     ("(void)s, (void)err;\n    return QMN_OK;",
      "    (void)dbconn_run(s->writer, COMMON_COMMIT, \"committing\", err);\n"
      "    enum qmn_code code = run_patiently(s, COMMON_BEGIN,",
      ";"),
     "test_daemon_crash.py", "kill_9_under_load_loses_nothing"),
    ("a full disk is told from a broken one", "store/sqlite/conn.c",
     "case SQLITE_FULL:\n        return err_set(err, QMN_E_DISK_FULL, \"no space left on the store's disk\");",
     "case SQLITE_FULL:\n        return err_set(err, QMN_E_UNAVAILABLE, \"no disk\");",
     "test_daemon_crash.py", "a_full_disk_answers_507_serves_reads_and_recovers"),
    ("a full disk does not end writing", "store/sqlite/write.c",
     "if (code == QMN_E_UNAVAILABLE)\n            s->failed = true;\n        return code;\n    }\n    if (s->changes.len)",
     "if (code != QMN_E_CONFLICT)\n            s->failed = true;\n        return code;\n    }\n    if (s->changes.len)",
     "test_daemon_crash.py", "a_full_disk_answers_507_serves_reads_and_recovers"),
    ("a failed sync ends writing", "store/sqlite/write.c",
     "if (s->failed)\n        return err_set(err, QMN_E_UNAVAILABLE,\n                       \"the store's disk",
     "if (0)\n        return err_set(err, QMN_E_UNAVAILABLE,\n                       \"the store's disk",
     "test_daemon_crash.py", "after_a_failed_sync_the_node_refuses_writes_and_serves_reads"),
]


class Row:
    def __init__(self, what, file, protection, instead, program, test):
        self.what, self.file, self.program, self.test = what, file, program, test
        several = isinstance(protection, tuple)
        self.changes = list(zip(protection, instead)) if several else [(protection, instead)]

    def __repr__(self):
        return self.what


def compile_changed(row, folder):
    """The object file of a source without its protection."""
    source = ROOT / "src" / row.file
    text = source.read_text()
    for protection, instead in row.changes:
        assert text.count(protection) == 1, f"{row.file} has {text.count(protection)} times: {protection}"
        text = text.replace(protection, instead)
    changed = folder / source.name
    changed.write_text(text)
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    entry = next(e for e in entries if (BUILD / e["file"]).resolve() == source)
    words = shlex.split(entry["command"])
    for flag in ("-MQ", "-MF", "-o", "-c"):  # with their arguments
        at = words.index(flag)
        del words[at:at + 2]
    words.remove("-MD")
    made = changed.with_suffix(".o")
    words += ["-w", "-g0", "-I", str(source.parent), "-o", str(made), "-c", str(changed)]
    subprocess.run(words, cwd=BUILD, check=True, capture_output=True, text=True)
    return made


def link(target, out, *objects):
    """A program like `target`, at `out`, with these objects in place of members of its archives."""
    lines = subprocess.run(["ninja", "-C", str(BUILD), "-t", "commands", target], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    words = shlex.split(next(line for line in reversed(lines) if f" -o {target} " in line))
    at = words.index("-o")
    words[at:at + 2] = ["-o", str(out), *map(str, objects)]  # before the archives, whose members are then left out
    subprocess.run(words, cwd=BUILD, check=True, capture_output=True, text=True)


@pytest.fixture(scope="session")
def one_test(tmp_path_factory):
    source = tmp_path_factory.mktemp("one") / "one_test.c"
    source.write_text(ONE_TEST)
    made = source.with_suffix(".o")
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-c", "-o", str(made), str(source)], check=True)
    return made


def environment(qmnd):
    """What the tests of a node are told, by Meson (crash) or by tools/test.sh; the crash tests at their shortest."""
    return {**os.environ, "QMND": str(qmnd), "QMN_BUILD": str(BUILD), "QMN_CRASH_SCALE": "0.02",
            "QMN_TEST_PATIENCE_MS": str(PATIENCE_MS),
            "QMN_POWERCUT": str(BUILD / "tests/crash/powercut.so"),
            "QMN_STORE_DRIVER": str(BUILD / "tests/crash/store_driver")}


# First, for these take long: the others fill the gaps.
@pytest.mark.parametrize("row", [Row(*n) for n in NODES], ids=repr)
def test_without_it_a_test_of_a_node_fails(tmp_path, row):
    out = tmp_path / "qmnd"
    link("qmnd", out, compile_changed(row, tmp_path))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", row.test,
                           str(next((ROOT / "tests").glob(f"*/{row.program}")))], env=environment(out),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and re.search(rf"^FAILED .*{row.test}", done.stdout, re.M), (row, done.stdout[-500:])


@pytest.mark.parametrize("row", [Row(*u) for u in UNITS], ids=repr)
def test_without_it_a_unit_test_fails(tmp_path, one_test, row):
    out = tmp_path / row.program
    folder = row.program.split("_")[0]
    link(f"tests/unit/{folder}/test_{row.program}", out, compile_changed(row, tmp_path), one_test)
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "ONE_TEST": row.test,
           "QMN_TEST_PATIENCE_MS": str(PATIENCE_MS)}
    try:
        done = subprocess.run([str(out)], env=env, capture_output=True, text=True, timeout=HANG_S)
    except subprocess.TimeoutExpired:
        return
    says_so = re.search(rf"^not ok 1 - {row.test}\b", done.stdout, re.M)
    # cmocka catches a crash, and in a thread that runs no test, such as the writer's, can only exit(-1)
    crashed = done.returncode < 0 or done.returncode == 255
    assert crashed or says_so, (row, done.stdout[-500:], done.stderr[-500:])
