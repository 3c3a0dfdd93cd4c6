/* SPDX-License-Identifier: MIT
 *
 * From options to a request, and from an answer to the reader. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_priv.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "codec/json_read.h"

enum { KEY_MAX = 512 };

/* ---- connection ---- */

static enum qmn_code read_key_file(struct cli *c, const char *path, bool required, const char **ret,
                                   struct err *err)
{
    char text[KEY_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        c->locked_key = arena_cstr(&c->arena, bytes_cstr(path));
    if (fd < 0) {
        if (!required && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
            return QMN_OK;
        return cli_usage(c, err, "key file %s: %s", path, strerror(errno));
    }
    ssize_t n = read(fd, text, KEY_MAX);
    close(fd);
    if (n < 0)
        return cli_usage(c, err, "key file %s: %s", path, strerror(errno));
    text[n] = '\0';
    text[strcspn(text, "\r\n \t")] = '\0';
    if (!text[0])
        return cli_usage(c, err, "key file %s holds no key", path);
    *ret = arena_cstr(&c->arena, bytes_cstr(text));
    explicit_bzero(text, sizeof text);
    c->key_source = arena_cstr(&c->arena, bytes_cstr(path));
    return *ret && c->key_source ? QMN_OK : err_nomem(err);
}

/* What is said beats what is found lying about. */
static enum qmn_code find_key(struct cli *c, const char **ret, struct err *err)
{
    const char *env = getenv("QMN_API_KEY"), *file = cli_text(c, "key-file");
    *ret = cli_text(c, "key");
    c->key_source = "--key";
    if (*ret)
        return QMN_OK;
    if (file)
        return read_key_file(c, file, true, ret, err);
    *ret = env && *env ? env : NULL;
    c->key_source = "QMN_API_KEY";
    if (*ret)
        return QMN_OK;
    file = getenv("QMN_API_KEY_FILE");
    c->key_source = NULL;
    if (file && *file)
        return read_key_file(c, file, true, ret, err);
    const char *data = getenv("QMN_DATA_DIR"), *home = getenv("HOME");
    const char *places[] = {
        arena_printf(&c->arena, "%s/admin-key", data && *data ? data : "var/data"),
        home ? arena_printf(&c->arena, "%s/.config/qmn/key", home) : NULL,
    };
    for (size_t i = 0; i < ARRAY_LEN(places) && !*ret; i++)
        if (places[i])
            TRY(read_key_file(c, places[i], false, ret, err));
    return QMN_OK;
}

static const char *setting(const struct cli *c, const char *option, const char *variable)
{
    const char *text = cli_text(c, option);
    if (!text)
        text = getenv(variable);
    return text && *text ? text : NULL;
}

enum qmn_code cli_connect(struct cli *c, struct err *err)
{
    const char *key = NULL;
    double timeout;
    if (c->client)
        return QMN_OK;
    TRY(cli_number(c, "timeout", 0.1, 86400, 30, &timeout, err));
    TRY(find_key(c, &key, err));
    const char *url = setting(c, "url", "QMN_URL");
    c->url = url ? url : "http://127.0.0.1:8022";
    const struct client_config config = {
        .url = c->url,
        .key = key,
        .tenant = setting(c, "tenant", "QMN_TENANT_ID"),
        .timeout_ms = (uint32_t)(timeout * 1000),
    };
    enum qmn_code code = client_new(&config, &c->client, err);
    c->wrong_usage |= code == QMN_E_INVALID;
    return code;
}

/* ---- requests ---- */

static enum qmn_code append_text(struct cli *c, ProtobufCMessage *m,
                                 const ProtobufCFieldDescriptor *f, const char *text,
                                 struct err *err)
{
    char *base = (char *)m;
    size_t *count = (size_t *)(void *)(base + f->quantifier_offset);
    char ***list = (char ***)(void *)(base + f->offset);
    char **more = arena_array(&c->arena, char *, *count + 1);
    char *copy = arena_cstr(&c->arena, bytes_cstr(text));
    if (!more || !copy)
        return err_nomem(err);
    if (*count)
        memcpy(more, *list, *count * sizeof *more);
    more[(*count)++] = copy;
    *list = more;
    return QMN_OK;
}

static enum qmn_code set_json(struct cli *c, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                              const struct cli_value *v, struct err *err)
{
    enum json_kind kind;
    if (!json_valid(bytes_cstr(v->text), &c->arena, &kind))
        return cli_usage(c, err, "--%s: expected JSON such as '{\"a\": 1}', got %.100s",
                         v->option->name, v->text);
    char *base = (char *)m;
    *(protobuf_c_boolean *)(void *)(base + f->quantifier_offset) = 1;
    *(ProtobufCBinaryData *)(void *)(base + f->offset) =
        (ProtobufCBinaryData){strlen(v->text), (uint8_t *)(uintptr_t)v->text};
    return QMN_OK;
}

static enum qmn_code set_field(struct cli *c, ProtobufCMessage *m, const struct cli_value *v,
                               struct err *err)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, v->option->field);
    if (!f)
        return QMN_OK; /* it fills a nested message, or another of the command's requests */
    if (f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_STRING)
        return append_text(c, m, f, v->text, err);
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return set_json(c, m, f, v, err);
    struct err detail = {0};
    if (message_set_text(m, f->name, bytes_cstr(v->text), &c->arena, &detail) != QMN_OK)
        return cli_usage(c, err, "--%s: %s", v->option->name, detail.text);
    return QMN_OK;
}

enum qmn_code cli_request(struct cli *c, const ProtobufCMessageDescriptor *desc, void *ret_message,
                          struct err *err)
{
    ProtobufCMessage *m = message_new(desc, &c->arena);
    if (!m)
        return err_nomem(err);
    for (size_t i = 0; i < c->value_count; i++)
        if (c->values[i].option->field)
            TRY(set_field(c, m, &c->values[i], err));
    memcpy(ret_message, &m, sizeof m);
    return QMN_OK;
}

enum qmn_code cli_text_object(struct cli *c, const char *text, ProtobufCBinaryData *ret,
                              struct err *err)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_adds(&b, "{\"text\":");
    json_put_string(&b, bytes_cstr(text));
    buf_addc(&b, '}');
    uint8_t *copy = buf_ok(&b) ? arena_copy(&c->arena, b.ptr, b.len) : NULL;
    if (!copy)
        return err_nomem(err);
    *ret = (ProtobufCBinaryData){b.len, copy};
    return QMN_OK;
}

const char *cli_path(struct cli *c, const char *fmt, ...)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 8192);
    va_list args;
    va_start(args, fmt);
    for (; *fmt; fmt++) {
        if (fmt[0] == '%' && fmt[1] == 's') {
            client_path_segment(&b, va_arg(args, const char *));
            fmt++;
        } else {
            buf_addc(&b, *fmt);
        }
    }
    va_end(args);
    const char *path = buf_ok(&b) ? arena_cstr(&c->arena, buf_bytes(&b)) : NULL;
    return path ? path : "/";
}

const char *cli_query(struct cli *c, const char *path)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 8192);
    buf_adds(&b, path);
    for (size_t i = 0; i < c->value_count; i++)
        if (c->values[i].option->field)
            client_path_query(&b, c->values[i].option->field, c->values[i].text);
    const char *text = buf_ok(&b) ? arena_cstr(&c->arena, buf_bytes(&b)) : NULL;
    return text ? text : path;
}

static void waiting(void *ctx)
{
    progress_set(ctx, 0);
}

/* With a line on the terminal should the node take its time. */
static enum qmn_code send_waiting(struct cli *c, const struct client_call *call,
                                  struct client_answer *ret, struct err *err)
{
    struct progress progress;
    progress_begin(&progress, arena_printf(&c->arena, "waiting for %s", client_address(c->client)),
                   0);
    client_set_tick(c->client, waiting, &progress);
    enum qmn_code code = client_send(c->client, call, &c->arena, ret, err);
    client_set_tick(c->client, NULL, NULL);
    progress_end(&progress);
    return code;
}

enum qmn_code cli_ask(struct cli *c, const struct client_call *call, void *ret_answer,
                      struct err *err)
{
    struct client_answer answer = {0};
    TRY(cli_connect(c, err));
    TRY(send_waiting(c, call, &answer, err));
    if (c->json && answer.body.len)
        printf("%.*s\n", BYTES_FMT(answer.body));
    if (call->response && !answer.message)
        return err_set(err, QMN_E_INTERNAL, "the node answered nothing");
    if (ret_answer)
        memcpy(ret_answer, &answer.message, sizeof answer.message);
    return QMN_OK;
}

enum qmn_code cli_send(struct cli *c, const struct client_call *call, void *ret_answer,
                       struct err *err)
{
    struct client_call mine = *call;
    if (c->json)
        mine.response = NULL;
    return cli_ask(c, &mine, ret_answer, err);
}
