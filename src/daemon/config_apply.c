/* SPDX-License-Identifier: MIT
 *
 * The texts of the configuration become values, and the values are checked against each other. */
#include "config_priv.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

static const char *const services[] = {"identity", "keys",          "policies", "router",
                                       "memory",   "reinforcement", "regions"};

static void *target(struct config *c, const struct option *o)
{
    return (char *)c + o->offset;
}

static enum qmn_code bad_value(const struct option *o, const struct config_setting *s,
                               const char *expected, struct err *err)
{
    return err_set(err, QMN_E_INVALID, "%s (%s): expected %s, got \"%.60s\"", o->name, s->where,
                   expected, s->text);
}

static enum qmn_code apply_number(struct config *c, const struct option *o,
                                  const struct config_setting *s, struct err *err)
{
    char *end = NULL;
    double value = strtod(s->text, &end);
    bool whole = o->type == OPTION_COUNT;
    if (end == s->text || *end || !(value >= o->min && value <= o->max) ||
        (whole && value != floor(value))) {
        char expected[80];
        snprintf(expected, sizeof expected, "a%s number from %g to %g", whole ? " whole" : "",
                 o->min, o->max);
        return bad_value(o, s, expected, err);
    }
    if (whole)
        *(uint32_t *)target(c, o) = (uint32_t)value;
    else
        *(double *)target(c, o) = value;
    return QMN_OK;
}

static enum qmn_code apply_switch(struct config *c, const struct option *o,
                                  const struct config_setting *s, struct err *err)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1", "off", "on"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(s->text, words[i]) == 0) {
            *(bool *)target(c, o) = i % 2 == 1;
            return QMN_OK;
        }
    return bad_value(o, s, "yes or no", err);
}

static enum qmn_code apply_choice(struct config *c, const struct option *o,
                                  const struct config_setting *s, struct err *err)
{
    for (uint32_t i = 0; o->words[i]; i++)
        if (strcasecmp(s->text, o->words[i]) == 0) {
            *(uint32_t *)target(c, o) = i + 1;
            return QMN_OK;
        }
    return bad_value(o, s, o->arg, err);
}

static enum qmn_code apply_level(struct config *c, const struct option *o,
                                 const struct config_setting *s, struct err *err)
{
    enum log_level level;
    if (!log_level_parse(bytes_cstr(s->text), &level))
        return bad_value(o, s, "debug, info, warn or error", err);
    *(uint32_t *)target(c, o) = level;
    return QMN_OK;
}

/* ---- addresses ---- */

static enum qmn_code parse_service(struct config *c, const struct option *o,
                                   const struct config_setting *s, struct bytes name,
                                   const char **ret, struct err *err)
{
    const char *text = arena_cstr(&c->arena, name);
    if (!text)
        return err_nomem(err);
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (strcmp(text, services[i]) == 0) {
            *ret = services[i];
            return QMN_OK;
        }
    const char *near = suggest_word(text, services, ARRAY_LEN(services));
    return err_set(err, QMN_E_INVALID,
                   "%s (%s): unknown service \"%.40s\"%s%s%s; services are identity, keys, "
                   "policies, router, memory, reinforcement, regions",
                   o->name, s->where, text, near ? "; did you mean " : "", near ? near : "",
                   near ? "?" : "");
}

/* One "[SERVICE=]HOST:PORT"; IPv6 hosts in brackets. */
static enum qmn_code parse_address(struct config *c, const struct option *o,
                                   const struct config_setting *s, struct bytes text,
                                   struct err *err)
{
    struct config_listen a = {.service = ""};
    if (c->listen_count == CONFIG_LISTEN_MAX)
        return err_set(err, QMN_E_INVALID, "%s (%s): more than %d addresses", o->name, s->where,
                       CONFIG_LISTEN_MAX);
    const char *equals = memchr(text.ptr, '=', text.len);
    if (equals) {
        size_t len = (size_t)(equals - text.ptr);
        TRY(parse_service(c, o, s, bytes_of(text.ptr, len), &a.service, err));
        text = bytes_of(equals + 1, text.len - len - 1);
    }
    const char *colon = memrchr(text.ptr, ':', text.len);
    struct bytes host = bytes_of(text.ptr, colon ? (size_t)(colon - text.ptr) : 0);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = bytes_of(host.ptr + 1, host.len - 2);
    else if (host.len && memchr(host.ptr, ':', host.len))
        host.len = 0;
    const char *digits = colon ? colon + 1 : "";
    size_t digit_count = colon ? text.len - (size_t)(digits - text.ptr) : 0;
    unsigned port = 0;
    bool numeric = digit_count > 0 && digit_count <= 5;
    for (size_t i = 0; numeric && i < digit_count; i++) {
        numeric = digits[i] >= '0' && digits[i] <= '9';
        port = port * 10 + (unsigned)(digits[i] - '0');
    }
    if (!host.len || !numeric || port > 65535)
        return err_set(err, QMN_E_INVALID,
                       "%s (%s): expected [SERVICE=]HOST:PORT such as 127.0.0.1:8022 or "
                       "[::1]:8022, got \"%.*s\"",
                       o->name, s->where, BYTES_FMT(text));
    a.host = arena_cstr(&c->arena, host);
    if (!a.host)
        return err_nomem(err);
    a.port = (uint16_t)port;
    c->listen[c->listen_count++] = a;
    return QMN_OK;
}

static enum qmn_code apply_listen(struct config *c, const struct option *o,
                                  const struct config_setting *s, struct err *err)
{
    const char *p = s->text;
    while (*p) {
        size_t len = strcspn(p, ", ");
        if (len)
            TRY(parse_address(c, o, s, bytes_of(p, len), err));
        p += len + strspn(p + len, ", ");
    }
    return c->listen_count ? QMN_OK : bad_value(o, s, "at least one HOST:PORT", err);
}

bool config_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}

/* ---- all of it ---- */

static enum qmn_code apply_one(struct config *c, const struct option *o,
                               const struct config_setting *s, struct err *err)
{
    switch (o->type) {
    case OPTION_TEXT:
        *(const char **)target(c, o) = s->text;
        return QMN_OK;
    case OPTION_COUNT:
    case OPTION_REAL:
        return apply_number(c, o, s, err);
    case OPTION_SWITCH:
        return apply_switch(c, o, s, err);
    case OPTION_CHOICE:
        return apply_choice(c, o, s, err);
    case OPTION_LEVEL:
        return apply_level(c, o, s, err);
    case OPTION_LISTEN:
        return apply_listen(c, o, s, err);
    }
    return err_set(err, QMN_E_INTERNAL, "option %s has no type", o->name);
}

enum qmn_code config_apply(struct config *c, struct err *err)
{
    c->listen_count = 0;
    for (size_t i = 0; i < config_option_count; i++)
        TRY(apply_one(c, &config_options[i], &c->settings[i], err));
    if (!*c->data_dir)
        return err_set(err, QMN_E_INVALID, "data-dir: expected a directory, got nothing");
    for (uint32_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *a = &c->listen[i];
        if (!c->allow_plaintext && !config_is_loopback(a->host))
            return err_set(err, QMN_E_INVALID,
                           "listen %s:%u can be reached from other machines, and keys would cross "
                           "the network unencrypted; put a TLS proxy in front of a loopback "
                           "address, or give --allow-plaintext",
                           a->host, a->port);
    }
    return QMN_OK;
}
