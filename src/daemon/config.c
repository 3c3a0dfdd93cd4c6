/* SPDX-License-Identifier: MIT
 *
 * Reads the layers of the configuration from the weakest to the strongest.  Each layer only stores
 * the text of an option and where it came from; the texts are parsed once, at the end, so that a
 * value that a stronger layer replaces need not be valid. */
#include "config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"

enum { FILE_BYTES_MAX = 65536 };

struct layer {
    struct config *c;
    enum config_source source;
    uint32_t seen; /* options this layer has set: a second --listen adds, a second layer replaces */
};

static const char *option_name(size_t i)
{
    return config_options[i].name;
}

/* '_' and '-' are the same in a file. */
static bool name_equal(const char *name, struct bytes text)
{
    if (strlen(name) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (name[i] != (text.ptr[i] == '_' ? '-' : text.ptr[i]))
            return false;
    return true;
}

static const struct option *option_find(struct bytes name, size_t *ret_index)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (name_equal(option_name(i), name)) {
            *ret_index = i;
            return &config_options[i];
        }
    return NULL;
}

static const char *nearest_option(const char *name)
{
    static const char *const others[] = {"config",        "check-config", "restore", "bootstrap",
                                         "new-admin-key", "new-pepper",   "help",    "version"};
    const char *names[CONFIG_OPTIONS_MAX + ARRAY_LEN(others)];
    for (size_t i = 0; i < config_option_count; i++)
        names[i] = option_name(i);
    memcpy(names + config_option_count, others, sizeof others);
    return suggest_word(name, names, config_option_count + ARRAY_LEN(others));
}

static enum qmn_code layer_set(struct layer *l, size_t index, struct bytes text, const char *where,
                               struct err *err)
{
    struct config *c = l->c;
    struct config_setting *s = &c->settings[index];
    bool again = (l->seen >> index & 1) != 0;
    if (again && config_options[index].type != OPTION_LISTEN)
        return err_set(err, QMN_E_INVALID, "%s: %s is given twice", where, option_name(index));
    l->seen |= 1u << index;
    char *copy = again ? arena_printf(&c->arena, "%s, %.*s", s->text, BYTES_FMT(text))
                       : arena_cstr(&c->arena, text);
    char *place = arena_cstr(&c->arena, bytes_cstr(where));
    if (!copy || !place)
        return err_nomem(err);
    *s = (struct config_setting){l->source, place, copy};
    return QMN_OK;
}

static enum qmn_code load_defaults(struct config *c, struct err *err)
{
    struct layer l = {c, CONFIG_DEFAULT, 0};
    for (size_t i = 0; i < config_option_count; i++)
        TRY(layer_set(&l, i, bytes_cstr(config_options[i].initial), "default", err));
    return QMN_OK;
}

/* ---- the command line ---- */

static enum qmn_code text_arg(struct config *c, const char *value, const char **ret,
                              struct err *err)
{
    *ret = arena_cstr(&c->arena, bytes_cstr(value));
    return *ret ? QMN_OK : err_nomem(err);
}

/* The flags that are not options. */
static bool special_flag(struct config *c, const char *name, bool *ret_takes_value,
                         const char ***ret_target)
{
    static const struct {
        const char *name;
        enum config_action action;
    } plain[] = {{"check-config", CONFIG_CHECK},
                 {"bootstrap", CONFIG_BOOTSTRAP},
                 {"new-admin-key", CONFIG_NEW_ADMIN_KEY},
                 {"new-pepper", CONFIG_NEW_PEPPER},
                 {"help", CONFIG_HELP},
                 {"version", CONFIG_VERSION}};
    *ret_takes_value = false;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (strcmp(name, plain[i].name) == 0) {
            c->action = plain[i].action;
            return true;
        }
    *ret_takes_value = true;
    if (strcmp(name, "config") == 0)
        *ret_target = &c->file;
    else if (strcmp(name, "restore") == 0)
        *ret_target = &c->restore_file;
    else
        return false;
    return true;
}

static enum qmn_code unknown_flag(const char *arg, const char *name, struct err *err)
{
    const char *near = nearest_option(name);
    if (near)
        return err_set(err, QMN_E_INVALID, "unknown option %s; did you mean --%s?", arg, near);
    return err_set(err, QMN_E_INVALID, "unknown option %s; see qmnd --help", arg);
}

static enum qmn_code load_flag(struct layer *l, int argc, char *const *argv, int *i,
                               struct err *err)
{
    struct config *c = l->c;
    const char *arg = argv[*i];
    if (strcmp(arg, "-h") == 0)
        arg = "--help";
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
        return err_set(err, QMN_E_INVALID,
                       "unexpected argument %s: everything is an option, see qmnd --help", arg);
    const char *equals = strchr(arg, '=');
    size_t name_len = equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
    const char *name = arena_cstr(&c->arena, bytes_of(arg + 2, name_len));
    if (!name)
        return err_nomem(err);

    size_t index = 0;
    bool takes_value;
    const char **target = NULL;
    const struct option *o = NULL;
    if (!special_flag(c, name, &takes_value, &target)) {
        o = option_find(bytes_cstr(name), &index);
        if (!o)
            return unknown_flag(arg, name, err);
        takes_value = o->type != OPTION_SWITCH;
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!takes_value && !value)
        value = "yes";
    else if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return err_set(err, QMN_E_INVALID, "--%s needs a value%s%s", name, o ? ": " : "",
                       o && o->arg ? o->arg : "");
    if (target)
        return text_arg(c, value, target, err);
    return o ? layer_set(l, index, bytes_cstr(value), "flag", err) : QMN_OK;
}

static enum qmn_code load_flags(struct layer *l, int argc, char *const *argv, struct err *err)
{
    for (int i = 1; i < argc; i++)
        TRY(load_flag(l, argc, argv, &i, err));
    return QMN_OK;
}

/* ---- the environment ---- */

static const char *env_get(char *const *envp, const char *name)
{
    size_t len = strlen(name);
    for (; *envp; envp++)
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
            return *envp + len + 1;
    return NULL;
}

/* An empty variable counts as absent, as in most container set-ups. */
static enum qmn_code load_environment(struct config *c, char *const *envp, struct err *err)
{
    struct layer l = {c, CONFIG_ENVIRONMENT, 0};
    for (size_t i = 0; i < config_option_count; i++) {
        const char *name = config_options[i].env;
        const char *value = env_get(envp, name);
        if ((!value || !*value) && config_options[i].type == OPTION_LEVEL) {
            name = "LOG_LEVEL";
            value = env_get(envp, name);
        }
        if (value && *value)
            TRY(layer_set(&l, i, bytes_cstr(value), name, err));
    }
    return QMN_OK;
}

/* An error in a file, but only a warning here: an environment is shared with others. */
bool config_next_unknown(char *const *envp, size_t *at, char ret_name[static CONFIG_NAME_SIZE],
                         const char **ret_near)
{
    /* Of qmn, of the kernels, of tools/node.sh. */
    static const char *const others[] = {"QMN_URL",         "QMN_API_KEY", "QMN_API_KEY_FILE",
                                         "QMN_TENANT_ID",   "QMN_KERNELS", "QMN_READY_SECONDS",
                                         "QMN_STOP_SECONDS"};
    /* Without what they all begin with, which would make anything look alike. */
    enum { PREFIX = 4 };
    const char *words[CONFIG_OPTIONS_MAX + ARRAY_LEN(others)];
    size_t count = 0;
    for (size_t i = 0; i < config_option_count; i++)
        words[count++] = config_options[i].env + PREFIX;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        words[count++] = others[i] + PREFIX;
    while (envp[*at]) {
        const char *entry = envp[(*at)++];
        bool known = strncmp(entry, "QMN_", PREFIX) != 0;
        snprintf(ret_name, CONFIG_NAME_SIZE, "%.*s", (int)strcspn(entry, "="), entry);
        for (size_t i = 0; i < count && !known; i++)
            known = strcmp(words[i], ret_name + PREFIX) == 0;
        if (known)
            continue;
        const char *near = suggest_word(ret_name + PREFIX, words, count);
        *ret_near = near ? near - PREFIX : NULL;
        return true;
    }
    return false;
}

/* ---- the file ---- */

static struct bytes trim(struct bytes s)
{
    while (s.len && strchr(" \t\r", s.ptr[0]))
        s = bytes_of(s.ptr + 1, s.len - 1);
    while (s.len && strchr(" \t\r", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static enum qmn_code load_line(struct layer *l, struct bytes line, const char *where,
                               struct err *err)
{
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return QMN_OK;
    const char *equals = memchr(line.ptr, '=', line.len);
    if (!equals)
        return err_set(err, QMN_E_INVALID, "%s: expected `key = value`, got \"%.60s\"", where,
                       arena_cstr(&l->c->arena, line));
    struct bytes key = trim(bytes_of(line.ptr, (size_t)(equals - line.ptr)));
    struct bytes value = trim(bytes_of(equals + 1, line.len - (size_t)(equals + 1 - line.ptr)));
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = bytes_of(value.ptr + 1, value.len - 2);
    size_t index;
    if (!option_find(key, &index)) {
        const char *name = arena_cstr(&l->c->arena, key);
        const char *near = name ? nearest_option(name) : NULL;
        return err_set(err, QMN_E_INVALID, "%s: unknown key %.60s%s%s%s", where, name ? name : "",
                       near ? "; did you mean " : "; see qmnd --help", near ? near : "",
                       near ? "?" : "");
    }
    return layer_set(l, index, value, where, err);
}

static enum qmn_code read_whole(struct config *c, const char *path, struct bytes *ret,
                                struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, QMN_E_INVALID, "--config %s: %s", path, strerror(errno));
    char *text = arena_alloc(&c->arena, FILE_BYTES_MAX);
    size_t len = 0;
    ssize_t n = text ? 1 : -1;
    while (n > 0 && len < FILE_BYTES_MAX) {
        n = read(fd, text + len, FILE_BYTES_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    int saved = errno;
    close(fd);
    if (!text)
        return err_nomem(err);
    if (n < 0)
        return err_set(err, QMN_E_INVALID, "--config %s: %s", path, strerror(saved));
    if (len == FILE_BYTES_MAX || memchr(text, '\0', len))
        return err_set(err, QMN_E_INVALID,
                       "--config %s: expected a text file shorter than %d bytes", path,
                       FILE_BYTES_MAX);
    *ret = bytes_of(text, len);
    return QMN_OK;
}

static enum qmn_code load_file(struct config *c, struct err *err)
{
    struct layer l = {c, CONFIG_FILE, 0};
    struct bytes rest;
    TRY(read_whole(c, c->file, &rest, err));
    for (unsigned number = 1; rest.len; number++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        const char *where = arena_printf(&c->arena, "%s:%u", c->file, number);
        if (!where)
            return err_nomem(err);
        TRY(load_line(&l, bytes_of(rest.ptr, len), where, err));
        size_t used = end ? len + 1 : len;
        rest = bytes_of(rest.ptr + used, rest.len - used);
    }
    return QMN_OK;
}

/* The node changes its directory; a reload must still find the file. */
static enum qmn_code make_absolute(struct config *c, struct err *err)
{
    char cwd[3072];
    if (c->file[0] == '/')
        return QMN_OK;
    if (!getcwd(cwd, sizeof cwd))
        return err_set(err, QMN_E_INVALID, "--config %s: %s", c->file, strerror(errno));
    const char *path = arena_printf(&c->arena, "%s/%s", cwd, c->file);
    if (!path)
        return err_nomem(err);
    c->file = path;
    return QMN_OK;
}

enum qmn_code config_load(struct config *c, int argc, char *const *argv, char *const *envp,
                          struct err *err)
{
    *c = (struct config){.action = CONFIG_RUN};
    arena_init(&c->arena, 0);
    TRY(load_defaults(c, err));

    /* The flags name the file, so they are read first and applied last. */
    struct config_setting weak[CONFIG_OPTIONS_MAX];
    memcpy(weak, c->settings, sizeof weak);
    struct layer flags = {c, CONFIG_FLAG, 0};
    TRY(load_flags(&flags, argc, argv, err));
    struct config_setting strong[CONFIG_OPTIONS_MAX];
    memcpy(strong, c->settings, sizeof strong);
    memcpy(c->settings, weak, sizeof weak);
    if (c->action == CONFIG_HELP || c->action == CONFIG_VERSION)
        return QMN_OK;
    if (c->file) {
        TRY(make_absolute(c, err));
        TRY(load_file(c, err));
    }
    TRY(load_environment(c, envp, err));
    for (size_t i = 0; i < config_option_count; i++)
        if (flags.seen >> i & 1)
            c->settings[i] = strong[i];
    if (c->restore_file && c->action == CONFIG_RUN)
        c->action = CONFIG_RESTORE;
    return config_apply(c, err);
}

enum qmn_code config_reload(const struct config *running, char *const *envp, struct config *ret,
                            struct err *err)
{
    struct config *c = ret;
    *c = (struct config){.action = running->action, .file = running->file};
    arena_init(&c->arena, 0);
    TRY(load_defaults(c, err));
    if (c->file)
        TRY(load_file(c, err));
    TRY(load_environment(c, envp, err));
    for (size_t i = 0; i < config_option_count; i++)
        if (running->settings[i].source == CONFIG_FLAG)
            c->settings[i] = running->settings[i];
    return config_apply(c, err);
}

void config_release(struct config *c)
{
    if (c)
        arena_release(&c->arena);
}
