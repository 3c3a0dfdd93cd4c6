/* SPDX-License-Identifier: MIT
 *
 * The one door to the heap.  Tests install a fault hook here to make the n-th allocation fail. */
#ifndef QMN_BASE_MEM_H
#define QMN_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "attr.h"

/* Like malloc, calloc, reallocarray: NULL when memory is out or the size overflows. */
void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_calloc(size_t count, size_t size) __attribute__((malloc));
void *mem_resize(void *ptr, size_t count, size_t size) QMN_NODISCARD;
/* `align`: a power of two from sizeof(void *) up. */
void *mem_alloc_aligned(size_t align, size_t size) __attribute__((malloc));
void mem_free(void *ptr);
/* For CLEANUP(mem_freep). */
void mem_freep(void *ptr_to_ptr);

/* Called before each allocation; true makes it fail.  NULL switches it off.  Any thread may call
 * the hook. */
void mem_set_fault(bool (*should_fail)(void));

#endif
