/*
 * A disk in memory that tells of each write, and can lose it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/range.h"
#include "crash-disk.h"

#define PAGE 4096
#define GARBAGE 0xdb

typedef struct CrashNode {
    CrashDisk *disk;
} CrashNode;

CrashDisk *crash_disk_new(int64_t length)
{
    CrashDisk *d = g_new0(CrashDisk, 1);

    d->memory = g_malloc0(ROUND_UP(length, PAGE));
    d->length = length;
    d->pending = g_ptr_array_new();
    return d;
}

void crash_disk_free(CrashDisk *d)
{
    g_assert(d->pending->len == 0);
    g_ptr_array_free(d->pending, true);
    if (d->undo) {
        g_hash_table_unref(d->undo);
    }
    g_free(d->memory);
    g_free(d);
}

void crash_op_free(CrashOp *op)
{
    g_free(op->data);
    g_free(op);
}

static void crash_disk_keep(void *opaque, CrashOp *op)
{
    if (op->ended) {
        g_ptr_array_add(opaque, op);
    }
}

void crash_disk_record(CrashDisk *d, GPtrArray *ops)
{
    d->event = ops ? crash_disk_keep : NULL;
    d->opaque = ops;
}

void crash_disk_mark(CrashDisk *d)
{
    g_assert(!d->undo);
    d->undo = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void crash_disk_rewind(CrashDisk *d)
{
    GHashTableIter iter;
    void *page, *content;

    g_hash_table_iter_init(&iter, d->undo);
    while (g_hash_table_iter_next(&iter, &page, &content)) {
        memcpy(d->memory + GPOINTER_TO_SIZE(page) * PAGE, content, PAGE);
    }
    g_hash_table_unref(d->undo);
    d->undo = NULL;
}

/* Before a sector changes */
static void crash_disk_save(CrashDisk *d, int64_t offset)
{
    size_t page = offset / PAGE;

    if (d->undo && !g_hash_table_contains(d->undo, GSIZE_TO_POINTER(page))) {
        g_hash_table_insert(d->undo, GSIZE_TO_POINTER(page),
                            g_memdup2(d->memory + page * PAGE, PAGE));
    }
}

void crash_disk_apply(CrashDisk *d, const CrashOp *op, int64_t sector)
{
    int64_t done = sector * CRASH_SECTOR;
    uint8_t *to = d->memory + op->offset + done;

    crash_disk_save(d, op->offset + done);
    switch (op->kind) {
    case CRASH_WRITE:
        memcpy(to, op->data + done, CRASH_SECTOR);
        break;
    case CRASH_ZEROES:
        memset(to, 0, CRASH_SECTOR);
        break;
    case CRASH_DISCARD:
        memset(to, d->discard_garbles ? GARBAGE : 0, CRASH_SECTOR);
        break;
    case CRASH_FLUSH:
        g_assert_not_reached();
    }
}

/* Done, as far as everybody who looks at the disk can tell */
static void crash_disk_end(CrashDisk *d, CrashOp *op, int ret, int64_t bytes)
{
    int64_t i;

    g_ptr_array_remove(d->pending, op);
    if (ret < 0) {
        op->bytes = QEMU_ALIGN_DOWN(MIN(op->bytes, bytes), CRASH_SECTOR);
    }
    if (op->kind != CRASH_FLUSH) {
        for (i = 0; i < op->bytes / CRASH_SECTOR; i++) {
            crash_disk_apply(d, op, i);
        }
    }
    op->ret = ret;
    op->ended = true;
    op->seq = ++d->seq;
    if (d->event) {
        d->event(d->opaque, op);
    }
}

void crash_disk_complete(CrashDisk *d, unsigned int i, int ret, int64_t bytes)
{
    CrashOp *op = g_ptr_array_index(d->pending, i);

    crash_disk_end(d, op, ret, bytes);
    aio_co_wake(op->co);
}

void crash_disk_release_reads(CrashDisk *d)
{
    Coroutine *co;

    d->hold_reads = false;
    while ((co = g_queue_pop_head(&d->held_reads))) {
        aio_co_wake(co);
    }
}

static void crash_disk_check_overlap(CrashDisk *d, const CrashOp *op)
{
    unsigned int i;

    for (i = 0; i < d->pending->len; i++) {
        const CrashOp *other = g_ptr_array_index(d->pending, i);

        if (op->bytes && other->bytes &&
            ranges_overlap(op->offset, op->bytes, other->offset,
                           other->bytes)) {
            d->overlap = op->kind == CRASH_DISCARD ||
                         other->kind == CRASH_DISCARD ?
                         "a discard overlaps a write in flight" :
                         "two writes in flight overlap";
        }
    }
}

static int coroutine_fn crash_disk_co_request(CrashDisk *d, CrashOp *op)
{
    int ret;

    crash_disk_check_overlap(d, op);
    g_ptr_array_add(d->pending, op);
    if (d->event) {
        d->event(d->opaque, op);
    }
    if (d->deferred) {
        op->co = qemu_coroutine_self();
        qemu_coroutine_yield();
    } else {
        crash_disk_end(d, op, 0, op->bytes);
    }
    ret = op->ret;
    if (!d->event) {
        crash_op_free(op);
    }
    return ret;
}

static CrashDisk *crash_disk_of(BlockDriverState *bs)
{
    CrashNode *node = bs->opaque;

    return node->disk;
}

static CrashOp *crash_op_new(CrashKind kind, int64_t offset, int64_t bytes,
                             BdrvRequestFlags flags)
{
    CrashOp *op = g_new0(CrashOp, 1);

    g_assert(QEMU_IS_ALIGNED(offset | bytes, CRASH_SECTOR));
    op->kind = kind;
    op->offset = offset;
    op->bytes = bytes;
    op->fua = flags & BDRV_REQ_FUA;
    return op;
}

static int coroutine_fn crash_disk_co_preadv(BlockDriverState *bs,
                                             int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov,
                                             BdrvRequestFlags flags)
{
    CrashDisk *d = crash_disk_of(bs);

    if (d->hold_reads) {
        g_queue_push_tail(&d->held_reads, qemu_coroutine_self());
        qemu_coroutine_yield();
    }
    qemu_iovec_from_buf(qiov, 0, d->memory + offset, bytes);
    return 0;
}

static int coroutine_fn crash_disk_co_pwritev(BlockDriverState *bs,
                                              int64_t offset, int64_t bytes,
                                              QEMUIOVector *qiov,
                                              BdrvRequestFlags flags)
{
    CrashOp *op = crash_op_new(CRASH_WRITE, offset, bytes, flags);

    op->data = g_malloc(bytes);
    qemu_iovec_to_buf(qiov, 0, op->data, bytes);
    return crash_disk_co_request(crash_disk_of(bs), op);
}

static int coroutine_fn crash_disk_co_pwrite_zeroes(BlockDriverState *bs,
                                                    int64_t offset,
                                                    int64_t bytes,
                                                    BdrvRequestFlags flags)
{
    return crash_disk_co_request(crash_disk_of(bs),
                                 crash_op_new(CRASH_ZEROES, offset, bytes,
                                              flags));
}

static int coroutine_fn crash_disk_co_pdiscard(BlockDriverState *bs,
                                               int64_t offset, int64_t bytes)
{
    return crash_disk_co_request(crash_disk_of(bs),
                                 crash_op_new(CRASH_DISCARD, offset, bytes,
                                              0));
}

static int coroutine_fn crash_disk_co_flush(BlockDriverState *bs)
{
    return crash_disk_co_request(crash_disk_of(bs),
                                 crash_op_new(CRASH_FLUSH, 0, 0, 0));
}

/* Only ever while an image is made: none of it is part of a crash */
static int coroutine_fn crash_disk_co_truncate(BlockDriverState *bs,
                                               int64_t offset, bool exact,
                                               PreallocMode prealloc,
                                               BdrvRequestFlags flags,
                                               Error **errp)
{
    CrashDisk *d = crash_disk_of(bs);

    g_assert(!d->deferred);
    if (d->undo || prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "The length of this disk is fixed");
        return -ENOTSUP;
    }
    d->memory = g_realloc(d->memory, ROUND_UP(offset, PAGE));
    if (offset > d->length) {
        memset(d->memory + d->length, 0,
               ROUND_UP(offset, PAGE) - d->length);
    }
    d->length = offset;
    return 0;
}

static int64_t crash_disk_getlength(BlockDriverState *bs)
{
    CrashDisk *d = crash_disk_of(bs);

    return d ? d->length : 0;
}

static int crash_disk_open(BlockDriverState *bs, QDict *options, int flags,
                           Error **errp)
{
    bs->supported_write_flags = BDRV_REQ_FUA;
    bs->supported_zero_flags = BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP |
                               BDRV_REQ_NO_FALLBACK;
    return 0;
}

static void crash_disk_refresh_limits(BlockDriverState *bs, Error **errp)
{
    bs->bl.request_alignment = CRASH_SECTOR;
}

static BlockDriver crash_disk_driver = {
    .format_name            = "crash-disk",
    .instance_size          = sizeof(CrashNode),
    .has_variable_length    = true,
    .bdrv_open              = crash_disk_open,
    .bdrv_refresh_limits    = crash_disk_refresh_limits,
    .bdrv_getlength         = crash_disk_getlength,
    .bdrv_co_preadv         = crash_disk_co_preadv,
    .bdrv_co_pwritev        = crash_disk_co_pwritev,
    .bdrv_co_pwrite_zeroes  = crash_disk_co_pwrite_zeroes,
    .bdrv_co_pdiscard       = crash_disk_co_pdiscard,
    .bdrv_co_flush_to_disk  = crash_disk_co_flush,
    .bdrv_co_truncate       = crash_disk_co_truncate,
};

BlockDriverState *crash_disk_node(CrashDisk *d, const char *name)
{
    BlockDriverState *bs = bdrv_new_open_driver(&crash_disk_driver, name,
                                                BDRV_O_RDWR | BDRV_O_UNMAP,
                                                &error_abort);
    CrashNode *node = bs->opaque;

    node->disk = d;
    bdrv_refresh_limits(bs, NULL, &error_abort);
    return bs;
}
