/*
 * Open a zoned image that may be damaged, and do all that can be done with it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_ZONED_IMAGE_EXERCISE_H
#define TESTS_FUZZ_ZONED_IMAGE_EXERCISE_H

/* Once, before the other */
void zoned_image_exercise_init(void);

/**
 * zoned_image_exercise:
 * @data: input of zoned_image_input()
 * @size: of the input
 *
 * Open, report, read, write, operate, check and repair.  Aborts if zones or
 * data are not what they must be, or if a repaired image does not open.
 */
void zoned_image_exercise(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_ZONED_IMAGE_EXERCISE_H */
