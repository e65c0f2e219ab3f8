/*
 * Mirror of a zoned disk that is in use
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A zone that the guest has changed since it was copied is dirty.  Of one that
 * was only written to, what is new is copied, from the target's write pointer
 * on; one that was reset is reset in the target first.
 *
 * The write pointer of an emulated zone moves before the data lands.  So a zone
 * is looked at while no change is on its way to it, and changes that come then
 * wait for the look, which is short.  They do not wait for the copy.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "block/block_int.h"
#include "sysemu/block-backend.h"
#include "zoned-copy.h"

/* How often to look for changes when the copy is complete */
#define READY_SLEEP_NS (100 * SCALE_MS)

/*
 * When the job is to be completed, and the guest goes on writing, what it
 * writes is copied so often before it has to wait for the rest
 */
#define LAST_SWEEPS 3

typedef struct ZonedMirrorJob {
    BlockJob common;
    ZonedCopy copy;
    BlockdevOnError on_source_error;
    BlockdevOnError on_target_error;
    char *replaces;
    BlockDriverState *to_replace;
    Error *replace_blocker;

    unsigned long *dirty;       /* zones */
    unsigned long *lost;        /* dirty zones to be copied from the start */
    unsigned long *chunks;      /* of conventional zones, to be copied */

    QLIST_HEAD(, ZonedChange) changes;  /* under way */
    int64_t held;               /* the zone that is looked at, or -1 */
    CoQueue held_changes;
    CoQueue ended_changes;

    bool should_complete;
    bool in_drain;              /* the source is drained by the job itself */
    bool last_sweep;            /* under way while the source is drained */
    bool prepared;
} ZonedMirrorJob;

/*
 * Changes of the source
 */

static bool mirror_concerns(const ZonedMirrorJob *s, const ZonedChange *change,
                            uint32_t zone)
{
    return zoned_copy_zone(&s->copy, change->offset) <= zone &&
           zone < zoned_copy_zone_end(&s->copy, change->end);
}

static void coroutine_fn mirror_before(void *opaque, ZonedChange *change)
{
    ZonedMirrorJob *s = opaque;

    while (s->held >= 0 && mirror_concerns(s, change, s->held)) {
        qemu_co_queue_wait(&s->held_changes, NULL);
    }
    QLIST_INSERT_HEAD(&s->changes, change, next);
}

static void mirror_note_chunks(ZonedMirrorJob *s, const ZonedChange *change)
{
    unsigned long first = zoned_copy_chunk(&s->copy, change->offset);
    unsigned long last = zoned_copy_chunk(&s->copy, change->end - 1);

    bitmap_set(s->chunks, first, last - first + 1);
}

static void coroutine_fn mirror_after(void *opaque, ZonedChange *change)
{
    ZonedMirrorJob *s = opaque;
    uint32_t zone = zoned_copy_zone(&s->copy, change->offset);
    uint32_t end = zoned_copy_zone_end(&s->copy, change->end);

    QLIST_REMOVE(change, next);
    qemu_co_queue_restart_all(&s->ended_changes);
    if (change->offset >= change->end) {
        return;
    }
    bitmap_set(s->dirty, zone, end - zone);
    switch (change->kind) {
    case ZONED_CHANGE_WRITE:
        if (test_bit(zone, s->copy.conventional)) {
            mirror_note_chunks(s, change);
        }
        job_progress_increase_remaining(&s->common.job,
                                        change->end - change->offset);
        break;
    case ZONED_CHANGE_LOSS:
        bitmap_set(s->lost, zone, end - zone);
        break;
    case ZONED_CHANGE_STATE:
        break;
    }
}

static const ZonedWatcher mirror_watcher = {
    .before = mirror_before,
    .after = mirror_after,
};

/*
 * Copying
 */

static bool mirror_is_busy(const ZonedMirrorJob *s, uint32_t zone)
{
    const ZonedChange *change;

    QLIST_FOREACH(change, &s->changes, next) {
        if (mirror_concerns(s, change, zone)) {
            return true;
        }
    }
    return false;
}

/* Look at a sequential zone of the source while it does not change */
static int coroutine_fn mirror_look(ZonedMirrorJob *s, uint32_t zone,
                                    BlockZoneDescriptor *src, bool *lost)
{
    int ret;

    s->held = zone;
    while (mirror_is_busy(s, zone)) {
        qemu_co_queue_wait(&s->ended_changes, NULL);
    }
    clear_bit(zone, s->dirty);
    *lost = test_and_clear_bit(zone, s->lost);
    ret = zoned_copy_report_source(&s->copy, zone, false, src);
    s->held = -1;
    qemu_co_queue_restart_all(&s->held_changes);
    return ret;
}

/* Can a zone of the target be made that of the source without a reset? */
static bool mirror_continues(const BlockZoneDescriptor *dst,
                             const BlockZoneDescriptor *src)
{
    if (dst->state == BLK_ZS_EMPTY) {
        return true;
    }
    if (dst->has_extension != src->has_extension) {
        return false;
    }
    if (src->state == BLK_ZS_FULL) {
        return true;
    }
    return src->state != BLK_ZS_EMPTY && dst->state != BLK_ZS_FULL &&
           dst->wp <= src->wp;
}

/* Sleep as the speed demands.  Returns: whether to go on. */
static bool coroutine_fn mirror_pause(ZonedMirrorJob *s, int64_t bytes)
{
    Job *job = &s->common.job;

    if (s->in_drain) {
        return true;
    }
    job_sleep_ns(job, bytes ? block_job_ratelimit_get_delay(&s->common, bytes)
                            : 0);
    return !job_is_cancelled(job);
}

static int coroutine_fn mirror_conventional(ZonedMirrorJob *s, uint32_t zone)
{
    unsigned long per_zone = zoned_copy_chunks_per_zone(&s->copy);
    unsigned long chunk = zone * per_zone, end = (zone + 1) * per_zone;

    clear_bit(zone, s->dirty);
    while ((chunk = find_next_bit(s->chunks, end, chunk)) < end) {
        int64_t n;

        /* A write under way sets it again when it is done */
        clear_bit(chunk, s->chunks);
        n = zoned_copy_chunk_data(&s->copy, chunk);
        if (n < 0) {
            set_bit(chunk, s->chunks);
            set_bit(zone, s->dirty);
            return n;
        }
        job_progress_update(&s->common.job, n);
        if (!mirror_pause(s, n)) {
            set_bit(zone, s->dirty);
            return 0;
        }
    }
    return 0;
}

/* Take an active zone from the target, to be copied again */
static int coroutine_fn mirror_evict(ZonedMirrorJob *s, uint32_t zone)
{
    BlockZoneDescriptor d;
    uint32_t i;
    int ret;

    for (i = 0; i < s->copy.limits.nr_zones; i++) {
        if (i == zone || test_bit(i, s->copy.conventional)) {
            continue;
        }
        ret = zoned_copy_report_target(&s->copy, i, &d);
        if (ret < 0) {
            return ret;
        }
        if (zone_state_is_active(d.state)) {
            set_bit(i, s->dirty);
            return zoned_copy_mgmt(&s->copy, BLK_ZO_RESET, i);
        }
    }
    return -EOVERFLOW;
}

/*
 * A zone that is full needs to be active while it is copied, which may be one
 * active zone more than the source has
 */
static int64_t coroutine_fn mirror_step(ZonedMirrorJob *s, uint32_t zone,
                                        const BlockZoneDescriptor *src)
{
    int64_t n = zoned_copy_step(&s->copy, src);

    if (n == -EOVERFLOW && !s->copy.source_failed) {
        int ret = mirror_evict(s, zone);

        n = ret < 0 ? ret : zoned_copy_step(&s->copy, src);
    }
    return n;
}

static int coroutine_fn mirror_sequential(ZonedMirrorJob *s, uint32_t zone)
{
    BlockZoneDescriptor src, dst;
    bool lost = false;
    int64_t n;

    n = mirror_look(s, zone, &src, &lost);
    if (n == 0) {
        n = zoned_copy_report_target(&s->copy, zone, &dst);
    }
    if (n == 0 && (lost || !mirror_continues(&dst, &src))) {
        n = zoned_copy_mgmt(&s->copy, BLK_ZO_RESET, zone);
    }
    if (n < 0) {
        set_bit(zone, s->dirty);
        set_bit(zone, s->lost);
        return n;
    }
    while ((n = mirror_step(s, zone, &src)) > 0) {
        job_progress_update(&s->common.job, n);
        if (!mirror_pause(s, n)) {
            break;
        }
        if (test_bit(zone, s->lost)) {
            /* Copying what is about to be reset makes no sense */
            return 0;
        }
    }
    if (n) {
        set_bit(zone, s->dirty);
    }
    return MIN(n, 0);
}

static bool mirror_is_clean(const ZonedMirrorJob *s)
{
    uint32_t nr_zones = s->copy.limits.nr_zones;

    return find_first_bit(s->dirty, nr_zones) >= nr_zones;
}

/* Copy each dirty zone once.  Returns: 0 or -errno. */
static int coroutine_fn mirror_sweep(ZonedMirrorJob *s)
{
    uint32_t nr_zones = s->copy.limits.nr_zones;
    uint32_t zone = 0;

    while ((zone = find_next_bit(s->dirty, nr_zones, zone)) < nr_zones) {
        int ret = test_bit(zone, s->copy.conventional)
                  ? mirror_conventional(s, zone) : mirror_sequential(s, zone);

        if (ret < 0 || !mirror_pause(s, 0)) {
            return ret;
        }
        zone++;
    }
    return 0;
}

/*
 * Completion
 */

/* Is the target's zone a copy, except for its being open or closed? */
static bool mirror_is_copy(const BlockZoneDescriptor *src,
                           const BlockZoneDescriptor *dst)
{
    return src->wp == dst->wp &&
           (src->state == BLK_ZS_FULL) == (dst->state == BLK_ZS_FULL) &&
           src->has_extension == dst->has_extension;
}

/* The source's zone is closed.  An empty one gets there by being open. */
static int coroutine_fn mirror_close(ZonedMirrorJob *s, uint32_t zone,
                                     BlockZoneState dst)
{
    int ret = 0;

    if (dst == BLK_ZS_EMPTY) {
        ret = zoned_copy_mgmt(&s->copy, BLK_ZO_OPEN, zone);
    }
    if (ret == 0 && dst != BLK_ZS_CLOSED) {
        ret = zoned_copy_mgmt(&s->copy, BLK_ZO_CLOSE_ACTIVE, zone);
    }
    return ret;
}

/*
 * Open or close zones of the target as those of the source are.  Which of the
 * implicitly open ones are still open is up to the disk.
 */
static int coroutine_fn mirror_set_states(ZonedMirrorJob *s,
                                          BlockZoneState wanted)
{
    BlockZoneDescriptor src, dst;
    uint32_t zone;
    int ret;

    for (zone = 0; zone < s->copy.limits.nr_zones; zone++) {
        if (test_bit(zone, s->copy.conventional)) {
            continue;
        }
        ret = zoned_copy_report_source(&s->copy, zone, false, &src);
        if (ret == 0) {
            ret = zoned_copy_report_target(&s->copy, zone, &dst);
        }
        if (ret == 0 && !mirror_is_copy(&src, &dst)) {
            set_bit(zone, s->dirty);
            set_bit(zone, s->lost);
        } else if (ret == 0 && src.state == wanted && dst.state != wanted) {
            ret = wanted == BLK_ZS_CLOSED
                  ? mirror_close(s, zone, dst.state)
                  : zoned_copy_mgmt(&s->copy, BLK_ZO_OPEN, zone);
        }
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* While the source is drained: make the target the same in all respects */
static int coroutine_fn mirror_finish(ZonedMirrorJob *s)
{
    int ret, i;

    /* Zones that were evicted for others come in the next sweep */
    for (i = 0; i < LAST_SWEEPS && !mirror_is_clean(s); i++) {
        ret = mirror_sweep(s);
        if (ret < 0) {
            return ret;
        }
    }
    /* Closed first: then there is room for what is to be open */
    ret = mirror_set_states(s, BLK_ZS_CLOSED);
    if (ret == 0) {
        ret = mirror_set_states(s, BLK_ZS_EOPEN);
    }
    return ret < 0 ? ret : zoned_copy_flush(&s->copy);
}

static void coroutine_fn mirror_drain(ZonedMirrorJob *s)
{
    s->in_drain = true;
    bdrv_drained_begin(s->copy.source);
}

/* Returns: 1 if the target is a copy and the source is drained; 0; -errno */
static int coroutine_fn mirror_try_finish(ZonedMirrorJob *s)
{
    int ret;

    mirror_drain(s);
    s->last_sweep = true;
    ret = mirror_finish(s);
    s->last_sweep = false;
    if (ret == 0 && mirror_is_clean(s)) {
        job_progress_set_remaining(&s->common.job, 0);
        return 1;
    }
    bdrv_drained_end(s->copy.source);
    s->in_drain = false;
    return ret;
}

/*
 * The job
 */

static int coroutine_fn mirror_become_ready(ZonedMirrorJob *s)
{
    int ret = zoned_copy_flush(&s->copy);

    if (ret == 0) {
        job_progress_set_remaining(&s->common.job, 0);
        job_transition_to_ready(&s->common.job);
    }
    return ret;
}

/* After an error: whether to try again */
static bool coroutine_fn mirror_goes_on(ZonedMirrorJob *s, int error)
{
    bool read = s->copy.source_failed;
    BlockErrorAction action =
        block_job_error_action(&s->common, read ? s->on_source_error
                                                : s->on_target_error,
                               read, -error);

    if (action == BLOCK_ERROR_ACTION_REPORT) {
        return false;
    }
    job_pause_point(&s->common.job);
    return true;
}

/* Returns: 1 if the target is a copy and the source is drained; 0; -errno */
static int coroutine_fn mirror_round(ZonedMirrorJob *s, int *last_sweeps)
{
    Job *job = &s->common.job;
    int ret = zoned_copy_begin(&s->copy);

    if (ret == 0) {
        ret = mirror_sweep(s);
    }
    if (ret == 0 && !job_is_ready(job) && mirror_is_clean(s)) {
        ret = mirror_become_ready(s);
    }
    if (ret < 0 || job_is_cancelled(job) || !job_is_ready(job)) {
        return ret;
    }
    if (s->should_complete || job_cancel_requested(job)) {
        if (mirror_is_clean(s) || ++*last_sweeps >= LAST_SWEEPS) {
            return mirror_try_finish(s);
        }
    } else if (mirror_is_clean(s)) {
        job_progress_set_remaining(job, 0);
        job_sleep_ns(job, READY_SLEEP_NS);
    }
    return 0;
}

static int coroutine_fn mirror_run(Job *job, Error **errp)
{
    ZonedMirrorJob *s = container_of(job, ZonedMirrorJob, common.job);
    int last_sweeps = 0;
    int ret = 0;

    while (ret == 0 && !job_is_cancelled(job)) {
        ret = mirror_round(s, &last_sweeps);
        if (ret < 0 && mirror_goes_on(s, ret)) {
            ret = 0;
        }
        if (ret == 0) {
            mirror_pause(s, 0);
        }
    }
    if (ret < 0) {
        zoned_copy_set_error(&s->copy, ret, errp);
    }
    if (!s->in_drain) {
        mirror_drain(s);
    }
    return MIN(ret, 0);
}

/* Put the target in the place of the source, or of what was asked for */
static int mirror_pivot(ZonedMirrorJob *s, BlockDriverState *source,
                        BlockDriverState *target)
{
    BlockDriverState *old = s->to_replace ?: source;
    Error *local_err = NULL;

    bdrv_drained_begin(target);
    if (bdrv_recurse_can_replace(source, old)) {
        bdrv_replace_node(old, target, &local_err);
    } else {
        error_setg(&local_err, "Node '%s' shows something else than node '%s' "
                   "by now, and cannot be replaced by its copy",
                   bdrv_get_node_name(old), bdrv_get_node_name(source));
    }
    bdrv_drained_end(target);
    if (local_err) {
        error_report_err(local_err);
        return -EPERM;
    }
    return 0;
}

static void mirror_unblock(ZonedMirrorJob *s)
{
    if (s->to_replace) {
        bdrv_op_unblock_all(s->to_replace, s->replace_blocker);
        error_free(s->replace_blocker);
        bdrv_unref(s->to_replace);
        s->to_replace = NULL;
    }
}

static int mirror_exit(Job *job, bool complete)
{
    ZonedMirrorJob *s = container_of(job, ZonedMirrorJob, common.job);
    BlockDriverState *filter = s->copy.filter;
    BlockDriverState *source = s->copy.source;
    BlockDriverState *target = s->copy.target_bs;
    int ret = 0;

    if (s->prepared) {
        return 0;
    }
    s->prepared = true;
    bdrv_ref(source);
    bdrv_ref(target);
    zoned_watch_set(filter, NULL, NULL);
    zoned_copy_destroy(&s->copy);
    block_job_remove_all_bdrv(&s->common);
    if (complete && s->should_complete) {
        ret = mirror_pivot(s, source, target);
    }
    mirror_unblock(s);
    zoned_watch_end(filter);
    bdrv_drained_end(source);
    s->in_drain = false;
    bdrv_unref(source);
    bdrv_unref(target);
    return ret;
}

static int mirror_prepare(Job *job)
{
    return mirror_exit(job, true);
}

static void mirror_abort(Job *job)
{
    mirror_exit(job, false);
}

static void mirror_free_maps(ZonedMirrorJob *s)
{
    g_free(s->dirty);
    g_free(s->lost);
    g_free(s->chunks);
    g_free(s->replaces);
}

static void mirror_clean(Job *job)
{
    mirror_free_maps(container_of(job, ZonedMirrorJob, common.job));
}

static bool mirror_find_to_replace(ZonedMirrorJob *s, Error **errp)
{
    s->to_replace = bdrv_find_node(s->replaces);
    if (!s->to_replace) {
        error_setg(errp, "Node '%s', to be replaced, is gone", s->replaces);
        return false;
    }
    error_setg(&s->replace_blocker, "Node is about to be replaced by a block "
               "job");
    bdrv_op_block_all(s->to_replace, s->replace_blocker);
    bdrv_ref(s->to_replace);
    return true;
}

static void mirror_complete(Job *job, Error **errp)
{
    ZonedMirrorJob *s = container_of(job, ZonedMirrorJob, common.job);

    if (!job_is_ready(job)) {
        error_setg(errp, "Block job '%s' cannot be completed before it is "
                   "ready", job->id);
        return;
    }
    if (s->replaces && !s->to_replace && !mirror_find_to_replace(s, errp)) {
        return;
    }
    s->should_complete = true;
    WITH_JOB_LOCK_GUARD() {
        if (!job->paused) {
            job_enter_cond_locked(job, NULL);
        }
    }
}

static bool mirror_drained_poll(BlockJob *job)
{
    ZonedMirrorJob *s = container_of(job, ZonedMirrorJob, common);

    if (s->in_drain) {
        /* Not to wait for itself */
        return s->last_sweep;
    }
    JOB_LOCK_GUARD();
    return !s->common.job.paused;
}

/* Once it is ready, to cancel it is to end it without a change of disks */
static bool mirror_cancel(Job *job, bool force)
{
    return force || !job_is_ready(job);
}

static const BlockJobDriver zoned_mirror_driver = {
    .job_driver = {
        .instance_size          = sizeof(ZonedMirrorJob),
        .job_type               = JOB_TYPE_MIRROR,
        .free                   = block_job_free,
        .user_resume            = block_job_user_resume,
        .run                    = mirror_run,
        .prepare                = mirror_prepare,
        .abort                  = mirror_abort,
        .clean                  = mirror_clean,
        .complete               = mirror_complete,
        .cancel                 = mirror_cancel,
    },
    .drained_poll               = mirror_drained_poll,
    .knows_zones                = true,
};

/* A zone as it is when the job is created */
static void mirror_visit(void *opaque, uint32_t zone,
                         const BlockZoneDescriptor *d)
{
    ZonedMirrorJob *s = opaque;
    int64_t bytes = 0;

    if (d->type == BLK_ZT_CONV) {
        bitmap_set(s->chunks, zone * zoned_copy_chunks_per_zone(&s->copy),
                   DIV_ROUND_UP(d->length, ZONED_COPY_CHUNK));
        bytes = d->length;
    } else if (d->state == BLK_ZS_FULL) {
        bytes = d->cap;
    } else if (d->state != BLK_ZS_EMPTY) {
        bytes = d->wp - d->start;
    } else {
        return;
    }
    set_bit(zone, s->dirty);
    job_progress_increase_remaining(&s->common.job, bytes);
}

static bool mirror_create_maps(ZonedMirrorJob *s, Error **errp)
{
    uint32_t n = s->copy.limits.nr_zones;

    s->dirty = bitmap_try_new(n);
    s->lost = bitmap_try_new(n);
    s->chunks = bitmap_try_new(zoned_copy_nr_chunks(&s->copy));
    if (s->dirty && s->lost && s->chunks) {
        return true;
    }
    error_setg(errp, "Not enough memory for %" PRIu32 " zones", n);
    return false;
}

static ZonedMirrorJob *mirror_create(BlockDriverState *filter,
                                     BlockDriverState *source,
                                     BlockDriverState *target,
                                     const ZonedJobOptions *o, Error **errp)
{
    ZonedMirrorJob *s;

    s = block_job_create(o->job_id, &zoned_mirror_driver, NULL, filter, 0,
                         BLK_PERM_ALL & ~BLK_PERM_RESIZE, o->speed, o->flags,
                         NULL, NULL, errp);
    if (!s) {
        return NULL;
    }
    s->on_source_error = o->on_source_error;
    s->on_target_error = o->on_target_error;
    s->held = -1;
    QLIST_INIT(&s->changes);
    qemu_co_queue_init(&s->held_changes);
    qemu_co_queue_init(&s->ended_changes);
    if (!zoned_copy_create(&s->copy, &s->common, filter, source, target,
                           errp) ||
        !mirror_create_maps(s, errp) ||
        !zoned_copy_look(&s->copy, mirror_visit, s, errp)) {
        mirror_free_maps(s);
        zoned_copy_destroy(&s->copy);
        job_early_fail(&s->common.job);
        return NULL;
    }
    return s;
}

void zoned_mirror_start(BlockDriverState *source, BlockDriverState *target,
                        const char *replaces, const ZonedJobOptions *o,
                        Error **errp)
{
    BlockDriverState *filter;
    ZonedMirrorJob *s;

    if (!zoned_copy_check(source, target, o, "mirror", errp)) {
        return;
    }
    /* No change may come between the look at the zones and the watch */
    bdrv_drained_begin(source);
    filter = zoned_watch_begin(source, o->filter_node_name, errp);
    s = filter ? mirror_create(filter, source, target, o, errp) : NULL;
    if (s) {
        s->replaces = g_strdup(replaces);
        zoned_watch_set(filter, &mirror_watcher, s);
    } else if (filter) {
        zoned_watch_end(filter);
    }
    bdrv_drained_end(source);
    if (s) {
        job_start(&s->common.job);
    }
}
