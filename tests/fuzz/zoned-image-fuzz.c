/*
 * libFuzzer target: the decoder of zoned images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever the headers and the zone table hold: nothing crashes, and what is
 * accepted is such that nothing can go wrong with it later.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "zoned-image-input.h"

/* What must hold for each header that is accepted */
static void check_header(const ZonedHeader *h, int64_t file_length)
{
    const ZoneGeometry *g = &h->g;
    uint32_t nr_zones = zone_geometry_nr_zones(g);
    uint32_t last = zoned_header_nr_blocks(h) - 1;

    if (!zone_geometry_check(g, &zoned_image_names, NULL) ||
        !zoned_max_append_check(g, h->max_append_bytes, NULL) ||
        h->table_offset < ZONED_HEADER_COPIES * ZONED_HEADER_SIZE ||
        zoned_header_block_offset(h, last, ZONED_BLOCK_COPIES) >
            h->data_offset ||
        h->data_offset + g->length > file_length ||
        (g->extension_size &&
         (zoned_header_extension_offset(h, 0) <
              zoned_header_block_offset(h, last, ZONED_BLOCK_COPIES) ||
          zoned_header_extension_offset(h, nr_zones) > h->data_offset)) ||
        (uint64_t)nr_zones > (uint64_t)(last + 1) * ZONED_BLOCK_ENTRIES ||
        h->generation > ZONED_MAX_GENERATION ||
        (h->incompatible & ~ZONED_INCOMPATIBLE_KNOWN)) {
        abort();
    }
}

/* Each entry that is accepted makes a zone that the zone model takes */
static void check_entries(const ZonedHeader *h, ZoneModel *m,
                          const uint8_t *buf, uint32_t block)
{
    unsigned int i;

    for (i = 0; i < ZONED_BLOCK_ENTRIES; i++) {
        uint32_t zone = block * ZONED_BLOCK_ENTRIES + i;
        uint64_t entry = zoned_block_get(buf, i);
        BlockZoneDescriptor d;
        int ret;

        if (!zoned_entry_check(&h->g, zone, entry) || !entry) {
            continue;
        }
        d = zoned_entry_to_zone(&h->g, zone, entry);
        ret = zone_model_restore_zone(m, &d);
        if (ret < 0 && ret != -EOVERFLOW) {
            abort();
        }
    }
}

static void check_table(const ZonedHeader *h, const uint8_t *pages)
{
    ZoneModel *m = zone_model_new(&h->g);
    uint32_t nr_blocks = zoned_header_nr_blocks(h);
    uint32_t block;
    unsigned int copy;

    if (!m) {
        return;
    }
    for (block = 0; block < nr_blocks; block++) {
        for (copy = 0; copy < ZONED_BLOCK_COPIES; copy++) {
            int64_t offset = zoned_header_block_offset(h, block, copy);
            ZonedBlockInfo info;

            if (offset <= INPUT_BYTES - ZONED_BLOCK_SIZE &&
                zoned_block_decode(pages + offset, block, &info)) {
                check_entries(h, m, pages + offset, block);
            }
        }
    }
    zone_model_free(m);
}

/* What a record says is of zones that there can be */
static void check_log(const ZonedHeader *h, const uint8_t *pages)
{
    unsigned int slot, i;

    for (slot = 0; slot < ZONED_LOG_SLOTS; slot++) {
        const uint8_t *buf = pages + zoned_log_slot_offset(slot);
        ZonedLogInfo info;

        if (!zoned_log_decode(buf, &info)) {
            continue;
        }
        if (info.count > ZONED_LOG_ENTRIES ||
            (info.generation && info.table >= info.generation)) {
            abort();
        }
        for (i = 0; i < info.count; i++) {
            uint64_t zone, entry = zoned_log_get(buf, i, &zone);

            if (zone <= UINT32_MAX && entry &&
                zoned_entry_check(&h->g, zone, entry)) {
                zoned_entry_to_zone(&h->g, zone, entry);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pages[INPUT_BYTES];
    int64_t file_length = zoned_image_input(data, size, pages);
    int picked = zoned_header_pick(pages, NULL);
    Error *err = NULL;
    ZonedHeader h;

    if (picked < 0) {
        return 0;
    }
    if (zoned_header_decode(&h, pages + picked * ZONED_HEADER_SIZE,
                            file_length, &err) < 0) {
        if (!err) {
            abort();
        }
        error_free(err);
        return 0;
    }
    check_header(&h, file_length);
    check_table(&h, pages);
    check_log(&h, pages);
    return 0;
}
