/*
 * SCSI disks with zones (ZBC): reads, writes and VERIFY
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "scsi-zbc-internal.h"
#include "sysemu/dma.h"
#include "trace.h"

/* Zones of a range that are looked at at a time */
#define CHECK_CHUNK 16

/* What a look at the zones of a range has shown */
typedef struct ZbcCheck {
    SCSIRequest *req;
    BlockCompletionFunc *done;
    void *opaque;
    int64_t offset, end;        /* the range, in bytes */
    int64_t next;               /* byte of the next zone to look at */
    bool is_write;
    bool seen;                  /* @first is valid */
    bool offline, rdonly;       /* is one of the zones? */
    bool gap;                   /* is a gap zone touched? */
    bool mixed;                 /* zones of more than one type? */
    bool several;               /* more than one sequential zone? */
    bool unwritten;             /* behind a write pointer? */
    BlockZoneDescriptor first;
    unsigned int nr_zones;
    BlockZoneDescriptor zones[CHECK_CHUNK];
} ZbcCheck;

static void check_zone_of_range(ZbcCheck *c, const BlockZoneDescriptor *zone)
{
    c->offline |= zone->state == BLK_ZS_OFFLINE;
    c->rdonly |= zone->state == BLK_ZS_RDONLY;
    c->gap |= c->end > zbc_cap_end(zone) && zone->cap < zone->length;
    if (c->seen) {
        c->mixed |= zone->type != c->first.type;
        c->several |= zbc_is_sequential(zone);
    } else {
        c->first = *zone;
        c->seen = true;
    }
    switch (zone->state) {
    case BLK_ZS_EMPTY:
    case BLK_ZS_IOPEN:
    case BLK_ZS_EOPEN:
    case BLK_ZS_CLOSED:
        c->unwritten |= c->end > zone->wp;
        break;
    default:
        break;
    }
}

static int check_read_result(const ZbcCheck *c, bool restricted)
{
    if (c->offline) {
        return -ENXIO;
    }
    if (c->gap) {
        return -ZBC_EGAP;
    }
    if (c->mixed || (restricted && c->several)) {
        return -ZBC_EREADBORDER;
    }
    return restricted && c->unwritten ? -ZBC_EUNWRITTEN : 0;
}

/* The order is that of ZBC-61; what is left the block layer finds */
static int check_write_result(const ZbcCheck *c, uint32_t physical)
{
    if (c->offset >= zbc_cap_end(&c->first)) {
        return -ZBC_EGAP;
    }
    if (c->offline) {
        return -ENXIO;
    }
    if (c->rdonly) {
        return -EROFS;
    }
    if (c->mixed || c->several || c->gap) {
        return -ERANGE;
    }
    if (!zbc_is_sequential(&c->first)) {
        return 0;
    }
    if (c->first.state == BLK_ZS_FULL) {
        return -EFBIG;
    }
    if (c->offset != c->first.wp || c->end & (physical - 1)) {
        return -ESPIPE;
    }
    return 0;
}

static void check_read_more(ZbcCheck *c);

static void check_read(void *opaque, int ret)
{
    ZbcCheck *c = opaque;
    SCSIDevice *dev = c->req->dev;
    AioContext *ctx = zbc_context(c->req);
    unsigned int i;

    aio_context_acquire(ctx);
    assert(c->req->aiocb);
    c->req->aiocb = NULL;
    blk_continue_steps(dev->conf.blk);
    if (ret == 0 && !c->nr_zones) {
        ret = -EIO;
    }
    if (ret == 0) {
        for (i = 0; i < c->nr_zones && c->next < c->end; i++) {
            check_zone_of_range(c, &c->zones[i]);
            c->next = zbc_zone_end(&c->zones[i]);
        }
        if (c->next < c->end && !c->req->io_canceled) {
            check_read_more(c);
            goto out;
        }
        ret = c->is_write
            ? check_write_result(c, dev->conf.physical_block_size)
            : check_read_result(c, !scsi_disk_zbc(dev)->urswrz);
    }
    trace_scsi_zbc_check(c->req->tag, c->is_write, c->offset,
                         c->end - c->offset, ret);
    c->done(c->opaque, ret);
    g_free(c);
out:
    aio_context_release(ctx);
}

static void check_read_more(ZbcCheck *c)
{
    c->nr_zones = CHECK_CHUNK;
    c->req->aiocb = blk_aio_zone_report(c->req->dev->conf.blk, c->next,
                                        &c->nr_zones, c->zones, check_read, c);
}

static bool is_suspect(const SCSIDevice *dev, const SCSIZbc *z,
                       int64_t offset, int64_t bytes, bool is_write)
{
    if (!scsi_zbc_is_host_managed(z) || !bytes) {
        return false;
    }
    if (offset % z->limits.zone_size + bytes > z->capacity) {
        return true;
    }
    return is_write ? (offset + bytes) & (dev->conf.physical_block_size - 1)
                    : !z->urswrz;
}

/* Do not move more data than the CDB says, if the HBA has a larger buffer */
static void limit_sg(QEMUSGList *sg, dma_addr_t bytes)
{
    dma_addr_t left = bytes;
    int i;

    if (sg->size <= bytes) {
        return;
    }
    for (i = 0; i < sg->nsg && left; i++) {
        sg->sg[i].len = MIN(sg->sg[i].len, left);
        left -= sg->sg[i].len;
    }
    sg->nsg = i;
    sg->size = bytes;
}

bool scsi_zbc_check_rw(SCSIRequest *req, int64_t offset, int64_t bytes,
                       bool is_write, BlockCompletionFunc *done, void *opaque)
{
    const SCSIZbc *z = scsi_disk_zbc(req->dev);
    ZbcCheck *c;

    if (req->sg) {
        limit_sg(req->sg, bytes);
    }
    if (!is_suspect(req->dev, z, offset, bytes, is_write)) {
        return false;
    }
    c = g_new0(ZbcCheck, 1);
    c->req = req;
    c->done = done;
    c->opaque = opaque;
    c->offset = c->next = offset;
    c->end = offset + bytes;
    c->is_write = is_write;
    check_read_more(c);
    return true;
}

size_t scsi_zbc_write_buffer_size(SCSIDevice *dev, uint32_t bytes,
                                  size_t plain)
{
    return scsi_zbc_is_zoned(scsi_disk_zbc(dev)) ? MAX(bytes, plain) : plain;
}

bool scsi_zbc_can_write(SCSIRequest *req, uint32_t bytes)
{
    return req->sg ? req->sg->size >= bytes : bytes <= ZBC_GATHER_MAX;
}

/* VERIFY without data: a read that shows nothing (ZBC-77) */
static void verify_done(void *opaque, int ret)
{
    SCSIRequest *req = opaque;

    if (req->io_canceled) {
        scsi_req_cancel_complete(req);
    } else if (ret < 0) {
        zbc_complete_error(req, ret);
    } else {
        scsi_req_complete(req, GOOD);
    }
    scsi_req_unref(req);
}

static int32_t verify_send_command(SCSIRequest *req, uint8_t *cdb)
{
    SCSIDevice *dev = req->dev;
    const uint64_t lba = req->cmd.lba;
    const uint64_t nr = scsi_data_cdb_xfer(cdb);

    if (cdb[1] & 6) {
        zbc_complete_error(req, -EINVAL);
        return 0;
    }
    if (lba > dev->max_lba + 1 || nr > dev->max_lba + 1 - lba) {
        zbc_complete_error(req, -ZBC_ELBA);
        return 0;
    }
    scsi_req_ref(req);
    if (!scsi_zbc_check_rw(req, zbc_lba_to_bytes(dev, lba),
                           zbc_lba_to_bytes(dev, nr), false, verify_done,
                           req)) {
        verify_done(req, 0);
    }
    return 0;
}

const SCSIReqOps zbc_verify_ops = {
    .size = sizeof(SCSIRequest),
    .send_command = verify_send_command,
};
