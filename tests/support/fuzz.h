/* SPDX-License-Identifier: MIT
 *
 * What a fuzz target defines.  It returns 0; it shows a bug by assert() or by what a sanitizer
 * sees. */
#ifndef QMN_TESTS_SUPPORT_FUZZ_H
#define QMN_TESTS_SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
