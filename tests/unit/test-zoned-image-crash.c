/*
 * Zoned images: what is left of them after a crash
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A random workload runs on an image whose child logs each request.  Then the
 * log is cut wherever something started or ended.  For each cut, images are
 * made of what the child may hold by then: of what was not flushed, anything
 * may be there, be lost or be torn at 512 bytes.  Each image must open, and
 * the oracle must find nothing wrong with it.  One of them begins a new life.
 *
 * ZONED_IMAGE_SEED sets another seed than 1, and ZONED_IMAGE_LIVES how many
 * lives an image of each kind has.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "zoned-image-life.h"
#include "zoned-random.h"

#define LIVES 3
/* If these have few requests, more of them */
#define MAX_LIVES 12

/* Cut points that each kind of image has to reach; there are twelve kinds */
#define MIN_CUTS 1000

static const LifeConfig configs[] = {
    {
        .name = "plain",
        .g = {
            .model = BLK_Z_HM,
            .length = 8 * 64 * KiB,
            .zone_size = 64 * KiB,
            .zone_capacity = 64 * KiB,
            .write_granularity = 512,
        },
    }, {
        .name = "everything",
        .g = {
            .model = BLK_Z_HM,
            .length = 9 * 64 * KiB + 20 * KiB,
            .zone_size = 64 * KiB,
            .zone_capacity = 49 * KiB,
            .conventional_zones = 2,
            .max_open_zones = 3,
            .max_active_zones = 5,
            .write_granularity = 512,
            .extension_size = 576,
        },
    }, {
        .name = "4k-blocks",
        .g = {
            .model = BLK_Z_HM,
            .length = 7 * 128 * KiB + 64 * KiB,
            .zone_size = 128 * KiB,
            .zone_capacity = 96 * KiB,
            .conventional_zones = 1,
            .write_granularity = 4096,
        },
        .garbage = false,
    }, {
        .name = "host-aware",
        .g = {
            .model = BLK_Z_HA,
            .length = 7 * 64 * KiB + 12 * KiB,
            .zone_size = 64 * KiB,
            .zone_capacity = 64 * KiB,
            .conventional_zones = 1,
            .write_granularity = 512,
        },
    }, {
        /* The table takes several blocks: most commits are in the log */
        .name = "log",
        .g = {
            .model = BLK_Z_HM,
            .length = 2100 * 8 * KiB,
            .zone_size = 8 * KiB,
            .zone_capacity = 7 * KiB,
            .conventional_zones = 1,
            .write_granularity = 512,
        },
        /* The record has to take more than one sector: it could not be torn */
        .hot_zones = 56,
    }, {
        /* Likewise, and the log is full again and again */
        .name = "many-zones",
        .g = {
            .model = BLK_Z_HM,
            .length = 1300 * 8 * KiB,
            .zone_size = 8 * KiB,
            .zone_capacity = 7 * KiB,
            .max_open_zones = 4,
            .max_active_zones = 6,
            .write_granularity = 512,
            .extension_size = 64,
        },
        .hot_zones = 14,
        .log_limit = 5,
    },
};

typedef struct Totals {
    unsigned int cuts, images, torn;
} Totals;

/* What is made of a life's log */
typedef struct Replay {
    const LifeConfig *c;
    Life *life;
    uint64_t *random;
    Totals *totals;
    CrashDisk *disk;            /* what is durable */
    BlockDriverState *node;
    Oracle *oracle;
    uint64_t *durable_seq;      /* of each sector: who wrote what is durable */
    GPtrArray *ended;           /* CrashOps not durable, in their order */
    GPtrArray *in_flight;       /* CrashOps not ended */
    GPtrArray *guest;           /* GuestOps that ended and are not durable */
    size_t at;                  /* position in the log */
    const char *how;            /* the image under test was made */
    BlockZoneDescriptor *zones;
    uint8_t *data;
    uint8_t *extensions;
} Replay;

static uint64_t seed;

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3)
fail(const Replay *r, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s, cut at %zu of %u (%s): ", r->c->name, r->at,
            r->life->log->len, r->how);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nZONED_IMAGE_SEED=%" PRIu64 "\n", seed);
    abort();
}

/* Do a request, where nothing durable came after it */
static void apply_sector(Replay *r, const CrashOp *op, int64_t i, bool durable)
{
    uint64_t *seq = &r->durable_seq[op->offset / CRASH_SECTOR + i];
    uint64_t own = op->ended ? op->seq : UINT64_MAX;

    if (*seq > own) {
        return;
    }
    crash_disk_apply(r->disk, op, i);
    if (durable) {
        *seq = own;
    }
}

static void apply(Replay *r, const CrashOp *op, bool durable)
{
    int64_t i;

    for (i = 0; i < op->bytes / CRASH_SECTOR; i++) {
        apply_sector(r, op, i, durable);
    }
}

/* The log, from one entry to the next */

/* Unlike others, a request that was refused never had any effect */
static bool was_refused(const GuestOp *op)
{
    return block_zone_errno_is_guest_error(op->ret);
}

static void guest_event(Replay *r, GuestOp *op, bool end)
{
    unsigned int i = 0;

    if (was_refused(op)) {
        return;
    }
    if (!end) {
        oracle_start(r->oracle, op);
        return;
    }
    if (op->ret < 0) {
        return;
    }
    if (op->fua) {
        oracle_durable(r->oracle, op);
    } else if (op->kind != GUEST_FLUSH) {
        g_ptr_array_add(r->guest, op);
    }
    while (op->kind == GUEST_FLUSH && i < r->guest->len) {
        GuestOp *other = g_ptr_array_index(r->guest, i);

        if (other->ended_at < op->started_at) {
            oracle_durable(r->oracle, other);
            g_ptr_array_remove_index(r->guest, i);
        } else {
            i++;
        }
    }
}

static void child_event(Replay *r, CrashOp *op, bool end)
{
    unsigned int i = 0;

    if (op->kind != CRASH_FLUSH && !end) {
        op->ended = false;
        g_ptr_array_add(r->in_flight, op);
    } else if (op->kind != CRASH_FLUSH) {
        op->ended = true;
        g_ptr_array_remove(r->in_flight, op);
        if (op->fua && op->ret == 0) {
            apply(r, op, true);
        } else {
            g_ptr_array_add(r->ended, op);
        }
    } else if (end && op->ret == 0) {
        while (i < r->ended->len) {
            CrashOp *other = g_ptr_array_index(r->ended, i);

            if (other->ended_at < op->started_at) {
                apply(r, other, true);
                g_ptr_array_remove_index(r->ended, i);
            } else {
                i++;
            }
        }
    }
}

/* Images */

static void check_image(Replay *r)
{
    Error *err = NULL;
    BlockBackend *blk;
    uint32_t i;

    /* A reader must not need to repair anything, nor to write */
    blk = life_open_image("replay", zoned_draw(r->random, 2), &err);
    if (!blk) {
        fail(r, "open: %s", error_get_pretty(err));
    }
    memset(r->data, 0, r->c->g.length);
    if (life_read_all(r->c, blk, r->zones, r->data, r->extensions) < 0) {
        fail(r, "cannot be read");
    }
    blk_unref(blk);
    for (i = 0; i < r->life->nr_zones; i++) {
        const BlockZoneDescriptor *z = &r->zones[i];
        const uint8_t *extension = r->extensions +
                                   i * r->c->g.extension_size;
        g_autofree char *error = oracle_check_zone(r->oracle, z,
                                                   r->data + z->start,
                                                   extension, true);

        if (error) {
            fail(r, "%s", error);
        }
    }
    r->totals->images++;
}

static void add_all(Replay *r, const GPtrArray *ops)
{
    unsigned int i;

    for (i = 0; i < ops->len; i++) {
        apply(r, g_ptr_array_index(ops, i), false);
    }
}

/* A part of the requests, one in @keep of them as a whole */
static void add_some(Replay *r, const GPtrArray *ops, uint32_t keep,
                     uint32_t of)
{
    unsigned int i;
    int64_t s;

    for (i = 0; i < ops->len; i++) {
        const CrashOp *op = g_ptr_array_index(ops, i);
        bool torn = zoned_draw(r->random, 3) == 0;
        bool kept = zoned_draw(r->random, of) < keep;

        for (s = 0; s < op->bytes / CRASH_SECTOR; s++) {
            if (torn) {
                kept = zoned_draw(r->random, of) < keep;
            }
            if (kept) {
                apply_sector(r, op, s, false);
            }
        }
        r->totals->torn += torn;
    }
}

static void check_prefix(Replay *r, bool with_in_flight)
{
    r->how = with_in_flight ? "all that started" : "all that ended";
    crash_disk_mark(r->disk);
    add_all(r, r->ended);
    if (with_in_flight) {
        add_all(r, r->in_flight);
    }
    check_image(r);
    crash_disk_rewind(r->disk);
}

/* Returns: the image, if it is wanted */
static uint8_t *check_subset(Replay *r, bool wanted)
{
    static const uint32_t keep[] = { 1, 4, 8, 12, 15 };
    uint32_t k = keep[zoned_draw(r->random, ARRAY_SIZE(keep))];
    uint8_t *image;

    r->how = "a random part";
    crash_disk_mark(r->disk);
    add_some(r, r->ended, k, 16);
    add_some(r, r->in_flight, k, 16);
    image = wanted ? g_memdup2(r->disk->memory, r->disk->length) : NULL;
    check_image(r);
    crash_disk_rewind(r->disk);
    return image;
}

static void replay_init(Replay *r)
{
    Life *life = r->life;
    unsigned int i;

    r->disk = crash_disk_new(life->disk->length);
    r->disk->discard_garbles = r->c->garbage;
    memcpy(r->disk->memory, life->base_disk, life->disk->length);
    r->node = crash_disk_node(r->disk, "replay");
    r->oracle = oracle_new(&r->c->g, life->base_zones, life->base_data,
                           life->base_extensions);
    r->durable_seq = g_new0(uint64_t, life->disk->length / CRASH_SECTOR);
    r->ended = g_ptr_array_new();
    r->in_flight = g_ptr_array_new();
    r->guest = g_ptr_array_new();
    r->zones = g_new0(BlockZoneDescriptor, life->nr_zones);
    r->data = g_malloc0(r->c->g.length);
    r->extensions = life_new_extensions(r->c);
    for (i = 0; i < life->log->len; i++) {
        LogEntry *entry = &g_array_index(life->log, LogEntry, i);

        if (entry->guest) {
            entry->guest->started = false;
        }
    }
}

static void replay_end(Replay *r)
{
    g_free(r->extensions);
    g_free(r->data);
    g_free(r->zones);
    g_ptr_array_free(r->guest, true);
    g_ptr_array_free(r->in_flight, true);
    g_ptr_array_free(r->ended, true);
    g_free(r->durable_seq);
    oracle_free(r->oracle);
    bdrv_unref(r->node);
    crash_disk_free(r->disk);
}

/* Cut a life everywhere.  Returns: an image to begin the next one with */
static uint8_t *replay(const LifeConfig *c, Life *life, uint64_t *random,
                       Totals *totals)
{
    Replay r = { .c = c, .life = life, .random = random, .totals = totals };
    size_t chosen = life->log->len / 2 + zoned_draw(random, life->log->len / 2);
    uint8_t *next = NULL;

    replay_init(&r);
    for (r.at = 0; r.at < life->log->len; r.at++) {
        LogEntry *entry = &g_array_index(life->log, LogEntry, r.at);

        if (entry->guest) {
            guest_event(&r, entry->guest, entry->end);
        } else {
            child_event(&r, entry->child, entry->end);
            check_prefix(&r, !entry->end);
        }
        if (r.at == chosen) {
            next = check_subset(&r, true);
        } else {
            check_subset(&r, false);
        }
        totals->cuts++;
    }
    replay_end(&r);
    return next;
}

static void test_crash(const void *opaque)
{
    const LifeConfig *c = opaque;
    uint64_t lives = zoned_number_from_env("ZONED_IMAGE_LIVES", LIVES);
    uint64_t random = seed ^ g_str_hash(c->name) ^ c->errors;
    uint64_t next_id = 1, i;
    Totals totals = {};
    uint8_t *image = NULL;
    int64_t length = c->garbage ? 16 * MiB : 0;

    g_test_message("ZONED_IMAGE_SEED=%" PRIu64, seed);
    random = random ?: 1;
    for (i = 0; i < lives || (lives == LIVES && totals.cuts < MIN_CUTS &&
                              i < MAX_LIVES); i++) {
        Life *life = life_new(c, &random, &next_id, image, length);

        length = life->disk->length;
        g_free(image);
        image = replay(c, life, &random, &totals);
        life_free(life);
    }
    g_free(image);
    g_test_message("%u cuts, %u images, %u torn requests", totals.cuts,
                   totals.images, totals.torn);
    if (lives == LIVES) {
        g_assert_cmpuint(totals.cuts, >=, MIN_CUTS);
    }
}

static void add_tests(const LifeConfig *c, bool errors)
{
    LifeConfig *own = g_memdup2(c, sizeof(*c));
    g_autofree char *path = NULL;

    own->errors = errors;
    own->requests = 150;
    own->depth = 12;
    path = g_strdup_printf("/zoned-image/crash/%s%s", c->name,
                           errors ? "/errors" : "");
    g_test_add_data_func_full(path, own, test_crash, g_free);
}

int main(int argc, char **argv)
{
    unsigned int i;

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    seed = zoned_number_from_env("ZONED_IMAGE_SEED", 1);

    for (i = 0; i < ARRAY_SIZE(configs); i++) {
        add_tests(&configs[i], false);
        add_tests(&configs[i], true);
    }
    return g_test_run();
}
