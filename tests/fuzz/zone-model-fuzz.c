/*
 * libFuzzer target: the zone model against its oracle
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input makes the choices of tests/unit/zone-model-driver.c.
 */

#include "qemu/osdep.h"
#include "../unit/zone-model-driver.h"

typedef struct Input {
    const uint8_t *data;
    size_t left;
} Input;

static uint32_t draw_from_input(void *opaque, uint32_t n)
{
    Input *input = opaque;
    uint32_t value = 0;

    /* One byte is enough for the small numbers that most choices are */
    for (uint32_t range = 1; range < n && input->left; range <<= 8) {
        value = value << 8 | *input->data++;
        input->left--;
        if (range > UINT32_MAX >> 8) {
            break;
        }
    }
    return value % n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { .data = data, .left = size };

    /* An operation takes at least two bytes */
    zone_driver_run(draw_from_input, &input, size / 2);
    return 0;
}
