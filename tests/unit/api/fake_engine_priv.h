/* SPDX-License-Identifier: MIT
 *
 * How the cardboard engine notes what it was asked, and ends a call. */
#ifndef QMN_TESTS_FAKE_ENGINE_PRIV_H
#define QMN_TESTS_FAKE_ENGINE_PRIV_H

#include "fake_engine.h"

/* Begins the notes of one call; the others append to fake.text and fake.number. */
void fake_note(const char *call, struct call *c);
void fake_text(struct bytes b);
void fake_list(struct bytes list); /* "a|b|" */
void fake_number(double v);
void fake_vector(const struct vector_in *v); /* dimension, first value, text */
void fake_finish(struct call *c);

#endif
