/*
 * SCSI disks with zones (ZBC): operations on zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "scsi-zbc-internal.h"
#include "trace.h"

/* Service actions */
enum {
    SA_CLOSE_ZONE = 0x01,
    SA_FINISH_ZONE = 0x02,
    SA_OPEN_ZONE = 0x03,
    SA_RESET_WRITE_POINTER = 0x04,
};

typedef struct ZbcMgmt {
    SCSIRequest req;
    BlockZoneOp op;
    int64_t start, end;         /* of the zones meant, in bytes */
    int64_t next;               /* zone to look at, or to change */
    uint32_t nr_eopen;          /* explicitly open when all is done */
    uint32_t nr_active;         /* active when all is done */
    unsigned int nr_zones;
    BlockZoneDescriptor *zones;
    BlockAcctCookie acct;
} ZbcMgmt;

static bool parse_service_action(uint8_t action, BlockZoneOp *op)
{
    switch (action) {
    case SA_CLOSE_ZONE:
        *op = BLK_ZO_CLOSE;
        return true;
    case SA_FINISH_ZONE:
        *op = BLK_ZO_FINISH;
        return true;
    case SA_OPEN_ZONE:
        *op = BLK_ZO_OPEN;
        return true;
    case SA_RESET_WRITE_POINTER:
        *op = BLK_ZO_RESET;
        return true;
    default:
        return false;
    }
}

/* Opening or closing a zone whose state does not ask for it is no mistake */
static int tolerate(BlockZoneOp op, int ret)
{
    return ret == -EPERM && (op == BLK_ZO_OPEN || op == BLK_ZO_CLOSE) ? 0
                                                                      : ret;
}

static void mgmt_complete(ZbcMgmt *m, int ret)
{
    SCSISense sense;

    ret = tolerate(m->op, ret);
    blk_zone_acct_end(m->req.dev->conf.blk, &m->acct, ret);
    if (scsi_zbc_sense(ret, &sense)) {
        zbc_complete_sense(&m->req, sense);
    } else if (ret < 0) {
        zbc_complete_io_error(&m->req, ret);
    } else {
        scsi_req_complete(&m->req, GOOD);
    }
    scsi_req_unref(&m->req);
}

static void mgmt_done(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = zbc_context(req);

    aio_context_acquire(ctx);
    if (zbc_begin_callback(req)) {
        mgmt_complete(m, ret);
    }
    aio_context_release(ctx);
}

static void mgmt_start(ZbcMgmt *m, int64_t offset, int64_t len,
                       BlockCompletionFunc *done)
{
    m->req.aiocb = blk_aio_zone_mgmt(m->req.dev->conf.blk, m->op, offset, len,
                                     done, m);
}

static void mgmt_report(ZbcMgmt *m, BlockCompletionFunc *done)
{
    if (!m->zones) {
        m->zones = g_new(BlockZoneDescriptor, ZBC_REPORT_CHUNK);
    }
    m->nr_zones = ZBC_REPORT_CHUNK;
    m->req.aiocb = blk_aio_zone_report(m->req.dev->conf.blk, m->next,
                                       &m->nr_zones, m->zones, done, m);
}

/* Several zones: all are looked at before any is changed (ZBC-37) */

static void mgmt_next_zone(ZbcMgmt *m);

static void mgmt_zone_done(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = zbc_context(req);

    aio_context_acquire(ctx);
    if (!zbc_begin_callback(req)) {
        goto out;
    }
    if (tolerate(m->op, ret) < 0 || m->next >= m->end) {
        mgmt_complete(m, ret);
    } else {
        mgmt_next_zone(m);
    }
out:
    aio_context_release(ctx);
}

static void mgmt_next_zone(ZbcMgmt *m)
{
    const SCSIZbc *z = scsi_disk_zbc(m->req.dev);
    int64_t start = m->next;
    int64_t len = MIN(z->limits.zone_size, m->end - start);

    m->next += len;
    mgmt_start(m, start, len, mgmt_zone_done);
}

/* May the operation meet this zone of the range? */
static int mgmt_check_zone(const BlockZoneDescriptor *zone)
{
    if (!zbc_is_sequential(zone)) {
        return -EINVAL;
    }
    switch (zone->state) {
    case BLK_ZS_RDONLY:
        return -EROFS;
    case BLK_ZS_OFFLINE:
        return -ENXIO;
    default:
        return 0;
    }
}

/* Look at a zone of the disk.  Returns 0, or why the operation cannot be. */
static int mgmt_visit(ZbcMgmt *m, const BlockZoneDescriptor *zone)
{
    bool inside = zone->start >= m->start && zone->start < m->end;
    bool opens = inside && m->op == BLK_ZO_OPEN &&
                 zone->state != BLK_ZS_FULL;

    m->nr_eopen += opens || zone->state == BLK_ZS_EOPEN;
    m->nr_active += opens || zone_state_is_active(zone->state);
    return inside ? mgmt_check_zone(zone) : 0;
}

static int mgmt_check_limits(const ZbcMgmt *m)
{
    const BlockZoneLimits *l = &scsi_disk_zbc(m->req.dev)->limits;

    if (m->op != BLK_ZO_OPEN) {
        return 0;
    }
    if (l->max_active_zones && m->nr_active > l->max_active_zones) {
        return -EOVERFLOW;
    }
    return l->max_open_zones && m->nr_eopen > l->max_open_zones ? -ETOOMANYREFS
                                                                : 0;
}

static void mgmt_visited(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = zbc_context(req);
    unsigned int i;

    aio_context_acquire(ctx);
    if (!zbc_begin_callback(req)) {
        goto out;
    }
    if (ret == 0 && !m->nr_zones) {
        ret = -EIO;
    }
    for (i = 0; ret == 0 && i < m->nr_zones; i++) {
        ret = mgmt_visit(m, &m->zones[i]);
    }
    if (ret < 0) {
        mgmt_complete(m, ret);
        goto out;
    }
    m->next = zbc_zone_end(&m->zones[m->nr_zones - 1]);
    if (m->next < zbc_disk_length(req->dev)) {
        mgmt_report(m, mgmt_visited);
        goto out;
    }
    ret = mgmt_check_limits(m);
    if (ret < 0) {
        mgmt_complete(m, ret);
    } else {
        m->next = m->start;
        mgmt_next_zone(m);
    }
out:
    aio_context_release(ctx);
}

/* Which zones a command means.  Returns 0 or -errno. */
static int mgmt_parse_range(ZbcMgmt *m, const uint8_t *cdb)
{
    SCSIDevice *dev = m->req.dev;
    const SCSIZbc *z = scsi_disk_zbc(dev);
    const int64_t length = zbc_disk_length(dev);
    int64_t count = MAX(1, lduw_be_p(&cdb[12]));

    if (cdb[14] & 1) {
        m->start = 0;
        m->end = length;
        return 0;
    }
    if (m->req.cmd.lba > dev->max_lba) {
        return -ZBC_ELBA;
    }
    m->start = zbc_lba_to_bytes(dev, m->req.cmd.lba);
    /* With gap zones, the second zone would be one */
    if (m->start % z->limits.zone_size || (count > 1 && zbc_has_gaps(z)) ||
        count > DIV_ROUND_UP(length - m->start, z->limits.zone_size)) {
        return -EINVAL;
    }
    m->end = length - m->start > count * z->limits.zone_size
        ? m->start + count * z->limits.zone_size : length;
    return 0;
}

/* Refused before the block layer has seen it */
static void mgmt_acct_invalid(ZbcMgmt *m)
{
    block_acct_invalid(blk_get_stats(m->req.dev->conf.blk),
                       block_zone_acct_type(m->op));
}

static int32_t mgmt_send_command(SCSIRequest *req, uint8_t *cdb)
{
    ZbcMgmt *m = DO_UPCAST(ZbcMgmt, req, req);
    int ret;

    if (!parse_service_action(cdb[1] & 0x1f, &m->op)) {
        zbc_complete_error(req, -EINVAL);
        return 0;
    }
    if (!blk_is_writable(req->dev->conf.blk)) {
        mgmt_acct_invalid(m);
        zbc_complete_sense(req, SENSE_CODE(WRITE_PROTECTED));
        return 0;
    }
    ret = mgmt_parse_range(m, cdb);
    if (ret < 0) {
        mgmt_acct_invalid(m);
        zbc_complete_error(req, ret);
        return 0;
    }
    trace_scsi_zbc_mgmt(req->tag, m->op, m->start, m->end - m->start);

    /* A request that waits for the VM to go on comes by here once more */
    m->nr_eopen = m->nr_active = 0;
    blk_zone_acct_start(req->dev->conf.blk, &m->acct, m->op);
    scsi_req_ref(req);
    if (cdb[14] & 1) {
        req->aiocb = blk_aio_zone_mgmt_all(req->dev->conf.blk, m->op,
                                           mgmt_done, m);
    } else if (lduw_be_p(&cdb[12]) > 1) {
        m->next = 0;
        mgmt_report(m, mgmt_visited);
    } else {
        mgmt_start(m, m->start, m->end - m->start, mgmt_done);
    }
    return 0;
}

static void mgmt_free(SCSIRequest *req)
{
    ZbcMgmt *m = DO_UPCAST(ZbcMgmt, req, req);

    g_free(m->zones);
}

const SCSIReqOps zbc_mgmt_ops = {
    .size = sizeof(ZbcMgmt),
    .free_req = mgmt_free,
    .send_command = mgmt_send_command,
};
