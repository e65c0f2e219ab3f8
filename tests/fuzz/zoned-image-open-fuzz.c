/*
 * libFuzzer target: zoned images that are damaged, through the block driver
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "zoned-image-exercise.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    zoned_image_exercise_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zoned_image_exercise(data, size);
    return 0;
}
