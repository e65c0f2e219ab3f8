/*
 * libFuzzer target: the zone model against its oracle
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input makes the choices of tests/unit/zone-model-driver.c.
 */

#include "qemu/osdep.h"
#include "../unit/zone-model-driver.h"
#include "fuzz-draw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { .data = data, .left = size };

    /* An operation takes at least two bytes */
    zone_driver_run(fuzz_draw, &input, size / 2);
    return 0;
}
