/*
 * libFuzzer target: the zone queue on a simulated disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The input makes the choices of tests/unit/zone-queue-driver.c.
 */

#include "qemu/osdep.h"
#include "../unit/zone-queue-driver.h"

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

    /* An event takes at least two bytes */
    zone_queue_driver_run(draw_from_input, &input, size / 2);
    return 0;
}
