/*
 * Zoned images: how the zone table comes into memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/memalign.h"
#include "zoned-table.h"

/* Table blocks that are read at once */
#define LOAD_BLOCKS 128

typedef struct Loader {
    ZonedTable *t;
    uint64_t *generations;      /* of what each block was loaded from */
    uint64_t newest;            /* the highest of them */
    ZonedBlockInfo info;        /* what one of its blocks says */
    uint32_t seen;              /* how many blocks are of it */
    ZonedDamage *damage;
    Error **errp;
} Loader;

void zoned_damage_add(ZonedDamage *d, char *message)
{
    if (d->count++ < ZONED_DAMAGE_MESSAGES) {
        d->messages = g_slist_prepend(d->messages, message);
    } else {
        g_free(message);
    }
}

void zoned_damage_clear(ZonedDamage *d)
{
    g_slist_free_full(d->messages, g_free);
    *d = (ZonedDamage) { 0 };
}

/* Takes @message over.  Returns: whether to go on. */
static bool loader_damage(Loader *l, char *message)
{
    if (l->damage) {
        zoned_damage_add(l->damage, message);
        return true;
    }
    error_setg(l->errp, "The zone table of the image is damaged: %s; repair it "
               "with 'qemu-img check -r all', which makes the zones concerned "
               "full, so that they can be read", message);
    g_free(message);
    return false;
}

static uint64_t finished_entry(const ZonedTable *t, uint32_t zone)
{
    if (zone < t->h.g.conventional_zones) {
        return 0;
    }
    return zoned_entry(ZONED_ENTRY_FINISHED,
                       zoned_geometry_capacity(&t->h.g, zone));
}

static bool load_entries(Loader *l, uint32_t block, const uint8_t *buf)
{
    ZonedTable *t = l->t;
    uint32_t first = block * ZONED_BLOCK_ENTRIES;
    uint32_t count = MIN(ZONED_BLOCK_ENTRIES, t->nr_zones - first);
    uint32_t k;

    for (k = 0; k < count; k++) {
        uint64_t entry = zoned_block_get(buf, k);

        if (entry && !zoned_entry_check(&t->h.g, first + k, entry)) {
            if (!loader_damage(l, g_strdup_printf("zone %" PRIu32 " has the "
                                                  "invalid entry 0x%" PRIx64,
                                                  first + k, entry))) {
                return false;
            }
            entry = finished_entry(t, first + k);
            set_bit(block, t->dirty);
        }
        if (t->entries[first + k] != entry) {
            t->entries[first + k] = entry;
        }
    }
    return true;
}

static bool load_damaged_block(Loader *l, uint32_t block)
{
    ZonedTable *t = l->t;
    uint32_t first = block * ZONED_BLOCK_ENTRIES;
    uint32_t end = MIN(first + ZONED_BLOCK_ENTRIES, t->nr_zones);
    uint32_t conventional = MIN(t->h.g.conventional_zones, end - 1);
    uint32_t zone;

    if (!loader_damage(l, g_strdup_printf("no copy of table block %" PRIu32
                                          " is intact, with zones %" PRIu32
                                          " to %" PRIu32, block,
                                          MAX(first, conventional),
                                          end - 1))) {
        return false;
    }
    for (zone = first; zone < end; zone++) {
        t->entries[zone] = finished_entry(t, zone);
    }
    l->generations[block] = 0;
    set_bit(block, t->dirty);
    return true;
}

/*
 * Load a block from the newest of its copies that is intact and not newer
 * than @limit
 */
static bool load_block(Loader *l, uint32_t block, const uint8_t *pair,
                       uint64_t limit)
{
    ZonedTable *t = l->t;
    unsigned int copy = zoned_block_newer(pair);
    ZonedBlockInfo info;
    int i;

    if (buffer_is_zero(pair, ZONED_BLOCK_PAIR_SIZE)) {
        return true;
    }
    for (i = 0; i < ZONED_BLOCK_COPIES; i++, copy = !copy) {
        if (zoned_block_decode(pair + copy * ZONED_BLOCK_SIZE, block, &info)) {
            if (info.generation <= limit) {
                break;
            }
            /* What counts for nothing now must not do so later */
            set_bit(block, t->dirty);
        }
    }
    if (i == ZONED_BLOCK_COPIES) {
        return load_damaged_block(l, block);
    }

    if (copy) {
        set_bit(block, t->copy);
    } else {
        clear_bit(block, t->copy);
    }
    l->generations[block] = info.generation;
    if (info.generation > l->newest) {
        l->newest = info.generation;
        l->info = info;
        l->seen = 0;
    }
    l->seen += info.generation == l->newest;
    return load_entries(l, block, pair + copy * ZONED_BLOCK_SIZE);
}

static int load_read(ZonedTable *t, uint32_t block, uint32_t count,
                     uint8_t *buf, Error **errp)
{
    int64_t offset = zoned_header_block_offset(&t->h, block, 0);
    int64_t bytes = (int64_t)count * ZONED_BLOCK_PAIR_SIZE;
    int ret = bdrv_pread(t->bs->file, offset, bytes, buf, 0);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot read the zone table");
    }
    return ret;
}

static int load_all(Loader *l, uint8_t *buf)
{
    ZonedTable *t = l->t;
    uint32_t block, k, count;
    int ret;

    for (block = 0; block < t->nr_blocks; block += count) {
        count = MIN(LOAD_BLOCKS, t->nr_blocks - block);
        ret = load_read(t, block, count, buf, l->errp);
        if (ret < 0) {
            return ret;
        }
        for (k = 0; k < count; k++) {
            if (!load_block(l, block + k, buf + k * ZONED_BLOCK_PAIR_SIZE,
                            UINT64_MAX)) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

/*
 * Not all blocks of the last commit have arrived.  Then none of them counts,
 * nor does what a commit before it left that had failed.
 */
static int load_without_last(Loader *l, uint8_t *buf)
{
    ZonedTable *t = l->t;
    uint64_t limit = l->info.stable;
    uint32_t block;
    int ret;

    for (block = 0; block < t->nr_blocks; block++) {
        if (l->generations[block] <= limit) {
            continue;
        }
        ret = load_read(t, block, 1, buf, l->errp);
        if (ret < 0) {
            return ret;
        }
        if (!load_block(l, block, buf, limit)) {
            return -EINVAL;
        }
    }
    return 0;
}

static int load_blocks(ZonedTable *t, ZonedDamage *damage, Error **errp)
{
    Loader l = { .t = t, .damage = damage, .errp = errp };
    uint8_t *buf = qemu_try_blockalign(t->bs->file->bs,
                                       LOAD_BLOCKS * ZONED_BLOCK_PAIR_SIZE);
    int ret = -ENOMEM;

    l.generations = g_try_new0(uint64_t, t->nr_blocks);
    if (!buf || !l.generations) {
        error_setg(errp, "Not enough memory to load the zone table");
        goto out;
    }
    ret = load_all(&l, buf);
    if (ret < 0) {
        goto out;
    }
    t->newest = l.newest;
    t->stable = l.newest;
    if (l.newest && l.seen != l.info.count) {
        t->stable = l.info.stable;
        ret = load_without_last(&l, buf);
    }
out:
    qemu_vfree(buf);
    g_free(l.generations);
    return ret;
}

static bool table_alloc(ZonedTable *t)
{
    t->entries = g_try_new0(uint64_t, t->nr_zones);
    t->dirty = bitmap_try_new(t->nr_blocks);
    t->copy = bitmap_try_new(t->nr_blocks);
    return t->entries && t->dirty && t->copy;
}

static void table_free(ZonedTable *t)
{
    g_free(t->entries);
    g_free(t->dirty);
    g_free(t->copy);
}

static void failed_free(gpointer opaque)
{
    ZonedWriteList *list = opaque;
    ZonedWrite *w, *next;

    QTAILQ_FOREACH_SAFE(w, list, next, next) {
        g_free(w);
    }
    g_free(list);
}

int zoned_table_load(ZonedTable *t, BlockDriverState *bs, const ZonedHeader *h,
                     ZonedDamage *damage, Error **errp)
{
    int ret;

    t->bs = bs;
    t->h = *h;
    t->nr_zones = zoned_geometry_nr_zones(&h->g);
    t->nr_blocks = zoned_header_nr_blocks(h);
    QTAILQ_INIT(&t->writes);
    t->failed = g_hash_table_new_full(NULL, NULL, NULL, failed_free);
    qemu_co_queue_init(&t->landed);
    qemu_co_queue_init(&t->committed);
    qemu_co_queue_init(&t->gated);
    if (!table_alloc(t)) {
        error_setg(errp, "Not enough memory for the zone table");
        ret = -ENOMEM;
    } else {
        ret = load_blocks(t, damage, errp);
    }
    if (ret < 0) {
        zoned_table_destroy(t);
    }
    return ret;
}

int zoned_table_set_length(ZonedTable *t, int64_t length)
{
    ZonedHeader h = t->h;
    ZonedTable new;

    h.g.length = length;
    new = (ZonedTable) {
        .nr_zones = zoned_geometry_nr_zones(&h.g),
        .nr_blocks = zoned_header_nr_blocks(&h),
    };
    if (!table_alloc(&new)) {
        table_free(&new);
        return -ENOMEM;
    }
    memcpy(new.entries, t->entries,
           MIN(new.nr_zones, t->nr_zones) * sizeof(new.entries[0]));
    bitmap_copy(new.dirty, t->dirty, MIN(new.nr_blocks, t->nr_blocks));
    bitmap_copy(new.copy, t->copy, MIN(new.nr_blocks, t->nr_blocks));
    table_free(t);
    t->h.g.length = length;
    t->nr_zones = new.nr_zones;
    t->nr_blocks = new.nr_blocks;
    t->entries = new.entries;
    t->dirty = new.dirty;
    t->copy = new.copy;
    return 0;
}

void zoned_table_destroy(ZonedTable *t)
{
    g_clear_pointer(&t->failed, g_hash_table_destroy);
    table_free(t);
    memset(t, 0, sizeof(*t));
}
