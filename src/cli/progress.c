/* SPDX-License-Identifier: MIT
 *
 * The progress line.  It appears once something has run for two seconds and is redrawn ten times a
 * second at most. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"

enum { SHOW_AFTER_US = 2000000, REDRAW_US = 100000, BAR = 28 };

void progress_begin(struct progress *p, const char *label, double total)
{
    *p = (struct progress){.label = label, .total = total, .began_us = clock_mono_us()};
}

static void draw(struct progress *p, double done, int64_t now)
{
    static const char *const spinner[] = {"|", "/", "-", "\\"};
    double seconds = (double)(now - p->began_us) / 1e6;
    fprintf(stderr, "\r\033[K%s ", p->label ? p->label : "");
    if (p->total > 0) {
        double share = done < p->total ? done / p->total : 1;
        int full = (int)(share * BAR);
        for (int i = 0; i < BAR; i++)
            fputs(i < full ? "\xe2\x96\x88" : "\xe2\x96\x91", stderr);
        fprintf(stderr, " %3.0f%%", share * 100);
        if (share > 0.02)
            fprintf(stderr, "  %.0f s left", seconds / share - seconds);
    } else {
        fprintf(stderr, "%s %.0f s", spinner[now / REDRAW_US % 4], seconds);
    }
    (void)fflush(stderr);
    p->drawn = true;
    p->drawn_us = now;
}

void progress_set(struct progress *p, double done)
{
    int64_t now = clock_mono_us();
    if (now - p->began_us < SHOW_AFTER_US || now - p->drawn_us < REDRAW_US ||
        !isatty(STDERR_FILENO))
        return;
    draw(p, done, now);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    p->drawn = false;
}
