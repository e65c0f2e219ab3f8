/*
 * SCSI disks with zones (ZBC): what is done with which command
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The errors and their sense, and the commands that need no more.  The numbers
 * ZBC-n are those of docs/devel/zoned-conformance-scsi.rst.
 */

#include "qemu/osdep.h"
#include "scsi-zbc-internal.h"
#include "trace.h"

/* Why a request to a zoned disk failed, and what the guest is told */
static const struct {
    int error;
    SCSISense sense;
} errors[] = {
    { EINVAL,          { ILLEGAL_REQUEST, 0x24, 0x00 } },
    { ERANGE,          { ILLEGAL_REQUEST, 0x21, 0x05 } },
    { ESPIPE,          { ILLEGAL_REQUEST, 0x21, 0x04 } },
    { EFBIG,           { ILLEGAL_REQUEST, 0x24, 0x00 } },
    { EPERM,           { ILLEGAL_REQUEST, 0x24, 0x00 } },
    { EROFS,           { DATA_PROTECT,    0x27, 0x08 } },
    { ENXIO,           { DATA_PROTECT,    0x2c, 0x0e } },
    { ETOOMANYREFS,    { DATA_PROTECT,    0x55, 0x0e } },
    { EOVERFLOW,       { DATA_PROTECT,    0x55, 0x0e } },
    { ZBC_EGAP,        { ILLEGAL_REQUEST, 0x21, 0x09 } },
    { ZBC_EUNWRITTEN,  { ILLEGAL_REQUEST, 0x21, 0x06 } },
    { ZBC_EREADBORDER, { ILLEGAL_REQUEST, 0x21, 0x07 } },
    { ZBC_ELBA,        { ILLEGAL_REQUEST, 0x21, 0x00 } },
};

bool scsi_zbc_sense(int ret, SCSISense *sense)
{
    size_t i;

    /* Most commands end well, and are not to search the table first */
    for (i = 0; ret < 0 && i < ARRAY_SIZE(errors); i++) {
        if (errors[i].error == -ret) {
            *sense = errors[i].sense;
            return true;
        }
    }
    return false;
}

void zbc_complete_sense(SCSIRequest *req, SCSISense sense)
{
    trace_scsi_zbc_check_condition(req->tag, sense.key, sense.asc,
                                   sense.ascq);
    scsi_req_build_sense(req, sense);
    scsi_req_complete(req, CHECK_CONDITION);
}

/* With an error that has nothing to do with zones */
static void complete_errno(SCSIRequest *req, int ret)
{
    SCSISense sense = SENSE_CODE(NO_SENSE);
    int status = scsi_sense_from_errno(-ret, &sense);

    if (status == CHECK_CONDITION) {
        zbc_complete_sense(req, sense);
    } else {
        scsi_req_complete(req, status);
    }
}

void zbc_complete_error(SCSIRequest *req, int ret)
{
    SCSISense sense;

    if (scsi_zbc_sense(ret, &sense)) {
        zbc_complete_sense(req, sense);
    } else {
        complete_errno(req, ret);
    }
}

void zbc_complete_io_error(SCSIRequest *req, int ret)
{
    BlockBackend *blk = req->dev->conf.blk;
    BlockErrorAction action = blk_get_error_action(blk, false, -ret);

    blk_error_action(blk, action, false, -ret);
    switch (action) {
    case BLOCK_ERROR_ACTION_STOP:
        scsi_req_retry(req);
        break;
    case BLOCK_ERROR_ACTION_IGNORE:
        scsi_req_complete(req, GOOD);
        break;
    default:
        complete_errno(req, ret);
        break;
    }
}

bool zbc_begin_callback(SCSIRequest *req)
{
    assert(req->aiocb);
    req->aiocb = NULL;
    if (req->io_canceled) {
        scsi_req_cancel_complete(req);
        scsi_req_unref(req);
        return false;
    }
    blk_continue_steps(req->dev->conf.blk);
    return true;
}

/* SYNCHRONIZE CACHE(16), as scsi-disk.c does the other one */
typedef struct ZbcFlush {
    SCSIRequest req;
    BlockAcctCookie acct;
} ZbcFlush;

static void flush_done(void *opaque, int ret)
{
    ZbcFlush *f = opaque;
    SCSIRequest *req = &f->req;
    BlockAcctStats *stats = blk_get_stats(req->dev->conf.blk);
    AioContext *ctx = zbc_context(req);

    aio_context_acquire(ctx);
    if (zbc_begin_callback(req)) {
        if (ret < 0) {
            block_acct_failed(stats, &f->acct);
            zbc_complete_io_error(req, ret);
        } else {
            block_acct_done(stats, &f->acct);
            scsi_req_complete(req, GOOD);
        }
        scsi_req_unref(req);
    }
    aio_context_release(ctx);
}

static int32_t flush_send_command(SCSIRequest *req, uint8_t *cdb)
{
    ZbcFlush *f = DO_UPCAST(ZbcFlush, req, req);
    BlockBackend *blk = req->dev->conf.blk;

    if (!blk_is_available(blk)) {
        zbc_complete_sense(req, SENSE_CODE(NO_MEDIUM));
        return 0;
    }
    scsi_req_ref(req);
    block_acct_start(blk_get_stats(blk), &f->acct, 0, BLOCK_ACCT_FLUSH);
    req->aiocb = blk_aio_flush(blk, flush_done, f);
    return 0;
}

static const SCSIReqOps flush_ops = {
    .size = sizeof(ZbcFlush),
    .send_command = flush_send_command,
};

static int32_t refuse_send_command(SCSIRequest *req, uint8_t *cdb)
{
    zbc_complete_sense(req, SENSE_CODE(INVALID_OPCODE));
    return 0;
}

static const SCSIReqOps refuse_ops = {
    .size = sizeof(SCSIRequest),
    .send_command = refuse_send_command,
};

const SCSIReqOps *scsi_zbc_reqops(SCSIDevice *dev, uint8_t opcode,
                                  const SCSIReqOps *plain)
{
    const bool hm = scsi_zbc_is_host_managed(scsi_disk_zbc(dev));

    switch (opcode) {
    case ZBC_IN:
        return &zbc_report_ops;
    case ZBC_OUT:
        return &zbc_mgmt_ops;
    case SYNCHRONIZE_CACHE_16:
        return &flush_ops;
    case VERIFY_10:
    case VERIFY_12:
    case VERIFY_16:
        return &zbc_verify_ops;
    case FORMAT_UNIT:
        /* Would have to reset all zones */
        return &refuse_ops;
    case READ_6:
    case WRITE_6:
    case UNMAP:
    case WRITE_SAME_10:
    case WRITE_SAME_16:
        return hm ? &refuse_ops : plain;
    default:
        return plain;
    }
}
