/*
 * Zoned images that are damaged
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random damage, and the inputs that are kept in tests/fuzz, through
 * tests/fuzz/zoned-image-exercise.c.  ZONED_IMAGE_SEED sets the seed and
 * ZONED_IMAGE_RUNS how many images are damaged at random.
 */

#include "qemu/osdep.h"
#include "../fuzz/zoned-image-exercise.h"
#include "zoned-random.h"

#define RUNS 4000
#define INPUT_SIZE 256

static const struct {
    const char *name;
    const char *digits;
} kept[] = {
#include "../fuzz/zoned-image-fuzz.h.inc"
};

/* Where the header and table blocks have their fields, more or less */
static uint32_t any_offset(uint64_t *x)
{
    return zoned_draw(x, 4) ? zoned_draw(x, 18) * 8 : zoned_draw(x, 4096);
}

/* As zoned_image_input() takes it */
static size_t make_up(uint64_t *x, uint8_t *input)
{
    size_t n = 0;
    unsigned int changes = 1 + zoned_draw(x, 6);

    input[n++] = zoned_draw(x, 8) ? zoned_draw(x, 8) << 3 | 7
                                  : zoned_draw(x, 256);
    input[n++] = zoned_draw(x, 4) ? 0 : zoned_draw(x, 256);
    input[n++] = input[1] ? zoned_draw(x, 256) : 0;
    while (changes--) {
        uint32_t offset = any_offset(x);
        unsigned int bytes = 1 + zoned_draw(x, 8);

        input[n++] = zoned_draw(x, 14);
        input[n++] = offset >> 8;
        input[n++] = offset;
        input[n++] = bytes;
        while (bytes--) {
            input[n++] = zoned_draw(x, 3) ? zoned_draw(x, 4) * 0x55
                                          : zoned_draw(x, 256);
        }
    }
    return n;
}

static void test_random(void)
{
    uint64_t seed = zoned_number_from_env("ZONED_IMAGE_SEED",
                                          (uint64_t)g_random_int() << 32 |
                                          g_random_int());
    uint64_t runs = zoned_number_from_env("ZONED_IMAGE_RUNS", RUNS);
    uint64_t x = seed ?: 1;
    uint8_t input[INPUT_SIZE];

    g_test_message("ZONED_IMAGE_SEED=%" PRIu64, seed);
    while (runs--) {
        zoned_image_exercise(input, make_up(&x, input));
    }
}

static void test_intact(void)
{
    uint8_t image;

    for (image = 0; image < 8; image++) {
        uint8_t input = image << 3;

        zoned_image_exercise(&input, sizeof(input));
    }
}

static void test_kept(const void *opaque)
{
    const char *digits = opaque;
    uint8_t input[1024];
    size_t n;

    for (n = 0; digits[2 * n]; n++) {
        g_assert(n < sizeof(input));
        input[n] = g_ascii_xdigit_value(digits[2 * n]) << 4 |
                   g_ascii_xdigit_value(digits[2 * n + 1]);
    }
    zoned_image_exercise(input, n);
}

static void add_kept(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(kept); i++) {
        g_autofree char *path = g_strdup_printf("/zoned-image/open/%s",
                                                kept[i].name);

        g_test_add_data_func(path, kept[i].digits, test_kept);
    }
}

int main(int argc, char **argv)
{
    zoned_image_exercise_init();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zoned-image/open/intact", test_intact);
    add_kept();
    g_test_add_func("/zoned-image/open/random", test_random);
    return g_test_run();
}
