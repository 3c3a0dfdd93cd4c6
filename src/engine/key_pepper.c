/* SPDX-License-Identifier: MIT
 *
 * The pepper that the node's keys are made with, and its fingerprint in the store.
 *
 * The file lies outside the database and its backups, so the two can part: it is lost, or a backup
 * comes to another node.  A node that then made itself a new pepper would refuse every key and say
 * nothing, so a start that finds keys wants the pepper they were made with.  Before the writer
 * starts. */
#include "engine/control_priv.h"

#define PEPPER_MARK "pepper.fingerprint" /* in record_meta */

#define WHAT_TO_DO                                                                                 \
    "put back the file from the node that made the keys; or, if it is lost, qmnd --new-pepper "    \
    "ends all keys and writes a new admin key"

/* A MAC of a text that is no secret of a key (those are longer) tells nothing of the pepper. */
enum qmn_code pepper_fingerprint(const struct pepper *p, struct apikey_mac *ret, struct err *err)
{
    return apikey_mac(p, BYTES_LIT("fingerprint"), ret, err);
}

struct record_meta pepper_mark(const struct apikey_mac *fingerprint)
{
    return (struct record_meta){.name = BYTES_LIT(PEPPER_MARK),
                                .value = bytes_of(fingerprint->b, sizeof fingerprint->b)};
}

static enum qmn_code keep(struct engine *e, const struct apikey_mac *fingerprint, struct err *err)
{
    struct record_meta row = pepper_mark(fingerprint);
    struct mutation put = {.op = MUT_PUT, .kind = RECORD_META, .record = &row};
    size_t failed;
    return e->store->ops->commit(e->store, &put, 1, &failed, err);
}

static enum qmn_code missing(const struct engine *e, struct err *err)
{
    return err_set(err, QMN_E_UNAVAILABLE,
                   "the data directory has no file \"pepper\", and none of the %zu keys in the "
                   "store works without it: " WHAT_TO_DO,
                   e->net.keys_by_id.len);
}

static enum qmn_code foreign(const struct engine *e, struct err *err)
{
    return err_set(err, QMN_E_UNAVAILABLE,
                   "the file \"pepper\" of the data directory is not the one that the %zu keys in "
                   "the store were made with: " WHAT_TO_DO,
                   e->net.keys_by_id.len);
}

/* Compares the pepper with the fingerprint.  Before there are keys any pepper will do. */
static enum qmn_code compare(struct engine *e, bool new_pepper, struct err *err)
{
    CLEANUP(arena_release) struct arena arena;
    struct apikey_mac fingerprint;
    struct record_meta key = pepper_mark(&fingerprint), found;
    arena_init(&arena, 0);
    TRY(pepper_fingerprint(&e->pepper, &fingerprint, err));
    enum qmn_code code = e->store->ops->get(e->store, RECORD_META, &key, &arena, &found, err);
    if (code != QMN_OK && code != QMN_E_NOT_FOUND)
        return code;
    e->pepper_fits = code == QMN_OK && apikey_mac_equal(&fingerprint, found.value);
    if (e->pepper_fits)
        return QMN_OK;
    if (code == QMN_E_NOT_FOUND || !e->net.keys_by_id.len) {
        e->pepper_fits = true;
        return keep(e, &fingerprint, err);
    }
    return new_pepper ? QMN_OK : foreign(e, err);
}

enum qmn_code engine_open_pepper(struct engine *e, const struct engine_config *config,
                                 struct err *err)
{
    bool make = !e->net.keys_by_id.len || config->new_pepper;
    enum qmn_code code = make ? pepper_load_or_make(config->pepper_path, &e->pepper, err)
                              : pepper_load(config->pepper_path, &e->pepper, err);
    if (code == QMN_E_NOT_FOUND)
        return missing(e, err);
    TRY(code);
    return compare(e, config->new_pepper, err);
}
