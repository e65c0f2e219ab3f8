/*
 * Backup of a zoned disk that is in use
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The copy is that of the moment at which the job was created.  What a
 * sequential zone held then stays there when more is written to the zone, and
 * goes only with a reset.  So the write pointers of that moment are all that
 * has to be remembered, and only a reset of a zone that is not copied yet waits
 * until it is.  In conventional zones, writes wait, for the chunks they change.
 *
 * Zones that were full are active while they are copied.  They come first, and
 * others leave an active zone of the target free for them.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "block/block_int.h"
#include "zoned-copy.h"

typedef struct ZonedBackupJob {
    BlockJob common;
    ZonedCopy copy;
    BlockdevOnError on_source_error;
    BlockdevOnError on_target_error;

    CoMutex lock;               /* one step at a time */
    int error;                  /* of a change that could not wait, -errno */

    /* By zone: as it was, and what has become of the copy */
    int64_t *wp;
    unsigned long *full;
    unsigned long *extended;
    unsigned long *todo;
    unsigned long *active;      /* in the target */
    uint32_t nr_full_todo;
    uint32_t nr_active;

    unsigned long *chunks;      /* of conventional zones, to be copied */
} ZonedBackupJob;

static uint32_t backup_next(const ZonedBackupJob *s, const unsigned long *map,
                            uint32_t from)
{
    uint32_t nr_zones = s->copy.limits.nr_zones;
    uint32_t zone = from;

    do {
        zone = find_next_bit(s->todo, nr_zones, zone);
    } while (zone < nr_zones && map && !test_bit(zone, map) && ++zone);
    return zone;
}

static void backup_done(ZonedBackupJob *s, uint32_t zone)
{
    clear_bit(zone, s->todo);
    if (test_bit(zone, s->full)) {
        s->nr_full_todo--;
        if (test_and_clear_bit(zone, s->active)) {
            s->nr_active--;
        }
    }
}

/* A zone that is full and on its way */
static uint32_t backup_half_done(const ZonedBackupJob *s)
{
    uint32_t zone = 0;

    do {
        zone = backup_next(s, s->full, zone);
    } while (zone < s->copy.limits.nr_zones && !test_bit(zone, s->active) &&
             ++zone);
    return zone;
}

/* The zone to be copied before @zone, or @zone itself */
static uint32_t backup_first(const ZonedBackupJob *s, uint32_t zone)
{
    uint32_t max = s->copy.limits.max_active_zones;

    if (!max || test_bit(zone, s->active) ||
        test_bit(zone, s->copy.conventional)) {
        return zone;
    }
    if (!test_bit(zone, s->full)) {
        if (!s->nr_full_todo || s->nr_active + 1 < max) {
            return zone;
        }
        zone = backup_next(s, s->full, 0);
        if (test_bit(zone, s->active)) {
            return zone;
        }
    }
    return s->nr_active < max ? zone : backup_half_done(s);
}

static int64_t coroutine_fn backup_step_conventional(ZonedBackupJob *s,
                                                     uint32_t zone)
{
    unsigned long per_zone = zoned_copy_chunks_per_zone(&s->copy);
    unsigned long end = (zone + 1) * per_zone;
    unsigned long chunk = find_next_bit(s->chunks, end, zone * per_zone);
    int64_t n;

    if (chunk >= end) {
        backup_done(s, zone);
        return 0;
    }
    n = zoned_copy_chunk_data(&s->copy, chunk);
    if (n >= 0) {
        clear_bit(chunk, s->chunks);
    }
    return n;
}

static int64_t coroutine_fn backup_step_sequential(ZonedBackupJob *s,
                                                   uint32_t zone)
{
    BlockZoneDescriptor src;
    int64_t n;

    /* What a zone held before it became read-only can still be read */
    n = zoned_copy_report_source(&s->copy, zone, true, &src);
    if (n < 0) {
        return n;
    }
    src.wp = s->wp[zone];
    src.state = test_bit(zone, s->full) ? BLK_ZS_FULL : BLK_ZS_CLOSED;
    src.has_extension = test_bit(zone, s->extended);
    if (!test_and_set_bit(zone, s->active)) {
        s->nr_active++;
    }
    n = zoned_copy_step(&s->copy, &src);
    if (n == 0) {
        backup_done(s, zone);
    }
    return n;
}

/*
 * Come one step nearer to a copy of @zone.
 *
 * Returns: number of bytes that were copied, or -errno.
 */
static int64_t coroutine_fn backup_step(ZonedBackupJob *s, uint32_t zone)
{
    int64_t n;

    QEMU_LOCK_GUARD(&s->lock);
    /* It may have been copied while we waited */
    if (!test_bit(zone, s->todo)) {
        return 0;
    }
    n = zoned_copy_begin(&s->copy);
    if (n < 0) {
        return n;
    }
    zone = backup_first(s, zone);
    if (zone >= s->copy.limits.nr_zones) {
        return -EOVERFLOW;
    }
    n = test_bit(zone, s->copy.conventional)
        ? backup_step_conventional(s, zone) : backup_step_sequential(s, zone);
    if (n > 0) {
        job_progress_update(&s->common.job, n);
    }
    return n;
}

/*
 * Changes of the source
 */

/* Does what the source loses still matter? */
static bool backup_is_alive(ZonedBackupJob *s)
{
    return !s->error && !job_is_cancelled(&s->common.job);
}

/* End the job, which may be asleep, rather than fail the change */
static void coroutine_fn backup_give_up(ZonedBackupJob *s, int error)
{
    s->error = s->error ?: error;
    job_enter(&s->common.job);
}

static void coroutine_fn backup_before_loss(ZonedBackupJob *s,
                                            const ZonedChange *change)
{
    uint32_t end = zoned_copy_zone_end(&s->copy, change->end);
    uint32_t zone = zoned_copy_zone(&s->copy, change->offset);

    while ((zone = backup_next(s, NULL, zone)) < end && backup_is_alive(s)) {
        int64_t n;

        if (test_bit(zone, s->copy.conventional)) {
            zone++;
            continue;
        }
        n = backup_step(s, zone);
        if (n < 0) {
            backup_give_up(s, n);
        }
    }
}

static int coroutine_fn backup_save_chunk(ZonedBackupJob *s,
                                          unsigned long chunk)
{
    int64_t n;

    QEMU_LOCK_GUARD(&s->lock);
    if (!test_bit(chunk, s->chunks)) {
        return 0;
    }
    n = zoned_copy_begin(&s->copy);
    if (n == 0) {
        n = zoned_copy_chunk_data(&s->copy, chunk);
    }
    if (n < 0) {
        return n;
    }
    clear_bit(chunk, s->chunks);
    job_progress_update(&s->common.job, n);
    return 0;
}

static void coroutine_fn backup_before_write(ZonedBackupJob *s,
                                             const ZonedChange *change)
{
    unsigned long chunk, end;

    if (change->offset >= change->end) {
        return;
    }
    chunk = zoned_copy_chunk(&s->copy, change->offset);
    end = zoned_copy_chunk(&s->copy, change->end - 1) + 1;
    while ((chunk = find_next_bit(s->chunks, end, chunk)) < end &&
           backup_is_alive(s)) {
        int ret = backup_save_chunk(s, chunk);

        if (ret < 0) {
            backup_give_up(s, ret);
        }
    }
}

static void coroutine_fn backup_before(void *opaque, ZonedChange *change)
{
    switch (change->kind) {
    case ZONED_CHANGE_WRITE:
        backup_before_write(opaque, change);
        break;
    case ZONED_CHANGE_LOSS:
        backup_before_loss(opaque, change);
        break;
    case ZONED_CHANGE_STATE:
        break;
    }
}

static void coroutine_fn backup_after(void *opaque, ZonedChange *change)
{
}

static const ZonedWatcher backup_watcher = {
    .before = backup_before,
    .after = backup_after,
};

/*
 * The job
 */

/* After an error: whether to try again */
static bool backup_goes_on(ZonedBackupJob *s, int error)
{
    bool read = s->copy.source_failed;
    BlockdevOnError on_error = read ? s->on_source_error : s->on_target_error;
    BlockErrorAction action;

    if (s->error) {
        /* The change did not wait: what it took away is gone */
        on_error = BLOCKDEV_ON_ERROR_REPORT;
    }
    action = block_job_error_action(&s->common, on_error, read, -error);

    if (action == BLOCK_ERROR_ACTION_REPORT) {
        return false;
    }
    job_pause_point(&s->common.job);
    return true;
}

static uint32_t backup_next_zone(const ZonedBackupJob *s)
{
    return backup_next(s, s->nr_full_todo ? s->full : NULL, 0);
}

static int coroutine_fn backup_run(Job *job, Error **errp)
{
    ZonedBackupJob *s = container_of(job, ZonedBackupJob, common.job);
    uint32_t nr_zones = s->copy.limits.nr_zones;
    uint32_t zone;
    int64_t n = 0;

    while (!job_is_cancelled(job)) {
        zone = backup_next_zone(s);
        if (!s->error && zone < nr_zones) {
            n = backup_step(s, zone);
        } else if (!s->error) {
            n = zoned_copy_begin(&s->copy);
            n = n < 0 ? n : zoned_copy_flush(&s->copy);
        }
        if (s->error) {
            n = s->error;
        }
        if (n < 0 && !backup_goes_on(s, n)) {
            s->error = n;
            zoned_copy_set_error(&s->copy, n, errp);
            return n;
        }
        if (n == 0 && zone >= nr_zones) {
            /* What was finished had not to be copied up to its end */
            job_progress_set_remaining(job, 0);
            return 0;
        }
        job_sleep_ns(job, n > 0 ? block_job_ratelimit_get_delay(&s->common, n)
                                : 0);
    }
    return 0;
}

static void backup_free_maps(ZonedBackupJob *s)
{
    g_free(s->wp);
    g_free(s->full);
    g_free(s->extended);
    g_free(s->todo);
    g_free(s->active);
    g_free(s->chunks);
}

static void backup_clean(Job *job)
{
    ZonedBackupJob *s = container_of(job, ZonedBackupJob, common.job);
    BlockDriverState *filter = s->copy.filter;

    /* Nothing is to wait for a zone any more */
    bdrv_drained_begin(filter);
    zoned_watch_set(filter, NULL, NULL);
    bdrv_drained_end(filter);
    block_job_remove_all_bdrv(&s->common);
    zoned_copy_destroy(&s->copy);
    zoned_watch_end(filter);
    backup_free_maps(s);
}

static const BlockJobDriver zoned_backup_driver = {
    .job_driver = {
        .instance_size          = sizeof(ZonedBackupJob),
        .job_type               = JOB_TYPE_BACKUP,
        .free                   = block_job_free,
        .user_resume            = block_job_user_resume,
        .run                    = backup_run,
        .clean                  = backup_clean,
    },
    .knows_zones                = true,
};

/* A zone as it is when the job is created */
static void backup_visit(void *opaque, uint32_t zone,
                         const BlockZoneDescriptor *d)
{
    ZonedBackupJob *s = opaque;
    int64_t bytes = 0;

    if (d->type == BLK_ZT_CONV) {
        unsigned long per_zone = zoned_copy_chunks_per_zone(&s->copy);

        bitmap_set(s->chunks, zone * per_zone,
                   DIV_ROUND_UP(d->length, ZONED_COPY_CHUNK));
        bytes = d->length;
    } else if (d->state == BLK_ZS_FULL) {
        set_bit(zone, s->full);
        s->nr_full_todo++;
        bytes = d->cap;
    } else if (d->wp > d->start || d->has_extension) {
        bytes = d->wp - d->start;
    } else {
        return;
    }
    s->wp[zone] = d->wp;
    set_bit(zone, s->todo);
    if (d->has_extension) {
        set_bit(zone, s->extended);
    }
    job_progress_increase_remaining(&s->common.job, bytes);
}

static bool backup_create_maps(ZonedBackupJob *s, Error **errp)
{
    uint32_t n = s->copy.limits.nr_zones;

    s->wp = g_try_new0(int64_t, n);
    s->full = bitmap_try_new(n);
    s->extended = bitmap_try_new(n);
    s->todo = bitmap_try_new(n);
    s->active = bitmap_try_new(n);
    s->chunks = bitmap_try_new(zoned_copy_nr_chunks(&s->copy));
    if (s->wp && s->full && s->extended && s->todo && s->active && s->chunks) {
        return true;
    }
    error_setg(errp, "Not enough memory for %" PRIu32 " zones", n);
    return false;
}

BlockJob *zoned_backup_create(BlockDriverState *source,
                              BlockDriverState *target,
                              const ZonedJobOptions *o,
                              BlockCompletionFunc *cb, void *opaque,
                              JobTxn *txn, Error **errp)
{
    BlockDriverState *filter;
    ZonedBackupJob *s;

    if (!zoned_copy_check(source, target, o, "backup", errp)) {
        return NULL;
    }
    filter = zoned_watch_begin(source, o->filter_node_name, errp);
    if (!filter) {
        return NULL;
    }
    s = block_job_create(o->job_id, &zoned_backup_driver, txn, filter, 0,
                         BLK_PERM_ALL & ~BLK_PERM_RESIZE, o->speed, o->flags,
                         cb, opaque, errp);
    if (!s) {
        zoned_watch_end(filter);
        return NULL;
    }
    qemu_co_mutex_init(&s->lock);
    s->on_source_error = o->on_source_error;
    s->on_target_error = o->on_target_error;
    if (!zoned_copy_create(&s->copy, &s->common, filter, source, target,
                           errp) ||
        !backup_create_maps(s, errp) ||
        !zoned_copy_look(&s->copy, backup_visit, s, errp)) {
        backup_free_maps(s);
        zoned_copy_destroy(&s->copy);
        job_early_fail(&s->common.job);
        zoned_watch_end(filter);
        return NULL;
    }
    zoned_watch_set(filter, &backup_watcher, s);
    return &s->common;
}
