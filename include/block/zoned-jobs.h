/*
 * Block jobs that copy a zoned disk to an equal one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What block/backup.c and block/mirror.c call when both nodes are zoned.
 */

#ifndef BLOCK_ZONED_JOBS_H
#define BLOCK_ZONED_JOBS_H

#include "block/blockjob_int.h"
#include "block/zoned-io.h"

/* What both jobs are asked for; parameters are those of the QMP commands */
typedef struct ZonedJobOptions {
    const char *job_id;
    const char *filter_node_name;
    int64_t speed;              /* bytes per second, or 0 for no limit */
    MirrorSyncMode sync;
    BlockdevOnError on_source_error;
    BlockdevOnError on_target_error;
    int flags;                  /* JobCreateFlags */
    /* Name of an option that was given and means nothing here, or NULL */
    const char *unusable;
} ZonedJobOptions;

/* Whether a job between these nodes is one for the functions below */
bool bdrv_zoned_job_wanted(BlockDriverState *source, BlockDriverState *target);

/**
 * zoned_backup_create:
 * @source: a zoned node
 * @target: a zoned node with the same zones; all it holds is lost
 * @o: options
 * @cb: called when the job is done
 * @opaque: passed to @cb
 * @txn: transaction of the job, or NULL
 * @errp: set on failure
 *
 * Create a job that copies @source as it is now.  To be called in a drained
 * section of @source, with the AioContext of both nodes held.
 *
 * Returns: the job, to be started by the caller; NULL on failure.
 */
BlockJob *zoned_backup_create(BlockDriverState *source,
                              BlockDriverState *target,
                              const ZonedJobOptions *o,
                              BlockCompletionFunc *cb, void *opaque,
                              JobTxn *txn, Error **errp);

/**
 * zoned_mirror_start:
 * @source: a zoned node
 * @target: a zoned node with the same zones; all it holds is lost
 * @replaces: name of the node that @target takes the place of when the job is
 *            completed; NULL for @source
 * @o: options
 * @errp: set on failure
 *
 * Start a job that keeps @target a copy of @source.  To be called with the
 * AioContext of both nodes held.
 */
void zoned_mirror_start(BlockDriverState *source, BlockDriverState *target,
                        const char *replaces, const ZonedJobOptions *o,
                        Error **errp);

#endif /* BLOCK_ZONED_JOBS_H */
