/*
 * Choices made by the input of a fuzz target
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_FUZZ_DRAW_H
#define TESTS_FUZZ_FUZZ_DRAW_H

typedef struct FuzzInput {
    const uint8_t *data;
    size_t left;
} FuzzInput;

/* @opaque is a FuzzInput.  Returns: a number less than @n. */
static inline uint32_t fuzz_draw(void *opaque, uint32_t n)
{
    FuzzInput *input = opaque;
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

#endif /* TESTS_FUZZ_FUZZ_DRAW_H */
