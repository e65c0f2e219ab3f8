/*
 * The metadata of a zoned image, made from the input of a fuzz target
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure: needs nothing of the block layer.
 */

#ifndef TESTS_FUZZ_ZONED_IMAGE_INPUT_H
#define TESTS_FUZZ_ZONED_IMAGE_INPUT_H

#include "../../block/zoned-log.h"

/*
 * The header's copies, the slots of the log, and the first blocks of the table
 * with their copies
 */
#define INPUT_PAGE 4096
#define INPUT_PAGES 14
#define INPUT_BYTES (INPUT_PAGES * INPUT_PAGE)

/* The image's length at most: what a target may set aside for it */
#define INPUT_MAX_LENGTH (16 * 1024 * 1024)

/**
 * zoned_image_input:
 * @data: the input: which image to begin with, which checksums are mended,
 *        the length of the file, and then changes of some bytes each: the
 *        page, with the log behind the table, the offset in it, the number of
 *        bytes, and these.  An empty input is an intact image.
 * @size: of the input
 * @pages: filled with the image's first INPUT_BYTES bytes
 *
 * Returns: the length of the file, at least INPUT_BYTES and at most
 * INPUT_MAX_LENGTH.  All of it that is not in @pages is zeroes.
 */
int64_t zoned_image_input(const uint8_t *data, size_t size, uint8_t *pages);

#endif /* TESTS_FUZZ_ZONED_IMAGE_INPUT_H */
