/* SPDX-License-Identifier: MIT
 *
 * The configuration file: it is read or refused with a reason, what was read prints, and reading it
 * again gives the same.  What is too long, or holds NUL, is no configuration. */
#include "support/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"

enum { ACCEPTED_BYTES = 65536, FILE_MAX_BYTES = 70000 };

static char *no_environment[] = {NULL};

static void print(const struct config *c, char *ret, size_t size)
{
    FILE *out = fmemopen(ret, size, "w");
    assert(out);
    config_print(c, out);
    assert(fclose(out) == 0);
}

static void check_values(const struct config *c)
{
    assert(c->listen_count >= 1 && c->listen_count <= CONFIG_LISTEN_MAX);
    for (uint32_t i = 0; i < c->listen_count; i++)
        assert(c->listen[i].host[0]);
    assert(c->epsilon >= 0 && c->epsilon <= 1);
    assert(c->store == CONFIG_STORE_SQLITE || c->store == CONFIG_STORE_MEMORY);
}

static void check_again(const struct config *c)
{
    static char first[1 << 18], second[1 << 18];
    struct config again;
    struct err err;
    enum qmn_code code = config_reload(c, no_environment, &again, &err);
    assert(code == QMN_OK);
    memset(first, 0, sizeof first);
    memset(second, 0, sizeof second);
    print(c, first, sizeof first);
    print(&again, second, sizeof second);
    assert(strcmp(first, second) == 0);
    config_release(&again);
}

/* `text` becomes a file that has no other name than its descriptor's. */
static int file_of(const uint8_t *data, size_t size, char ret_path[32])
{
    int fd = memfd_create("qmn.conf", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    snprintf(ret_path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32], program[] = "qmnd", flag[] = "--config", file[32];
    if (size > FILE_MAX_BYTES)
        return 0;
    int fd = file_of(data, size, path);
    snprintf(file, sizeof file, "%s", path);
    char *argv[] = {program, flag, file};
    struct config c;
    struct err err = {0};
    enum qmn_code code = config_load(&c, 3, argv, no_environment, &err);
    assert(code == QMN_OK || (code == QMN_E_INVALID && err.text[0]));
    if (code == QMN_OK) {
        assert(size < ACCEPTED_BYTES && !(size && memchr(data, 0, size)));
        check_values(&c);
        check_again(&c);
    }
    config_release(&c);
    close(fd);
    return 0;
}
