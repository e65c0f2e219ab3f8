/*
 * Unit tests of the zoned image format
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "qemu/units.h"
#include "../../block/zoned-log.h"

static ZonedHeader example(void)
{
    ZonedHeader h = {
        .generation = 7,
        .g = {
            .model = BLK_Z_HM,
            .length = 1 * GiB + 4 * MiB,
            .zone_size = 64 * MiB,
            .zone_capacity = 48 * MiB,
            .conventional_zones = 2,
            .max_open_zones = 4,
            .max_active_zones = 6,
            .write_granularity = 4096,
        },
        .max_append_bytes = 1 * MiB,
    };

    g_assert_true(zoned_header_layout(&h, &error_abort));
    return h;
}

static ZonedHeader extended_example(void)
{
    ZonedHeader h = example();

    h.g.extension_size = 128;
    g_assert_true(zoned_header_layout(&h, &error_abort));
    return h;
}

/* Encode @h, change the 64-bit word at @offset, and make the CRC right */
static void encode_with(const ZonedHeader *h, uint8_t *buf, unsigned int offset,
                        unsigned int size, uint64_t value)
{
    memset(buf, 0, ZONED_HEADER_SIZE);
    zoned_header_encode(h, buf);
    if (size == 8) {
        stq_le_p(buf + offset, value);
    } else {
        stl_le_p(buf + offset, value);
    }
    stl_le_p(buf + 4092, 0);
    stl_le_p(buf + 4092, crc32c(0xffffffff, buf, ZONED_HEADER_SIZE));
}

static void expect_refused(const ZonedHeader *h, unsigned int offset,
                           unsigned int size, uint64_t value, int ret,
                           const char *why)
{
    uint8_t buf[ZONED_HEADER_SIZE];
    ZonedHeader out;
    Error *err = NULL;

    encode_with(h, buf, offset, size, value);
    g_assert_cmpint(zoned_header_decode(&out, buf,
                                        zoned_header_file_length(h), &err),
                    ==, ret);
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), why)) {
        g_test_message("'%s' lacks '%s'", error_get_pretty(err), why);
        g_test_fail();
    }
    error_free(err);
}

/* The documentation promises these offsets to other implementations */
static void test_header_bytes(void)
{
    ZonedHeader h = example();
    uint8_t buf[ZONED_HEADER_SIZE] = { 0 };
    uint32_t crc;

    h.incompatible = 0x1122334455667788;
    h.compatible = 0x99aabbccddeeff00;
    zoned_header_encode(&h, buf);
    g_assert_cmpmem(buf, 8, "QZONED\x1a\xf5", 8);
    g_assert_cmpuint(ldl_le_p(buf + 8), ==, 1);
    g_assert_cmpuint(ldl_le_p(buf + 12), ==, 4096);
    g_assert_cmphex(ldq_le_p(buf + 16), ==, h.incompatible);
    g_assert_cmphex(ldq_le_p(buf + 24), ==, h.compatible);
    g_assert_cmpuint(ldq_le_p(buf + 32), ==, 7);
    g_assert_cmpuint(ldq_le_p(buf + 40), ==, 1 * GiB + 4 * MiB);
    g_assert_cmpuint(ldq_le_p(buf + 48), ==, 64 * MiB);
    g_assert_cmpuint(ldq_le_p(buf + 56), ==, 48 * MiB);
    g_assert_cmpuint(ldl_le_p(buf + 64), ==, 2);
    g_assert_cmpuint(ldl_le_p(buf + 68), ==, 4);
    g_assert_cmpuint(ldl_le_p(buf + 72), ==, 6);
    g_assert_cmpuint(ldl_le_p(buf + 76), ==, 4096);
    g_assert_cmpuint(ldq_le_p(buf + 80), ==, 1 * MiB);
    g_assert_cmpuint(ldl_le_p(buf + 88), ==, 1);
    g_assert_cmpuint(ldl_le_p(buf + 92), ==, 0);
    g_assert_cmpuint(ldq_le_p(buf + 96), ==, 16384);
    g_assert_cmpuint(ldq_le_p(buf + 104), ==, 130);
    g_assert_cmpuint(ldq_le_p(buf + 112), ==, 2 * MiB);
    g_assert_cmpuint(ldq_le_p(buf + 120), ==, 0);
    crc = ldl_le_p(buf + 4092);
    stl_le_p(buf + 4092, 0);
    g_assert_cmphex(crc, ==, crc32c(0xffffffff, buf, sizeof(buf)));
}

/* The same with descriptor extensions */
static void test_extension_bytes(void)
{
    ZonedHeader h = extended_example();
    uint8_t buf[ZONED_HEADER_SIZE] = { 0 };

    zoned_header_encode(&h, buf);
    g_assert_cmpuint(ldl_le_p(buf + 92), ==, 128);
    g_assert_cmpuint(ldq_le_p(buf + 104), ==, 130);
    g_assert_cmpuint(ldq_le_p(buf + 120), ==, 16384 + 130 * 8192);
    /* 130 * 508 zones of 128 bytes are 8 MiB and 64512 bytes */
    g_assert_cmpuint(ldq_le_p(buf + 112), ==, 10 * MiB);
    g_assert_cmpint(zoned_header_extension_offset(&h, 0), ==,
                    16384 + 130 * 8192);
    g_assert_cmpint(zoned_header_extension_offset(&h, 66039), ==,
                    16384 + 130 * 8192 + 66039 * 128);
}

static void round_trip(ZonedHeader h)
{
    ZonedHeader out;
    uint8_t buf[ZONED_HEADER_SIZE] = { 0 };

    zoned_header_encode(&h, buf);
    g_assert_true(zoned_header_probe(buf, 512));
    g_assert_false(zoned_header_probe(buf, 7));
    memset(&out, 0, sizeof(out));
    g_assert_cmpint(zoned_header_decode(&out, buf,
                                        zoned_header_file_length(&h),
                                        &error_abort), ==, 0);
    g_assert_cmpmem(&out, sizeof(out), &h, sizeof(h));
}

static void test_header_round_trip(void)
{
    round_trip(example());
    round_trip(extended_example());
}

/* What a newer version keeps in the rest of the header is not lost */
static void test_header_keeps_rest(void)
{
    ZonedHeader h = example();
    uint8_t buf[ZONED_HEADER_SIZE];

    memset(buf, 0xa5, sizeof(buf));
    zoned_header_encode(&h, buf);
    g_assert_cmphex(buf[128], ==, 0xa5);
    g_assert_cmphex(buf[4091], ==, 0xa5);
    g_assert_cmpint(zoned_header_decode(&h, buf, INT64_MAX, &error_abort), ==,
                    0);
}

static void test_header_pick(void)
{
    g_autofree uint8_t *bufs = g_malloc0(2 * ZONED_HEADER_SIZE);
    ZonedHeader h = example();
    unsigned int valid;
    int copy, sector;

    g_assert_cmpint(zoned_header_pick(bufs, &valid), ==, -1);
    g_assert_cmpuint(valid, ==, 0);
    for (copy = 0; copy < 2; copy++) {
        h.generation = 7;
        zoned_header_encode(&h, bufs + !copy * ZONED_HEADER_SIZE);
        h.generation = 8;
        zoned_header_encode(&h, bufs + copy * ZONED_HEADER_SIZE);
        g_assert_cmpint(zoned_header_pick(bufs, &valid), ==, copy);
        g_assert_cmpuint(valid, ==, 3);

        /* A torn write of the newer one: each sector in turn is not there */
        for (sector = 0; sector < 8; sector++) {
            bufs[copy * ZONED_HEADER_SIZE + sector * 512] ^= 1;
            g_assert_cmpint(zoned_header_pick(bufs, &valid), ==, !copy);
            g_assert_cmpuint(valid, ==, 1 << !copy);
            bufs[copy * ZONED_HEADER_SIZE + sector * 512] ^= 1;
        }
    }
}

static void test_header_refused(void)
{
    ZonedHeader h = example();

    expect_refused(&h, 8, 4, 0, -ENOTSUP, "version 0");
    expect_refused(&h, 8, 4, 2, -ENOTSUP, "version 2");
    expect_refused(&h, 12, 4, 8192, -EINVAL, "header must have 4096 bytes");
    expect_refused(&h, 16, 8, 1, -ENOTSUP, "bits 0x1)");
    expect_refused(&h, 16, 8, UINT64_C(1) << 63, -ENOTSUP,
                   "bits 0x8000000000000000)");
    expect_refused(&h, 32, 8, ZONED_MAX_GENERATION, -EINVAL, "generation");
    expect_refused(&h, 32, 8, UINT64_MAX, -EINVAL, "generation");
    expect_refused(&h, 40, 8, 0, -EINVAL, "size must be");
    expect_refused(&h, 40, 8, UINT64_MAX, -EINVAL, "size must be");
    expect_refused(&h, 40, 8, 2 * GiB, -EINVAL, "cut off");
    expect_refused(&h, 40, 8, INT64_MAX & -4096, -EINVAL, "zone_size must");
    expect_refused(&h, 48, 8, 0, -EINVAL, "zone_size must be");
    expect_refused(&h, 48, 8, 4095, -EINVAL, "zone_size must be");
    expect_refused(&h, 48, 8, UINT64_MAX, -EINVAL, "zone_size must be");
    expect_refused(&h, 48, 8, 4096, -EINVAL, "zone_capacity must be");
    expect_refused(&h, 56, 8, 65 * MiB, -EINVAL, "zone_capacity must be");
    expect_refused(&h, 56, 8, 0, -EINVAL, "zone_capacity must be");
    expect_refused(&h, 64, 4, 17, -EINVAL, "conventional_zones must be");
    expect_refused(&h, 68, 4, 7, -EINVAL, "max_open_zones must be");
    expect_refused(&h, 72, 4, UINT32_MAX, -EINVAL, "max_active_zones must be");
    expect_refused(&h, 76, 4, 1024, -EINVAL, "logical_block_size must be");
    expect_refused(&h, 76, 4, 0, -EINVAL, "logical_block_size must be");
    expect_refused(&h, 80, 8, 49 * MiB, -EINVAL, "max_append_size must be");
    expect_refused(&h, 80, 8, 512, -EINVAL, "max_append_size must be");
    expect_refused(&h, 80, 8, UINT64_MAX, -EINVAL, "max_append_size must be");
    expect_refused(&h, 88, 4, 0, -EINVAL, "host-managed");
    expect_refused(&h, 88, 4, 2, -EINVAL, "host-aware");
    expect_refused(&h, 96, 8, 4096, -EINVAL, "misplaced");
    expect_refused(&h, 96, 8, 8193, -EINVAL, "misplaced");
    expect_refused(&h, 96, 8, 4 * MiB, -EINVAL, "misplaced");
    expect_refused(&h, 104, 8, 0, -EINVAL, "must have from 1 to 254 blocks");
    expect_refused(&h, 104, 8, 255, -EINVAL, "must have from 1 to 254 blocks");
    expect_refused(&h, 104, 8, UINT64_MAX, -EINVAL, "zone table must have");
    expect_refused(&h, 112, 8, 1 * MiB + 4096, -EINVAL, "misplaced");
    expect_refused(&h, 112, 8, 4 * GiB, -EINVAL, "cut off");
    expect_refused(&h, 112, 8, INT64_MAX & -MiB, -EINVAL, "cut off");
    expect_refused(&h, 92, 4, 64, -EINVAL, "at 0, with 64 bytes");
    expect_refused(&h, 92, 4, 1, -EINVAL, "descriptor_extension_size must");
    expect_refused(&h, 92, 4, 16384, -EINVAL, "descriptor_extension_size");
    expect_refused(&h, 92, 4, UINT32_MAX, -EINVAL,
                   "descriptor_extension_size must");
    expect_refused(&h, 120, 8, 1 * MiB, -EINVAL, "with 0 bytes");
}

static void test_extension_refused(void)
{
    ZonedHeader h = extended_example();
    int64_t end = h.table_offset + h.table_blocks * 8192;

    expect_refused(&h, 92, 4, 0, -EINVAL, "with 0 bytes");
    expect_refused(&h, 92, 4, 192, -EINVAL, "misplaced");
    expect_refused(&h, 92, 4, 16320, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, 0, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, end - 4096, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, end + 64, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, h.data_offset, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, h.data_offset + 4096, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, INT64_MAX & -4096, -EINVAL, "misplaced");
    expect_refused(&h, 120, 8, UINT64_MAX, -EINVAL, "misplaced");
    /* More zones in the table than there is room for their extensions */
    expect_refused(&h, 104, 8, 400, -EINVAL, "misplaced");
    expect_refused(&h, 88, 4, 2, -EINVAL, "host-aware");
}

/* The area has room for as many zones as the table, however many there are */
static void test_extension_layout(void)
{
    ZonedHeader h = example();

    h.g.zone_size = h.g.zone_capacity = 1 * MiB;
    h.g.length = 10 * 1000 * 1000LL * MiB;
    h.g.extension_size = 16320;
    g_assert_true(zoned_header_layout(&h, &error_abort));
    g_assert_cmpint(h.data_offset - h.extension_offset, >=,
                    (INT64_C(1) << 24) * 16320);
    g_assert_cmpint(zoned_header_max_length(&h), ==,
                    (INT64_C(1) << 24) * MiB);
    round_trip(h);
}

static void test_layout(void)
{
    ZonedHeader h = example();

    /* Room for 65536 zones, or for four times as many as there are */
    g_assert_cmpint(h.table_blocks * ZONED_BLOCK_ENTRIES, >=, 65536);
    g_assert_cmpint(zoned_header_file_length(&h), ==,
                    2 * MiB + 1 * GiB + 4 * MiB);
    g_assert_cmpint(zoned_header_block_offset(&h, 0, 0), ==, 16384);
    g_assert_cmpint(zoned_header_block_offset(&h, 1, 1), ==, 16384 + 3 * 4096);

    h.g.zone_size = h.g.zone_capacity = 1 * MiB;
    h.g.length = 1000 * 1000 * MiB;
    g_assert_true(zoned_header_layout(&h, &error_abort));
    g_assert_cmpint(h.table_blocks, ==, DIV_ROUND_UP(4000 * 1000, 508));
    g_assert_cmpint(zoned_header_nr_blocks(&h), ==,
                    DIV_ROUND_UP(1000 * 1000, 508));
    g_assert_cmpint(zoned_header_max_length(&h), ==,
                    h.table_blocks * 508 * MiB);

    h.g.zone_size = h.g.length = INT64_MAX & -(4 * KiB);
    g_assert_false(zoned_header_layout(&h, NULL));
}

static void test_block(void)
{
    uint8_t buf[ZONED_BLOCK_SIZE] = { 0 };
    ZonedBlockInfo info = { .generation = 5, .stable = 3, .count = 2 }, out;
    int i;

    g_assert_true(zoned_block_decode(buf, 9, &out));
    g_assert_cmpuint(out.generation, ==, 0);
    buf[4000] = 1;
    g_assert_false(zoned_block_decode(buf, 9, &out));
    buf[4000] = 0;

    for (i = 0; i < ZONED_BLOCK_ENTRIES; i++) {
        zoned_block_set(buf, i, i + 1);
    }
    zoned_block_encode(buf, 9, &info);
    g_assert_cmpuint(ldl_le_p(buf + 4), ==, 2);
    g_assert_cmpuint(ldq_le_p(buf + 8), ==, 9);
    g_assert_cmpuint(ldq_le_p(buf + 16), ==, 5);
    g_assert_cmpuint(ldq_le_p(buf + 24), ==, 3);
    g_assert_cmpuint(ldq_le_p(buf + 32), ==, 1);
    g_assert_cmpuint(ldq_le_p(buf + 4088), ==, 508);
    g_assert_true(zoned_block_decode(buf, 9, &out));
    g_assert_cmpuint(out.generation, ==, 5);
    g_assert_cmpuint(out.stable, ==, 3);
    g_assert_cmpuint(out.count, ==, 2);
    for (i = 0; i < ZONED_BLOCK_ENTRIES; i++) {
        g_assert_cmpuint(zoned_block_get(buf, i), ==, i + 1);
    }

    /* In another block's place */
    g_assert_false(zoned_block_decode(buf, 8, &out));
    for (i = 0; i < ZONED_BLOCK_SIZE; i++) {
        buf[i] ^= 0x80;
        g_assert_false(zoned_block_decode(buf, 9, &out));
        buf[i] ^= 0x80;
    }

    /* Intact, and wrong */
    info.stable = 5;
    zoned_block_encode(buf, 9, &info);
    g_assert_false(zoned_block_decode(buf, 9, &out));
    info = (ZonedBlockInfo) { .generation = 5 };
    zoned_block_encode(buf, 9, &info);
    g_assert_false(zoned_block_decode(buf, 9, &out));
    info = (ZonedBlockInfo) { .generation = UINT64_MAX, .count = 1 };
    zoned_block_encode(buf, 9, &info);
    g_assert_false(zoned_block_decode(buf, 9, &out));
    info.generation = ZONED_MAX_GENERATION;
    zoned_block_encode(buf, 9, &info);
    g_assert_false(zoned_block_decode(buf, 9, &out));
    info.generation--;
    zoned_block_encode(buf, 9, &info);
    g_assert_true(zoned_block_decode(buf, 9, &out));
}

static void test_log(void)
{
    uint8_t buf[ZONED_LOG_SIZE] = { 0 };
    ZonedLogInfo info = { .generation = 5, .table = 3, .count = 254 }, out;
    uint64_t zone;
    int i;

    g_assert_true(zoned_log_decode(buf, &out));
    g_assert_cmpuint(out.generation, ==, 0);
    buf[4000] = 1;
    g_assert_false(zoned_log_decode(buf, &out));
    buf[4000] = 0;

    for (i = 0; i < ZONED_LOG_ENTRIES; i++) {
        zoned_log_set(buf, i, 2 * i, i + 1);
    }
    zoned_log_encode(buf, &info);
    g_assert_cmpuint(ldl_le_p(buf + 4), ==, 254);
    g_assert_cmpmem(buf + 8, 8, "QZONELOG", 8);
    g_assert_cmpuint(ldq_le_p(buf + 16), ==, 5);
    g_assert_cmpuint(ldq_le_p(buf + 24), ==, 3);
    g_assert_cmpuint(ldq_le_p(buf + 32), ==, 0);
    g_assert_cmpuint(ldq_le_p(buf + 40), ==, 1);
    g_assert_cmpuint(ldq_le_p(buf + 4080), ==, 506);
    g_assert_cmpuint(ldq_le_p(buf + 4088), ==, 254);
    g_assert_true(zoned_log_decode(buf, &out));
    g_assert_cmpmem(&out, sizeof(out), &info, sizeof(info));
    for (i = 0; i < ZONED_LOG_ENTRIES; i++) {
        g_assert_cmpuint(zoned_log_get(buf, i, &zone), ==, i + 1);
        g_assert_cmpuint(zone, ==, 2 * i);
    }
    for (i = 0; i < ZONED_LOG_SIZE; i++) {
        buf[i] ^= 0x80;
        g_assert_false(zoned_log_decode(buf, &out));
        buf[i] ^= 0x80;
    }

    /* Intact, and wrong */
    info = (ZonedLogInfo) { .generation = 5, .table = 5 };
    zoned_log_encode(buf, &info);
    g_assert_false(zoned_log_decode(buf, &out));
    info = (ZonedLogInfo) { .generation = 5, .count = 255 };
    zoned_log_encode(buf, &info);
    g_assert_false(zoned_log_decode(buf, &out));
    info = (ZonedLogInfo) { .generation = ZONED_MAX_GENERATION };
    zoned_log_encode(buf, &info);
    g_assert_false(zoned_log_decode(buf, &out));
    info.generation--;
    zoned_log_encode(buf, &info);
    g_assert_true(zoned_log_decode(buf, &out));
}

static void test_block_newer(void)
{
    g_autofree uint8_t *bufs = g_malloc0(2 * ZONED_BLOCK_SIZE);
    ZonedBlockInfo info = { .generation = 5, .count = 1 };

    g_assert_cmpuint(zoned_block_newer(bufs), ==, 0);
    zoned_block_encode(bufs + ZONED_BLOCK_SIZE, 0, &info);
    g_assert_cmpuint(zoned_block_newer(bufs), ==, 1);
    info.generation = UINT64_MAX;
    zoned_block_encode(bufs, 0, &info);
    g_assert_cmpuint(zoned_block_newer(bufs), ==, 0);
}

static void check_entry_of(const ZonedHeader *h, uint32_t zone, uint64_t entry,
                           int state, int64_t wp)
{
    BlockZoneDescriptor d;

    if (state < 0) {
        g_assert_false(zoned_entry_check(&h->g, zone, entry));
        return;
    }
    g_assert_true(zoned_entry_check(&h->g, zone, entry));
    d = zoned_entry_to_zone(&h->g, zone, entry);
    g_assert_cmpint(d.start, ==, zone * h->g.zone_size);
    g_assert_cmpint(d.state, ==, state);
    g_assert_cmpint(d.has_extension, ==, (entry & ZONED_ENTRY_EXTENSION) != 0);
    g_assert_cmpint(d.non_seq, ==, (entry & ZONED_ENTRY_NON_SEQ) != 0);
    if (wp >= 0) {
        g_assert_cmpint(d.wp, ==, wp);
    }
}

static void check_entry(uint32_t zone, uint64_t entry, int state, int64_t wp)
{
    ZonedHeader h = example();

    check_entry_of(&h, zone, entry, state, wp);
}

static void test_entry(void)
{
    check_entry(0, 0, BLK_ZS_EMPTY, 0);
    check_entry(0, zoned_entry(ZONED_ENTRY_BY_EXTENT, 4096), -1, 0);
    check_entry(2, 0, BLK_ZS_EMPTY, 128 * MiB);
    check_entry(2, zoned_entry(ZONED_ENTRY_BY_EXTENT, 4096), BLK_ZS_CLOSED,
                128 * MiB + 4096);
    check_entry(2, zoned_entry(ZONED_ENTRY_BY_EXTENT, 512), -1, 0);
    check_entry(2, zoned_entry(ZONED_ENTRY_BY_EXTENT, 48 * MiB), BLK_ZS_FULL,
                -1);
    check_entry(2, zoned_entry(ZONED_ENTRY_BY_EXTENT, 48 * MiB + 4096), -1, 0);
    check_entry(2, zoned_entry(ZONED_ENTRY_FINISHED, 0), BLK_ZS_FULL, -1);
    check_entry(2, zoned_entry(ZONED_ENTRY_FINISHED, 48 * MiB), BLK_ZS_FULL,
                -1);
    check_entry(2, zoned_entry(ZONED_ENTRY_RDONLY, 8192), BLK_ZS_RDONLY, -1);
    check_entry(2, zoned_entry(ZONED_ENTRY_OFFLINE, 0), BLK_ZS_OFFLINE, -1);
    check_entry(2, zoned_entry(ZONED_ENTRY_STATES, 0), -1, 0);
    check_entry(2, UINT64_C(0xf) << 60, -1, 0);
    check_entry(2, UINT64_C(1) << 56, -1, 0);
    check_entry(2, UINT64_C(1) << 57, -1, 0);
    check_entry(2, UINT64_C(1) << 58, -1, 0);
    check_entry(2, UINT64_C(1) << 59, -1, 0);
    check_entry(2, UINT64_C(1) << 55, -1, 0);
    check_entry(2, UINT64_MAX, -1, 0);
    /* The last zone has 4 MiB only, and there is none behind it */
    check_entry(16, zoned_entry(ZONED_ENTRY_BY_EXTENT, 4 * MiB), BLK_ZS_FULL,
                -1);
    check_entry(16, zoned_entry(ZONED_ENTRY_BY_EXTENT, 4 * MiB + 4096), -1, 0);
    check_entry(17, zoned_entry(ZONED_ENTRY_BY_EXTENT, 4096), -1, 0);
    check_entry(UINT32_MAX, zoned_entry(ZONED_ENTRY_FINISHED, 0), -1, 0);
}

/* The documentation promises the bits of the flags, too */
static void test_entry_flags(void)
{
    ZonedHeader h = extended_example();
    uint64_t flag = UINT64_C(1) << 58;
    uint64_t entry;

    check_entry_of(&h, 2, flag, BLK_ZS_CLOSED, 128 * MiB);
    check_entry_of(&h, 2, flag | 8, BLK_ZS_CLOSED, 128 * MiB + 4096);
    check_entry_of(&h, 2, flag | 48 * MiB / 512, BLK_ZS_FULL, -1);
    check_entry_of(&h, 2, flag | UINT64_C(1) << 60, BLK_ZS_FULL, -1);
    check_entry_of(&h, 2, flag | UINT64_C(2) << 60, BLK_ZS_RDONLY, -1);
    check_entry_of(&h, 2, flag | UINT64_C(3) << 60, -1, 0);
    check_entry_of(&h, 0, flag, -1, 0);
    check_entry_of(&h, 17, flag, -1, 0);
    check_entry_of(&h, 2, UINT64_C(1) << 59, -1, 0);
    entry = zoned_entry_change(flag | 8, ZONED_ENTRY_FINISHED, 8192);
    g_assert_cmphex(entry, ==, flag | UINT64_C(1) << 60 | 16);

    h = example();
    h.g.model = BLK_Z_HA;
    flag = UINT64_C(1) << 59;
    check_entry_of(&h, 2, flag, BLK_ZS_EMPTY, 128 * MiB);
    check_entry_of(&h, 2, flag | 8, BLK_ZS_CLOSED, 128 * MiB + 4096);
    check_entry_of(&h, 2, flag | UINT64_C(3) << 60, BLK_ZS_OFFLINE, -1);
    check_entry_of(&h, 0, flag, -1, 0);
    check_entry_of(&h, 2, UINT64_C(1) << 58, -1, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zoned-image/header/bytes", test_header_bytes);
    g_test_add_func("/zoned-image/header/round-trip", test_header_round_trip);
    g_test_add_func("/zoned-image/header/keeps-rest", test_header_keeps_rest);
    g_test_add_func("/zoned-image/header/pick", test_header_pick);
    g_test_add_func("/zoned-image/header/refused", test_header_refused);
    g_test_add_func("/zoned-image/extension/bytes", test_extension_bytes);
    g_test_add_func("/zoned-image/extension/refused", test_extension_refused);
    g_test_add_func("/zoned-image/extension/layout", test_extension_layout);
    g_test_add_func("/zoned-image/layout", test_layout);
    g_test_add_func("/zoned-image/block", test_block);
    g_test_add_func("/zoned-image/log", test_log);
    g_test_add_func("/zoned-image/block/newer", test_block_newer);
    g_test_add_func("/zoned-image/entry", test_entry);
    g_test_add_func("/zoned-image/entry/flags", test_entry_flags);
    return g_test_run();
}
