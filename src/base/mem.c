/* SPDX-License-Identifier: MIT
 *
 * Heap access with a fault hook. */
#include "mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static _Atomic(bool (*)(void)) fault_hook;

static bool fault_now(void)
{
    bool (*hook)(void) = atomic_load_explicit(&fault_hook, memory_order_relaxed);
    return QMN_UNLIKELY(hook != NULL) && hook();
}

void mem_set_fault(bool (*should_fail)(void))
{
    atomic_store(&fault_hook, should_fail);
}

void *mem_alloc(size_t size)
{
    return fault_now() ? NULL : malloc(size ? size : 1);
}

void *mem_calloc(size_t count, size_t size)
{
    return fault_now() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *mem_resize(void *ptr, size_t count, size_t size)
{
    if (fault_now())
        return NULL;
    return reallocarray(ptr, count ? count : 1, size ? size : 1);
}

void *mem_alloc_aligned(size_t align, size_t size)
{
    void *p = NULL;
    return fault_now() || posix_memalign(&p, align, size ? size : 1) ? NULL : p;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_freep(void *ptr_to_ptr)
{
    void **p = ptr_to_ptr;
    free(*p);
    *p = NULL;
}
