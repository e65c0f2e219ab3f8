/*
 * Zoned image format: what is on disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "zoned-log.h"

/* Where the fields of the header are */
enum {
    HDR_MAGIC           = 0,
    HDR_VERSION         = 8,
    HDR_HEADER_SIZE     = 12,
    HDR_INCOMPATIBLE    = 16,
    HDR_COMPATIBLE      = 24,
    HDR_GENERATION      = 32,
    HDR_LENGTH          = 40,
    HDR_ZONE_SIZE       = 48,
    HDR_ZONE_CAPACITY   = 56,
    HDR_CONVENTIONAL    = 64,
    HDR_MAX_OPEN        = 68,
    HDR_MAX_ACTIVE      = 72,
    HDR_BLOCK_SIZE      = 76,
    HDR_MAX_APPEND      = 80,
    HDR_MODEL           = 88,
    HDR_EXTENSION_SIZE  = 92,
    HDR_TABLE_OFFSET    = 96,
    HDR_TABLE_BLOCKS    = 104,
    HDR_DATA_OFFSET     = 112,
    HDR_EXTENSION_OFFSET = 120,
    HDR_CRC             = 4092,
};

/* Where the fields of a table block are */
enum {
    BLK_CRC             = 0,
    BLK_COUNT           = 4,
    BLK_NUMBER          = 8,
    BLK_GENERATION      = 16,
    BLK_STABLE          = 24,
    BLK_ENTRIES         = 32,
};

QEMU_BUILD_BUG_ON(BLK_ENTRIES + 8 * ZONED_BLOCK_ENTRIES != ZONED_BLOCK_SIZE);

/* The table has room for a disk to grow this many times, and at least for... */
#define TABLE_GROWTH 4
#define TABLE_MIN_ZONES 65536

const ZoneGeometryNames zoned_image_names = {
    .length = "size",
    .zone_size = "zone_size",
    .zone_capacity = "zone_capacity",
    .conventional_zones = "conventional_zones",
    .max_open_zones = "max_open_zones",
    .max_active_zones = "max_active_zones",
    .write_granularity = "logical_block_size",
    .extension_size = "descriptor_extension_size",
};

/*
 * CRC32C of eight bytes at once: the sum of what each of them is worth in its
 * place.  Most of the time that it takes to open an image goes here.
 */
#define CRC_STEP 8
#define CRC_POLYNOMIAL 0x82f63b78

static uint32_t crc_tables[CRC_STEP][256];

static gpointer crc_init(gpointer opaque)
{
    uint32_t crc;
    int i, k;

    for (i = 0; i < 256; i++) {
        for (crc = i, k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
        }
        crc_tables[0][i] = crc;
    }
    for (k = 1; k < CRC_STEP; k++) {
        for (i = 0; i < 256; i++) {
            crc = crc_tables[k - 1][i];
            crc_tables[k][i] = crc >> 8 ^ crc_tables[0][crc & 0xff];
        }
    }
    return NULL;
}

static uint32_t crc_add(uint32_t crc, const uint8_t *buf, size_t size)
{
    for (; size >= CRC_STEP; size -= CRC_STEP, buf += CRC_STEP) {
        uint64_t word = ldq_le_p(buf) ^ crc;

        crc = crc_tables[7][word & 0xff] ^
              crc_tables[6][word >> 8 & 0xff] ^
              crc_tables[5][word >> 16 & 0xff] ^
              crc_tables[4][word >> 24 & 0xff] ^
              crc_tables[3][word >> 32 & 0xff] ^
              crc_tables[2][word >> 40 & 0xff] ^
              crc_tables[1][word >> 48 & 0xff] ^
              crc_tables[0][word >> 56];
    }
    for (; size; size--, buf++) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *buf) & 0xff];
    }
    return crc;
}

uint32_t zoned_checksum(const uint8_t *buf, size_t size, size_t crc_offset)
{
    static const uint8_t zero[4];
    static GOnce once = G_ONCE_INIT;
    uint32_t crc;

    g_once(&once, crc_init, NULL);
    crc = crc_add(0xffffffff, buf, crc_offset);
    crc = crc_add(crc, zero, sizeof(zero));
    return ~crc_add(crc, buf + crc_offset + 4, size - crc_offset - 4);
}

/*
 * Header
 */

bool zoned_header_probe(const void *buf, size_t size)
{
    return size >= ZONED_MAGIC_SIZE &&
           memcmp(buf, ZONED_MAGIC, ZONED_MAGIC_SIZE) == 0;
}

static uint32_t blocks_for_zones(int64_t zones)
{
    return DIV_ROUND_UP(zones, ZONED_BLOCK_ENTRIES);
}

uint32_t zoned_header_nr_blocks(const ZonedHeader *h)
{
    return blocks_for_zones(zone_geometry_nr_zones(&h->g));
}

/* How many zones the table has room for */
static int64_t table_zones(const ZonedHeader *h)
{
    return MIN(h->table_blocks * ZONED_BLOCK_ENTRIES, ZONE_MODEL_MAX_ZONES);
}

int64_t zoned_header_max_length(const ZonedHeader *h)
{
    int64_t max = QEMU_ALIGN_DOWN(ZONED_MAX_FILE - h->data_offset,
                                  ZONED_FILE_ALIGN);
    int64_t zones = table_zones(h);

    return zones > max / h->g.zone_size ? max : zones * h->g.zone_size;
}

int64_t zoned_header_file_length(const ZonedHeader *h)
{
    return h->data_offset + ROUND_UP(h->g.length, ZONED_FILE_ALIGN);
}

int64_t zoned_header_block_offset(const ZonedHeader *h, uint32_t block,
                                  unsigned int copy)
{
    return h->table_offset + ((int64_t)block * ZONED_BLOCK_COPIES + copy) *
           ZONED_BLOCK_SIZE;
}

int64_t zoned_header_extension_offset(const ZonedHeader *h, uint32_t zone)
{
    return h->extension_offset + zone * h->g.extension_size;
}

/* The end of the table, with what is not in use of it */
static int64_t table_end(const ZonedHeader *h)
{
    return h->table_offset + h->table_blocks * ZONED_BLOCK_PAIR_SIZE;
}

/* Length of the extensions of all zones that the table has room for */
static int64_t extensions_length(const ZonedHeader *h)
{
    return table_zones(h) * h->g.extension_size;
}

bool zoned_header_layout(ZonedHeader *h, Error **errp)
{
    int64_t zones = zone_geometry_nr_zones(&h->g);

    zones = MIN(MAX(zones * TABLE_GROWTH, TABLE_MIN_ZONES),
                ZONE_MODEL_MAX_ZONES);
    h->table_offset = ZONED_LOG_END;
    h->table_blocks = blocks_for_zones(zones);
    h->extension_offset = h->g.extension_size ? table_end(h) : 0;
    h->data_offset = ROUND_UP(table_end(h) + extensions_length(h),
                              ZONED_DATA_ALIGN);
    if (h->g.length > zoned_header_max_length(h)) {
        error_setg(errp, "%s must be at most %" PRId64 ", not %" PRId64,
                   zoned_image_names.length, zoned_header_max_length(h),
                   h->g.length);
        return false;
    }
    return true;
}

void zoned_header_encode(const ZonedHeader *h, uint8_t *buf)
{
    memcpy(buf + HDR_MAGIC, ZONED_MAGIC, ZONED_MAGIC_SIZE);
    stl_le_p(buf + HDR_VERSION, ZONED_VERSION);
    stl_le_p(buf + HDR_HEADER_SIZE, ZONED_HEADER_SIZE);
    stq_le_p(buf + HDR_INCOMPATIBLE, h->incompatible);
    stq_le_p(buf + HDR_COMPATIBLE, h->compatible);
    stq_le_p(buf + HDR_GENERATION, h->generation);
    stq_le_p(buf + HDR_LENGTH, h->g.length);
    stq_le_p(buf + HDR_ZONE_SIZE, h->g.zone_size);
    stq_le_p(buf + HDR_ZONE_CAPACITY, h->g.zone_capacity);
    stl_le_p(buf + HDR_CONVENTIONAL, h->g.conventional_zones);
    stl_le_p(buf + HDR_MAX_OPEN, h->g.max_open_zones);
    stl_le_p(buf + HDR_MAX_ACTIVE, h->g.max_active_zones);
    stl_le_p(buf + HDR_BLOCK_SIZE, h->g.write_granularity);
    stq_le_p(buf + HDR_MAX_APPEND, h->max_append_bytes);
    stl_le_p(buf + HDR_MODEL, h->g.model);
    stl_le_p(buf + HDR_EXTENSION_SIZE, h->g.extension_size);
    stq_le_p(buf + HDR_TABLE_OFFSET, h->table_offset);
    stq_le_p(buf + HDR_TABLE_BLOCKS, h->table_blocks);
    stq_le_p(buf + HDR_DATA_OFFSET, h->data_offset);
    stq_le_p(buf + HDR_EXTENSION_OFFSET, h->extension_offset);
    stl_le_p(buf + HDR_CRC, zoned_checksum(buf, ZONED_HEADER_SIZE, HDR_CRC));
}

int zoned_header_pick(const uint8_t *bufs, unsigned int *valid)
{
    uint64_t newest = 0;
    int best = -1;
    int i;

    if (valid) {
        *valid = 0;
    }
    for (i = 0; i < ZONED_HEADER_COPIES; i++) {
        const uint8_t *buf = bufs + i * ZONED_HEADER_SIZE;
        uint64_t generation = ldq_le_p(buf + HDR_GENERATION);

        if (!zoned_header_probe(buf, ZONED_HEADER_SIZE) ||
            ldl_le_p(buf + HDR_CRC) != zoned_checksum(buf, ZONED_HEADER_SIZE,
                                                      HDR_CRC)) {
            continue;
        }
        if (valid) {
            *valid |= 1 << i;
        }
        if (best < 0 || generation > newest) {
            best = i;
            newest = generation;
        }
    }
    return best;
}

static int64_t get_size(const uint8_t *p)
{
    return zone_geometry_clamp(ldq_le_p(p));
}

/* Between the table and the data, with room for as many zones as the table */
static bool header_check_extensions(const ZonedHeader *h, Error **errp)
{
    int64_t offset = h->extension_offset;

    if (h->g.extension_size
        ? offset % ZONED_BLOCK_SIZE || offset < table_end(h) ||
          offset > h->data_offset ||
          extensions_length(h) > h->data_offset - offset
        : offset != 0) {
        error_setg(errp, "Invalid zoned image: the descriptor extensions at %"
                   PRId64 ", with %" PRId64 " bytes for each zone, are "
                   "misplaced", offset, h->g.extension_size);
        return false;
    }
    return true;
}

static bool header_check_file(const ZonedHeader *h, int64_t file_length,
                              Error **errp)
{
    if (h->data_offset > file_length) {
        error_setg(errp, "The zoned image is cut off at %" PRId64 ", before "
                   "its data begins at %" PRId64 ": what its zones were is "
                   "lost", file_length, h->data_offset);
        return false;
    }
    if (h->g.length > file_length - h->data_offset) {
        error_setg(errp, "The zoned image is cut off: %" PRId64 " bytes of "
                   "data at %" PRId64 " do not fit into a file of %" PRId64
                   " bytes. 'qemu-img resize -f raw' by %" PRId64 " bytes "
                   "makes it usable; what was cut off reads as zeroes then",
                   h->g.length, h->data_offset, file_length,
                   h->g.length - (file_length - h->data_offset));
        return false;
    }
    return true;
}

static bool header_check_layout(const ZonedHeader *h, int64_t file_length,
                                Error **errp)
{
    int64_t max_blocks;

    if (h->table_offset < ZONED_LOG_END ||
        h->table_offset % ZONED_BLOCK_SIZE ||
        h->data_offset % ZONED_DATA_ALIGN ||
        h->data_offset < h->table_offset) {
        error_setg(errp, "Invalid zoned image: the zone table at %" PRId64
                   " and the data at %" PRId64 " are misplaced",
                   h->table_offset, h->data_offset);
        return false;
    }
    max_blocks = (h->data_offset - h->table_offset) /
                 (ZONED_BLOCK_COPIES * ZONED_BLOCK_SIZE);
    if (h->table_blocks > max_blocks ||
        h->table_blocks < zoned_header_nr_blocks(h)) {
        error_setg(errp, "Invalid zoned image: the zone table must have from %"
                   PRIu32 " to %" PRId64 " blocks, not %" PRId64,
                   zoned_header_nr_blocks(h), max_blocks, h->table_blocks);
        return false;
    }
    if (!header_check_extensions(h, errp)) {
        return false;
    }
    return header_check_file(h, file_length, errp);
}

int64_t zoned_max_append_limit(const ZoneGeometry *g)
{
    return QEMU_ALIGN_DOWN(MIN(g->zone_capacity, ZONED_MAX_REQUEST),
                           g->write_granularity);
}

bool zoned_max_append_check(const ZoneGeometry *g, int64_t bytes, Error **errp)
{
    int64_t limit = zoned_max_append_limit(g);

    if (bytes < 0 || bytes > limit || bytes % g->write_granularity) {
        error_setg(errp, "max_append_size must be a multiple of %s (%" PRId64
                   ") between 0 and %" PRId64 ", not %" PRId64,
                   zoned_image_names.write_granularity, g->write_granularity,
                   limit, bytes);
        return false;
    }
    return true;
}

static bool header_check_geometry(const ZonedHeader *h, Error **errp)
{
    const ZoneGeometry *g = &h->g;

    if (g->write_granularity != 512 && g->write_granularity != 4096) {
        error_setg(errp, "%s must be 512 or 4096, not %" PRId64,
                   zoned_image_names.write_granularity, g->write_granularity);
        return false;
    }
    return zone_geometry_check(g, &zoned_image_names, errp) &&
           zoned_max_append_check(g, h->max_append_bytes, errp);
}

static int header_check_version(const uint8_t *buf, Error **errp)
{
    uint32_t version = ldl_le_p(buf + HDR_VERSION);
    uint64_t unknown = ldq_le_p(buf + HDR_INCOMPATIBLE) &
                       ~ZONED_INCOMPATIBLE_KNOWN;

    if (version != ZONED_VERSION) {
        error_setg(errp, "Zoned image of version %" PRIu32 ": this QEMU knows "
                   "version %d only", version, ZONED_VERSION);
        return -ENOTSUP;
    }
    if (unknown) {
        error_setg(errp, "The zoned image uses features that this QEMU does "
                   "not know (incompatible feature bits 0x%" PRIx64 "): use a "
                   "newer QEMU", unknown);
        return -ENOTSUP;
    }
    if (ldl_le_p(buf + HDR_HEADER_SIZE) != ZONED_HEADER_SIZE) {
        error_setg(errp, "Invalid zoned image: the header must have %d bytes, "
                   "not %" PRIu32, ZONED_HEADER_SIZE,
                   ldl_le_p(buf + HDR_HEADER_SIZE));
        return -EINVAL;
    }
    return 0;
}

int zoned_header_decode(ZonedHeader *h, const uint8_t *buf,
                        int64_t file_length, Error **errp)
{
    ERRP_GUARD();
    int ret = header_check_version(buf, errp);

    if (ret < 0) {
        return ret;
    }
    *h = (ZonedHeader) {
        .incompatible = ldq_le_p(buf + HDR_INCOMPATIBLE),
        .compatible = ldq_le_p(buf + HDR_COMPATIBLE),
        .generation = ldq_le_p(buf + HDR_GENERATION),
        .g = {
            .model = ldl_le_p(buf + HDR_MODEL),
            .length = get_size(buf + HDR_LENGTH),
            .zone_size = get_size(buf + HDR_ZONE_SIZE),
            .zone_capacity = get_size(buf + HDR_ZONE_CAPACITY),
            .conventional_zones = ldl_le_p(buf + HDR_CONVENTIONAL),
            .max_open_zones = ldl_le_p(buf + HDR_MAX_OPEN),
            .max_active_zones = ldl_le_p(buf + HDR_MAX_ACTIVE),
            .write_granularity = ldl_le_p(buf + HDR_BLOCK_SIZE),
            .extension_size = ldl_le_p(buf + HDR_EXTENSION_SIZE),
        },
        .max_append_bytes = get_size(buf + HDR_MAX_APPEND),
        .table_offset = get_size(buf + HDR_TABLE_OFFSET),
        .table_blocks = get_size(buf + HDR_TABLE_BLOCKS),
        .extension_offset = get_size(buf + HDR_EXTENSION_OFFSET),
        .data_offset = get_size(buf + HDR_DATA_OFFSET),
    };
    if (h->generation >= ZONED_MAX_GENERATION) {
        error_setg(errp, "Invalid zoned image: generation %" PRIu64
                   " of the header is too high", h->generation);
        return -EINVAL;
    }
    if (!header_check_geometry(h, errp)) {
        error_prepend(errp, "Invalid zoned image: ");
        return -EINVAL;
    }
    return header_check_layout(h, file_length, errp) ? 0 : -EINVAL;
}

/*
 * Zone table
 */

void zoned_block_encode(uint8_t *buf, uint32_t block,
                        const ZonedBlockInfo *info)
{
    stl_le_p(buf + BLK_COUNT, info->count);
    stq_le_p(buf + BLK_NUMBER, block);
    stq_le_p(buf + BLK_GENERATION, info->generation);
    stq_le_p(buf + BLK_STABLE, info->stable);
    stl_le_p(buf + BLK_CRC, zoned_checksum(buf, ZONED_BLOCK_SIZE, BLK_CRC));
}

bool zoned_block_decode(const uint8_t *buf, uint32_t block,
                        ZonedBlockInfo *info)
{
    *info = (ZonedBlockInfo) {
        .count = ldl_le_p(buf + BLK_COUNT),
        .generation = ldq_le_p(buf + BLK_GENERATION),
        .stable = ldq_le_p(buf + BLK_STABLE),
    };
    if (info->generation == 0) {
        return buffer_is_zero(buf, ZONED_BLOCK_SIZE);
    }
    return info->generation < ZONED_MAX_GENERATION &&
           info->stable < info->generation &&
           info->count > 0 &&
           ldq_le_p(buf + BLK_NUMBER) == block &&
           ldl_le_p(buf + BLK_CRC) == zoned_checksum(buf, ZONED_BLOCK_SIZE,
                                                     BLK_CRC);
}

unsigned int zoned_block_newer(const uint8_t *bufs)
{
    return ldq_le_p(bufs + ZONED_BLOCK_SIZE + BLK_GENERATION) >
           ldq_le_p(bufs + BLK_GENERATION);
}

uint64_t zoned_block_get(const uint8_t *buf, unsigned int i)
{
    return ldq_le_p(buf + BLK_ENTRIES + 8 * i);
}

void zoned_block_set(uint8_t *buf, unsigned int i, uint64_t entry)
{
    stq_le_p(buf + BLK_ENTRIES + 8 * i, entry);
}

/* Can a zone of such a disk in @state have @flags? */
static bool flags_are_valid(const ZoneGeometry *g, unsigned int state,
                            uint64_t flags)
{
    if ((flags & ZONED_ENTRY_NON_SEQ) && g->model != BLK_Z_HA) {
        return false;
    }
    return !(flags & ZONED_ENTRY_EXTENSION) ||
           (g->extension_size && state != ZONED_ENTRY_OFFLINE);
}

bool zoned_entry_check(const ZoneGeometry *g, uint32_t i, uint64_t entry)
{
    uint64_t state = (uint64_t)zoned_entry_state(entry) << ZONED_STATE_SHIFT;
    /* In units: a large one would not fit in bytes */
    uint64_t units = entry & ZONED_EXTENT_MASK;
    uint64_t flags = entry & ZONED_ENTRY_FLAGS;

    if (entry == 0) {
        return true;
    }
    return i < zone_geometry_nr_zones(g) && i >= g->conventional_zones &&
           zoned_entry_state(entry) < ZONED_ENTRY_STATES &&
           entry == (state | flags | units) &&
           flags_are_valid(g, zoned_entry_state(entry), flags) &&
           units <= zone_geometry_capacity(g, i) / ZONED_EXTENT_UNIT &&
           !(units & (g->write_granularity / ZONED_EXTENT_UNIT - 1));
}

static BlockZoneState entry_zone_state(const ZoneGeometry *g, uint32_t i,
                                       uint64_t entry)
{
    int64_t extent = zoned_entry_extent(entry);

    switch (zoned_entry_state(entry)) {
    case ZONED_ENTRY_FINISHED:
        return BLK_ZS_FULL;
    case ZONED_ENTRY_RDONLY:
        return BLK_ZS_RDONLY;
    case ZONED_ENTRY_OFFLINE:
        return BLK_ZS_OFFLINE;
    default:
        break;
    }
    if (extent == zone_geometry_capacity(g, i)) {
        return BLK_ZS_FULL;
    }
    return extent || (entry & ZONED_ENTRY_EXTENSION) ? BLK_ZS_CLOSED
                                                     : BLK_ZS_EMPTY;
}

BlockZoneDescriptor zoned_entry_to_zone(const ZoneGeometry *g, uint32_t i,
                                        uint64_t entry)
{
    int64_t start = i * g->zone_size;

    return (BlockZoneDescriptor) {
        .start = start,
        .wp = start + zoned_entry_extent(entry),
        .state = entry_zone_state(g, i, entry),
        .non_seq = entry & ZONED_ENTRY_NON_SEQ,
        .has_extension = entry & ZONED_ENTRY_EXTENSION,
    };
}
