/*
 * qemu-img zones: what the zones of a disk are like
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-block-zoned.h"
#include "qemu/cutils.h"
#include "block/qemu-img-zoned.h"
#include "block/zoned-io.h"
#include "block/zoned-qapi.h"

/* Zones asked for at a time */
#define REPORT_CHUNK 4096

/* Cells of the map: in a row, and at most */
#define MAP_COLUMNS 64
#define MAP_CELLS (32 * MAP_COLUMNS)

/*
 * What a cell of the map shows: the first of these states that one of its
 * zones is in.  Cells of empty, full and conventional zones together are
 * partly full.
 */
static const struct {
    BlockdevZoneState state;
    char cell;
} map_legend[] = {
    { BLOCKDEV_ZONE_STATE_OFFLINE, 'x' },
    { BLOCKDEV_ZONE_STATE_READ_ONLY, 'r' },
    { BLOCKDEV_ZONE_STATE_EXPLICITLY_OPEN, 'O' },
    { BLOCKDEV_ZONE_STATE_IMPLICITLY_OPEN, 'o' },
    { BLOCKDEV_ZONE_STATE_CLOSED, 'c' },
    { BLOCKDEV_ZONE_STATE_FULL, '#' },
    { BLOCKDEV_ZONE_STATE_CONVENTIONAL, '=' },
    { BLOCKDEV_ZONE_STATE_EMPTY, '.' },
};
#define MAP_PARTLY_FULL '+'

typedef void ZoneVisitor(const BlockZoneDescriptor *zone, void *opaque);

/* Call @visit for the zones that lie in [offset, end), in order */
static int visit_zones(BlockBackend *blk, int64_t offset, int64_t end,
                       ZoneVisitor *visit, void *opaque)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  REPORT_CHUNK);

    while (offset < end) {
        unsigned int n = REPORT_CHUNK;
        unsigned int i;
        int ret = blk_zone_report(blk, offset, &n, zones);

        if (ret < 0) {
            return ret;
        }
        if (!n) {
            return -EIO;
        }
        for (i = 0; i < n && zones[i].start < end; i++) {
            visit(&zones[i], opaque);
        }
        offset = zones[n - 1].start + zones[n - 1].length;
    }
    return 0;
}

/* In the largest unit that is exact */
static char *size_str(int64_t size)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    int i = 0;

    while (i < ARRAY_SIZE(units) - 1 && size && size % 1024 == 0) {
        size /= 1024;
        i++;
    }
    return size ? g_strdup_printf("%" PRId64 " %s", size, units[i])
                : g_strdup("0");
}

static void print_disk(BlockBackend *blk)
{
    const BlockZoneLimits *l = blk_zone_limits(blk);
    g_autofree char *zone_size = size_str(l->zone_size);

    printf("%s, %" PRIu32 " zones of %s",
           BlockdevZoneModel_str(block_zone_model_to_qapi(l->model)),
           l->nr_zones, zone_size);
    if (l->max_open_zones) {
        printf(", at most %" PRIu32 " open", l->max_open_zones);
    }
    if (l->max_active_zones) {
        printf(", at most %" PRIu32 " active", l->max_active_zones);
    }
    if (l->extension_size) {
        printf(", descriptor extensions of %" PRIu32 " bytes",
               l->extension_size);
    }
    printf("\n\n");
}

/*
 * The table: a line for each run of zones that differ in nothing but their
 * place
 */

typedef struct TableRun {
    BlockZoneDescriptor first;
    int64_t zone_size;
    uint32_t nr_zones;
} TableRun;

static int64_t zone_written(const BlockZoneDescriptor *zone)
{
    return zone->state == BLK_ZS_FULL || zone->wp < 0 ? -1
                                                      : zone->wp - zone->start;
}

static bool alike(const BlockZoneDescriptor *a, const BlockZoneDescriptor *b)
{
    return a->length == b->length && a->cap == b->cap &&
           a->state == b->state && a->type == b->type &&
           a->non_seq == b->non_seq && a->has_extension == b->has_extension &&
           zone_written(a) == zone_written(b);
}

static void print_run(const TableRun *run)
{
    const BlockZoneDescriptor *zone = &run->first;
    const int64_t nr = zone->start / run->zone_size;
    const int64_t written = zone_written(zone);
    g_autofree char *start = size_str(zone->start);
    g_autofree char *length = size_str(zone->length);
    g_autofree char *cap = size_str(zone->cap);
    g_autofree char *data = written < 0 ? g_strdup("-") : size_str(written);
    g_autofree char *numbers =
        run->nr_zones == 1 ? g_strdup_printf("%" PRId64, nr)
                           : g_strdup_printf("%" PRId64 "-%" PRId64, nr,
                                             nr + run->nr_zones - 1);

    printf("%-18s%-16s%-12s%-12s%-16s%s%s%s\n", numbers, start, length, cap,
           data, BlockdevZoneState_str(block_zone_state_to_qapi(zone->state)),
           zone->non_seq ? ", written out of order" : "",
           zone->has_extension ? ", has an extension" : "");
}

static void table_visit(const BlockZoneDescriptor *zone, void *opaque)
{
    TableRun *run = opaque;

    if (run->nr_zones && alike(&run->first, zone)) {
        run->nr_zones++;
        return;
    }
    if (run->nr_zones) {
        print_run(run);
    }
    run->first = *zone;
    run->nr_zones = 1;
}

static int print_table(BlockBackend *blk, int64_t offset, int64_t end)
{
    TableRun run = { .zone_size = blk_zone_limits(blk)->zone_size };
    int ret;

    print_disk(blk);
    printf("%-18s%-16s%-12s%-12s%-16s%s\n", "Zones", "Start", "Size",
           "Capacity", "Written", "State");
    ret = visit_zones(blk, offset, end, table_visit, &run);
    if (run.nr_zones) {
        print_run(&run);
    }
    return ret;
}

/*
 * The map
 */

typedef struct ZoneMap {
    int64_t zone_size;
    int64_t start;              /* of the first zone of the first cell */
    uint32_t zones_per_cell;
    uint32_t nr_cells;
    uint8_t cells[MAP_CELLS];   /* bit n: some zone is in state n */
    uint32_t counts[BLOCKDEV_ZONE_STATE__MAX];
} ZoneMap;

QEMU_BUILD_BUG_ON(BLOCKDEV_ZONE_STATE__MAX > 8);
QEMU_BUILD_BUG_ON(ARRAY_SIZE(map_legend) != BLOCKDEV_ZONE_STATE__MAX);

static void map_visit(const BlockZoneDescriptor *zone, void *opaque)
{
    ZoneMap *map = opaque;
    BlockdevZoneState state = block_zone_state_to_qapi(zone->state);
    uint32_t nr = (zone->start - map->start) / map->zone_size;
    uint32_t cell = nr / map->zones_per_cell;

    map->cells[cell] |= 1 << state;
    map->nr_cells = cell + 1;
    map->counts[state]++;
}

static char map_cell(uint8_t states)
{
    const uint8_t quiet = 1 << BLOCKDEV_ZONE_STATE_FULL |
                          1 << BLOCKDEV_ZONE_STATE_CONVENTIONAL |
                          1 << BLOCKDEV_ZONE_STATE_EMPTY;
    int i = 0;

    if (!(states & ~quiet) && !is_power_of_2(states)) {
        return MAP_PARTLY_FULL;
    }
    while (!(states & 1 << map_legend[i].state)) {
        i++;
    }
    return map_legend[i].cell;
}

static void print_legend(const ZoneMap *map)
{
    int i;

    printf("\n");
    for (i = 0; i < ARRAY_SIZE(map_legend); i++) {
        BlockdevZoneState state = map_legend[i].state;

        if (map->counts[state]) {
            printf("%c  %s: %" PRIu32 "\n", map_legend[i].cell,
                   BlockdevZoneState_str(state), map->counts[state]);
        }
    }
    if (map->zones_per_cell > 1) {
        g_autofree char *size = size_str(map->zones_per_cell * map->zone_size);

        printf("%c  some zones full or conventional, others empty\n"
               "A cell is %" PRIu32 " zones, %s: it shows the first of these "
               "that is among them.\n", MAP_PARTLY_FULL, map->zones_per_cell,
               size);
    }
}

static int print_map(BlockBackend *blk, int64_t offset, int64_t end)
{
    const int64_t zone_size = blk_zone_limits(blk)->zone_size;
    const int64_t start = QEMU_ALIGN_DOWN(offset, zone_size);
    ZoneMap map = {
        .zone_size = zone_size,
        .start = start,
        .zones_per_cell =
            pow2ceil(DIV_ROUND_UP(DIV_ROUND_UP(end - start, zone_size),
                                  MAP_CELLS)),
    };
    uint32_t i;
    int ret = visit_zones(blk, offset, end, map_visit, &map);

    if (ret < 0) {
        return ret;
    }
    print_disk(blk);
    for (i = 0; i < map.nr_cells; i++) {
        if (i % MAP_COLUMNS == 0) {
            g_autofree char *pos = size_str(start + (int64_t)i *
                                            map.zones_per_cell * zone_size);

            printf("%s%12s  ", i ? "\n" : "", pos);
        }
        putchar(map_cell(map.cells[i]));
    }
    printf("\n");
    print_legend(&map);
    return 0;
}

/*
 * JSON: an array of what query-block-zones calls BlockdevZone
 */

static void json_visit(const BlockZoneDescriptor *zone, void *opaque)
{
    bool *first = opaque;

    printf("%s{ \"start\": %" PRId64 ", \"length\": %" PRId64
           ", \"capacity\": %" PRId64, *first ? "[" : ",\n", zone->start,
           zone->length, zone->cap);
    if (zone->wp >= 0) {
        printf(", \"write-pointer\": %" PRId64, zone->wp);
    }
    printf(", \"type\": \"%s\", \"state\": \"%s\", \"non-sequential\": %s"
           ", \"descriptor-extension\": %s }",
           BlockdevZoneType_str(block_zone_type_to_qapi(zone->type)),
           BlockdevZoneState_str(block_zone_state_to_qapi(zone->state)),
           zone->non_seq ? "true" : "false",
           zone->has_extension ? "true" : "false");
    *first = false;
}

static int print_json(BlockBackend *blk, int64_t offset, int64_t end)
{
    bool first = true;
    int ret = visit_zones(blk, offset, end, json_visit, &first);

    /* What there is can be parsed even after a failure */
    printf(first ? "[]\n" : "]\n");
    return ret;
}

int zone_print(BlockBackend *blk, ZonePrintFormat format, int64_t offset,
               int64_t bytes, Error **errp)
{
    static int (*const print[])(BlockBackend *, int64_t, int64_t) = {
        [ZONE_PRINT_TABLE] = print_table,
        [ZONE_PRINT_MAP] = print_map,
        [ZONE_PRINT_JSON] = print_json,
    };
    const int64_t length = blk_getlength(blk);
    int ret;

    if (!blk_is_zoned(blk)) {
        error_setg(errp, "The disk is not zoned");
        return -EINVAL;
    }
    if (length < 0) {
        error_setg_errno(errp, -length, "The size of the disk is unknown");
        return length;
    }
    if (offset >= length) {
        error_setg(errp, "The start offset is beyond the end of the disk, at %"
                   PRId64, length);
        return -EINVAL;
    }
    if (bytes < 0 || bytes > length - offset) {
        bytes = length - offset;
    }
    ret = print[format](blk, offset, offset + bytes);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "The zones could not be reported");
    }
    return ret;
}
