/* SPDX-License-Identifier: MIT
 *
 * One good request for each route, some routes with more than one. */
#ifndef QMN_TESTS_FAULTS_SAMPLES_H
#define QMN_TESTS_FAULTS_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

struct sample {
    const char *route;   /* its name in the route table */
    const char *variant; /* NULL: the plain one */
    /* templates, see world.h */
    const char *param; /* for {id} */
    const char *query; /* with '?' */
    const char *body;
    const char *needs; /* what else is to be prepared */
    bool admin;
    /* A change that the numbers of world_see do not show: what GET of this path then holds. */
    const char *probe, *probe_text;
    /* The field of a good answer that holds the id of what was made, and the path (%s: the id)
     * where it must be found. */
    const char *made, *found_at;
    const char *holds; /* a good answer holds this text */
    bool idle;         /* changes nothing though it may, as the scene stands */
    bool varies;       /* two right answers may differ in more than ids and numbers */
    bool leases;       /* time is moved on past the lease between two */
    bool on_disk;      /* needs a store in a file */
};

extern const struct sample samples[];
extern const size_t sample_count;

#endif
