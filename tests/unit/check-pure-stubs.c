/*
 * What the pure files ask of QEMU's utilities, without QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qemu/memalign.h"

/* As malloc(), so that a sanitizer sees where the memory ends */
void *qemu_try_memalign(size_t alignment, size_t size)
{
    return malloc(size);
}

void qemu_vfree(void *ptr)
{
    free(ptr);
}

int qemu_madvise(void *addr, size_t len, int advice)
{
    return 0;
}
