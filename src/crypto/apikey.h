/* SPDX-License-Identifier: MIT
 *
 * API keys: their text, and what is kept of them.
 *
 *   qmn_<env>_<id>_<secret><crc>
 *
 *   env     1-15 of [a-z0-9]: tells a key of a test node from one that matters
 *   id      16 of [0-9A-Za-z], public: what the key is called in logs, lists and audit
 *   secret  43 of [0-9A-Za-z], 256 random bits
 *   crc     CRC-32 (IEEE) of all before it, as 6 of [0-9A-Za-z]: a mistyped key is refused without
 * a look-up, and scanners for leaked keys have no false alarms
 *
 * Only HMAC-SHA256(pepper, secret) is stored.  A plain hash would do against guessing 256 bits; the
 * pepper, which lives outside the database, keeps somebody who can write to the database from
 * making keys of his own.
 *
 * Thread rule: everything here is pure but apikey_make and pepper_load_or_make, which any thread
 * may call too. */
#ifndef QMN_CRYPTO_APIKEY_H
#define QMN_CRYPTO_APIKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    APIKEY_ENV_CHARS = 15, /* at most */
    APIKEY_ID_CHARS = 16,
    APIKEY_SECRET_CHARS = 43, /* log2(62^43) = 256.03 */
    APIKEY_CRC_CHARS = 6,     /* log2(62^6) = 35.7 */
    /* "qmn_", env, "_", id, "_", secret, crc, NUL */
    APIKEY_TEXT_SIZE =
        4 + APIKEY_ENV_CHARS + 1 + APIKEY_ID_CHARS + 1 + APIKEY_SECRET_CHARS + APIKEY_CRC_CHARS + 1,
    APIKEY_MAC_BYTES = 32,
    PEPPER_BYTES = 32,
};

/* The secret that MACs are keyed with. */
struct pepper {
    uint8_t b[PEPPER_BYTES];
    bool ready;
};

/* Reads the pepper from its file, or makes the file (0600, atomically, durable on return) when
 * there is none.  QMN_E_FORBIDDEN: others may read it.  QMN_E_CORRUPT: not a pepper.  A second
 * process that makes it at the same moment gets the same one. */
QMN_NODISCARD enum qmn_code pepper_load_or_make(const char *path, struct pepper *ret,
                                                struct err *err);
/* The same without making one: QMN_E_NOT_FOUND. */
QMN_NODISCARD enum qmn_code pepper_load(const char *path, struct pepper *ret, struct err *err);
void pepper_wipe(struct pepper *p);

/* A whole key, NUL-terminated: a secret.  CLEANUP(apikey_text_wipe) wherever one is held. */
struct apikey_text {
    char text[APIKEY_TEXT_SIZE];
};
void apikey_text_wipe(struct apikey_text *k);
/* Overwrites memory that held a secret; the compiler keeps it. */
void secret_wipe(void *secret, size_t len);

struct apikey_mac {
    uint8_t b[APIKEY_MAC_BYTES];
};

/* The parts of a key text, borrowed from it. */
struct apikey {
    struct bytes env, id, secret;
};

/* A new key.  `env` must satisfy apikey_env_valid. */
void apikey_make(const char *env, struct apikey_text *ret);
bool apikey_env_valid(const char *env);
/* False unless `text` is exactly a key with a correct checksum.  A single wrong character never
 * passes. */
bool apikey_parse(struct bytes text, struct apikey *ret);
/* QMN_E_INTERNAL when the library refuses or the pepper is not ready. */
QMN_NODISCARD enum qmn_code apikey_mac(const struct pepper *p, struct bytes secret,
                                       struct apikey_mac *ret, struct err *err);
/* In constant time.  False when `stored` has not the length of a MAC. */
bool apikey_mac_equal(const struct apikey_mac *mac, struct bytes stored);

#endif
