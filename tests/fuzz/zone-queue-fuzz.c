/*
 * libFuzzer target: the zone queue on a simulated disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input makes the choices of tests/unit/zone-queue-driver.c.
 */

#include "qemu/osdep.h"
#include "../unit/zone-queue-driver.h"
#include "fuzz-draw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { .data = data, .left = size };

    /* An event takes at least two bytes */
    zone_queue_driver_run(fuzz_draw, &input, size / 2);
    return 0;
}
