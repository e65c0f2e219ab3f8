/*
 * The metadata of a zoned image, made from the input of a fuzz target
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "qemu/units.h"
#include "zoned-image-input.h"

/* Of the first byte of the input */
#define MEND_HEADER_0   0x01
#define MEND_HEADER_1   0x02
#define MEND_TABLE      0x04
#define WITH_LOG        0x08
#define IMAGE_SHIFT     4

/* The longest change */
#define MAX_CHANGE 16

static const ZonedHeader images[] = {
    {
        .generation = 1,
        .g = {
            .model = BLK_Z_HM,
            .length = 16 * 64 * KiB,
            .zone_size = 64 * KiB,
            .zone_capacity = 64 * KiB,
            .write_granularity = 512,
        },
        .max_append_bytes = 64 * KiB,
    }, {
        .generation = 2,
        .g = {
            .model = BLK_Z_HM,
            .length = 40 * 32 * KiB - 8 * KiB,
            .zone_size = 32 * KiB,
            .zone_capacity = 28 * KiB,
            .conventional_zones = 3,
            .max_open_zones = 2,
            .max_active_zones = 4,
            .write_granularity = 4096,
        },
        .max_append_bytes = 16 * KiB,
    }, {
        .generation = 3,
        .g = {
            .model = BLK_Z_HA,
            .length = 9 * 128 * KiB,
            .zone_size = 128 * KiB,
            .zone_capacity = 128 * KiB,
            .conventional_zones = 1,
            .write_granularity = 512,
        },
    }, {
        /* Several blocks of the table are in use */
        .generation = 4,
        .g = {
            .model = BLK_Z_HM,
            .length = 1200 * 2 * KiB,
            .zone_size = 2 * KiB,
            .zone_capacity = 1 * KiB,
            .write_granularity = 512,
        },
        .max_append_bytes = 1 * KiB,
    }, {
        .generation = 5,
        .g = {
            .model = BLK_Z_HM,
            .length = 20 * 32 * KiB,
            .zone_size = 32 * KiB,
            .zone_capacity = 28 * KiB,
            .conventional_zones = 1,
            .max_open_zones = 2,
            .max_active_zones = 4,
            .write_granularity = 512,
            .extension_size = 64,
        },
        .max_append_bytes = 16 * KiB,
    },
};

typedef struct Input {
    const uint8_t *data;
    size_t left;
} Input;

static uint64_t take(Input *in, unsigned int bytes)
{
    uint64_t value = 0;

    while (bytes-- && in->left) {
        value = value << 8 | *in->data++;
        in->left--;
    }
    return value;
}

/*
 * One zone closed, one full, one finished, one with an extension and one
 * written out of sequence, where it can be
 */
static void fill_block(const ZonedHeader *h, uint8_t *pages, uint32_t block)
{
    ZonedBlockInfo info = {
        .generation = 2,
        .stable = 1,
        .count = MIN(zoned_header_nr_blocks(h), 2),
    };
    uint8_t *buf = pages + zoned_header_block_offset(h, block, 0);
    uint32_t first = block * ZONED_BLOCK_ENTRIES + 5;
    uint64_t entries[] = {
        zoned_entry(ZONED_ENTRY_BY_EXTENT, h->g.write_granularity),
        zoned_entry(ZONED_ENTRY_BY_EXTENT, h->g.zone_capacity),
        zoned_entry(ZONED_ENTRY_FINISHED, h->g.write_granularity),
        ZONED_ENTRY_EXTENSION,
        ZONED_ENTRY_NON_SEQ | zoned_entry(ZONED_ENTRY_BY_EXTENT,
                                          h->g.write_granularity),
    };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(entries); i++) {
        if (zoned_entry_check(&h->g, first + i, entries[i])) {
            zoned_block_set(buf, 5 + i, entries[i]);
        }
    }
    zoned_block_encode(buf, block, &info);
    /* The commit before it, of this block alone, with all zones empty */
    info = (ZonedBlockInfo) { .generation = 1, .count = 1 };
    zoned_block_encode(pages + zoned_header_block_offset(h, block, 1), block,
                       &info);
}

/* Zones of several blocks, where there are as many, on top of fill_block() */
static void fill_log(const ZonedHeader *h, uint8_t *pages)
{
    ZonedLogInfo info = { .generation = 3, .table = 2 };
    uint8_t *buf = pages + ZONED_LOG_OFFSET;
    uint32_t nr_zones = zone_geometry_nr_zones(&h->g);
    uint32_t zone;

    for (zone = 4; zone < nr_zones; zone += 300) {
        zoned_log_set(buf, info.count++, zone,
                      zoned_entry(ZONED_ENTRY_BY_EXTENT,
                                  h->g.write_granularity));
    }
    zoned_log_encode(buf, &info);
    /* The table of generation 1 goes with this one */
    info = (ZonedLogInfo) { .generation = 4, .table = 1 };
    if (nr_zones % 2) {
        zoned_log_encode(buf + ZONED_LOG_SIZE, &info);
    }
}

/* What the input calls page @i: the log comes last */
static unsigned int input_page(unsigned int i)
{
    unsigned int log = ZONED_LOG_OFFSET / INPUT_PAGE;

    i %= INPUT_PAGES;
    if (i < ZONED_HEADER_COPIES) {
        return i;
    }
    return i < INPUT_PAGES - ZONED_LOG_SLOTS ? i + ZONED_LOG_SLOTS
                                             : log + i + ZONED_LOG_SLOTS -
                                               INPUT_PAGES;
}

/* As the format defines the checksum: that of the page with 0 in its place */
static void mend(uint8_t *page, size_t crc_offset)
{
    stl_le_p(page + crc_offset, 0);
    stl_le_p(page + crc_offset, crc32c(0xffffffff, page, INPUT_PAGE));
}

int64_t zoned_image_input(const uint8_t *data, size_t size, uint8_t *pages)
{
    Input in = { .data = data, .left = size };
    uint8_t flags = take(&in, 1);
    ZonedHeader h = images[(flags >> IMAGE_SHIFT) % ARRAY_SIZE(images)];
    uint32_t cut = take(&in, 2);
    bool changed[INPUT_PAGES] = {};
    int64_t length;
    unsigned int i;

    memset(pages, 0, INPUT_BYTES);
    if (!zoned_header_layout(&h, &error_abort)) {
        abort();
    }
    length = zoned_header_file_length(&h);
    for (i = 0; i < ZONED_HEADER_COPIES; i++) {
        zoned_header_encode(&h, pages + i * ZONED_HEADER_SIZE);
    }
    for (i = 0; i < MIN(zoned_header_nr_blocks(&h), 2); i++) {
        fill_block(&h, pages, i);
    }
    if (flags & WITH_LOG) {
        fill_log(&h, pages);
    }

    while (in.left) {
        unsigned int page = input_page(take(&in, 1));
        unsigned int offset = take(&in, 2) % INPUT_PAGE;
        unsigned int n = take(&in, 1) % (MAX_CHANGE + 1);

        n = MIN(n, INPUT_PAGE - offset);
        changed[page] = true;
        for (i = 0; i < n; i++) {
            pages[page * INPUT_PAGE + offset + i] = take(&in, 1);
        }
    }

    for (i = 0; i < INPUT_PAGES; i++) {
        if (changed[i] && i < ZONED_HEADER_COPIES &&
            (flags & (i ? MEND_HEADER_1 : MEND_HEADER_0))) {
            mend(pages + i * INPUT_PAGE, INPUT_PAGE - 4);
        } else if (changed[i] && i >= ZONED_HEADER_COPIES &&
                   (flags & MEND_TABLE)) {
            mend(pages + i * INPUT_PAGE, 0);
        }
    }
    /* Cut off or too long */
    if (cut) {
        length = cut * 512;
    }
    return MAX(MIN(length, INPUT_MAX_LENGTH), INPUT_BYTES);
}
