/* SPDX-License-Identifier: MIT
 *
 * Computed when scraped.  Any thread. */
#include "process_metrics.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double start_seconds;

static double resident_bytes(void *ctx)
{
    (void)ctx;
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *end = NULL;
    (void)strtoul(text, &end, 10);
    return (double)strtoul(end, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void *ctx)
{
    (void)ctx;
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double started_at(void *ctx)
{
    (void)ctx;
    return start_seconds;
}

static double one(void *ctx)
{
    (void)ctx;
    return 1;
}

void process_metrics_register(struct metrics *m)
{
    start_seconds = (double)time(NULL);
    metrics_gauge_fn(m, "process_resident_memory_bytes", "Resident memory.", "", resident_bytes,
                     NULL);
    metrics_gauge_fn(m, "process_cpu_seconds_total", "Processor time, user and system.", "",
                     cpu_seconds, NULL);
    metrics_gauge_fn(m, "process_start_time_seconds", "Start, in Unix seconds.", "", started_at,
                     NULL);
    metrics_gauge_fn(m, "qmn_build_info", "Always 1; the labels say what runs.",
                     "version=\"" QMN_VERSION "\"", one, NULL);
}
