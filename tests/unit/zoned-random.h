/*
 * Random numbers for the tests of zoned storage
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The same numbers everywhere for a seed, and settings from the environment.
 */

#ifndef TESTS_UNIT_ZONED_RANDOM_H
#define TESTS_UNIT_ZONED_RANDOM_H

/* xorshift64: @x is the state and must not be 0.  Returns: less than @n. */
static inline uint32_t zoned_draw(uint64_t *x, uint32_t n)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (*x >> 32) % n;
}

/* The number in the environment variable @name, or @otherwise */
static inline uint64_t zoned_number_from_env(const char *name,
                                             uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 0) : otherwise;
}

#endif /* TESTS_UNIT_ZONED_RANDOM_H */
