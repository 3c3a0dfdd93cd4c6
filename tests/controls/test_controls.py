# SPDX-License-Identifier: MIT
"""Negative controls: a protection is taken out of the source, one line, and the test that guards it has to fail.

A test that stays green without what it tests proves nothing.  Each row names a file, the text that protects, what
stands there instead, a test program and the test in it that must turn red.  The file is compiled with its change and
linked in front of the library it belongs to; neither the tree nor the build folder is touched.  A row whose text is
not there any more, or there twice, fails too: the control has to follow the code.
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

# what is protected, file in src, protection, without it, program, test
UNITS = [
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
    ("clearance: routing", "engine/decide.c", "if (reach[i] < d->in->sensitivity)", "if (0)",
     "engine_routing", "an_agent_below_the_label_is_never_chosen"),
    ("clearance: inbox", "engine/inbox.c", "d->nutrient->sensitivity <= clearance;", "true;",
     "engine_inbox", "a_pull_shows_only_what_key_and_agent_may_see"),
    ("clearance: acknowledge", "engine/ack.c", "return x && x->sensitivity <= clearance ?", "return x ?",
     "engine_clearance", "what_one_may_not_see_one_cannot_acknowledge"),
    ("clearance: collect", "engine/collect.c", "return m->used && m->sensitivity <= p->clearance &&",
     "return m->used &&",
     "engine_collect", "labels_hide_without_a_trace"),
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
     "g->written - a->log_at > g->bound", "true",
     "engine_learning_log", "a_restart_finds_what_has_no_row_yet"),
    ("learning log: a purged tenant stays away", "engine/learning_log.c",
     "if (purge_ordered(e->control->purge, a->tenant->record->no))", "if (0)",
     "engine_purge", "nothing_of_it_catches_up"),
    ("recent tasks: those of a command put off", "engine/group.c",
     "w->tasks_tail = mark->tasks_tail;\n    *w->tasks_tail = NULL;", "",
     "engine_learning_log", "what_a_command_added_that_was_put_off_is_not_logged"),
    ("recent tasks: one of a nutrient in a group", "engine/recent.c", "|| coming(w, a, nutrient_no))", ")",
     "engine_recent", "acknowledged_and_rated_in_one_group_it_is_one_task"),
    ("doubles: what is sent is what is kept", "codec/json_put.c", "*ret = apart < ten_k;", "*ret = apart < 9 * ten_k;",
     "codec_json_encode", "no_digit_of_a_double_could_be_spared"),
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
    ("a closed key's waits", "engine/key_changes.c", "    key_replace(k, TAKE(op->next));\n    wake_users(e, k);",
     "    key_replace(k, TAKE(op->next));", "engine_clearance", "whoever_waits_is_told_at_once_that_the_key_ended"),
]

# the same for a whole node and the tests of tests/integration
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
]


def unplugged(file, protection, instead, target, out):
    """A program like `target`, at `out`, without the protection."""
    source = ROOT / "src" / file
    text = source.read_text()
    assert text.count(protection) == 1, f"{file} has {text.count(protection)} times: {protection}"
    changed = out.parent / source.name
    changed.write_text(text.replace(protection, instead))
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    entry = next(e for e in entries if (BUILD / e["file"]).resolve() == source)
    words = shlex.split(entry["command"])
    for flag in ("-MQ", "-MF", "-o", "-c"):  # with their arguments
        at = words.index(flag)
        del words[at:at + 2]
    words.remove("-MD")
    made = changed.with_suffix(".o")
    words += ["-Wno-error", "-I", str(source.parent), "-o", str(made), "-c", str(changed)]
    subprocess.run(words, cwd=BUILD, check=True, capture_output=True, text=True)
    lines = subprocess.run(["ninja", "-C", str(BUILD), "-t", "commands", target], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    link = shlex.split(next(line for line in reversed(lines) if f" -o {target} " in line))
    at = link.index("-o")
    link[at:at + 2] = ["-o", str(out), str(made)]  # before the archive, whose member is then left out
    subprocess.run(link, cwd=BUILD, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("what, file, protection, instead, program, test", UNITS, ids=[u[0] for u in UNITS])
def test_without_it_a_unit_test_fails(tmp_path, what, file, protection, instead, program, test):
    out = tmp_path / program
    folder = program.split("_")[0]
    unplugged(file, protection, instead, f"tests/unit/{folder}/test_{program}", out)
    done = subprocess.run([str(out)], env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"}, capture_output=True,
                          text=True, timeout=120)
    red = re.findall(r"^not ok \d+ - (\w+)", done.stdout, re.M)
    assert done.returncode != 0 and test in red, (what, red, done.stderr[-500:])


@pytest.mark.parametrize("what, file, protection, instead, script, test", NODES, ids=[n[0] for n in NODES])
def test_without_it_an_integration_test_fails(tmp_path, what, file, protection, instead, script, test):
    out = tmp_path / "qmnd"
    unplugged(file, protection, instead, "qmnd", out)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", test,
                           str(ROOT / "tests/integration" / script)], env={**os.environ, "QMND": str(out)},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and re.search(rf"^FAILED .*{test}", done.stdout, re.M), (what, done.stdout[-500:])
