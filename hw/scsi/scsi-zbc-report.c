/*
 * SCSI disks with zones (ZBC): REPORT ZONES
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With a scatter/gather list, descriptors go to the guest while zones are read,
 * and the header follows.  Without one the header must go first, and zones are
 * read twice: to count and to report.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "scsi-zbc-internal.h"
#include "sysemu/dma.h"
#include "trace.h"

/* Of the reply: the header, and each descriptor */
#define DESC_SIZE 64

/* Every zone of a chunk with its gap zone, and the header */
#define REPORT_BUF_SIZE ((2 * ZBC_REPORT_CHUNK + 1) * DESC_SIZE)

#define SA_REPORT_ZONES 0x00

/* Reporting options of REPORT ZONES */
enum {
    REPORT_ALL = 0x00,
    REPORT_EMPTY = 0x01,
    REPORT_IOPEN = 0x02,
    REPORT_EOPEN = 0x03,
    REPORT_CLOSED = 0x04,
    REPORT_FULL = 0x05,
    REPORT_RDONLY = 0x06,
    REPORT_OFFLINE = 0x07,
    REPORT_INACTIVE = 0x08,
    REPORT_RESET = 0x10,
    REPORT_NON_SEQ = 0x11,
    REPORT_ALL_BUT_GAP = 0x3e,
    REPORT_NOT_WP = 0x3f,
};

/* A zone type that the block layer does not have */
#define ZBC_ZT_GAP 5

typedef struct ZbcReport {
    SCSIRequest req;
    uint8_t option;
    bool partial;
    bool counting;              /* the first of two times */
    bool started;
    int64_t start;              /* in bytes */
    int64_t next;               /* byte of the next zone to look at */
    uint32_t room;              /* for the reply, in bytes */
    uint64_t nr;                /* descriptors that match */
    uint64_t max_nr;            /* more than these have not been announced */
    /* Of the descriptors that are returned */
    uint64_t first_len, last_len;
    uint8_t first_type;
    bool types_differ;
    bool lengths_differ;        /* not counting the last */
    /* The reply, from @put on */
    uint8_t *buf;
    size_t filled;
    uint32_t put;               /* bytes handed over */
    /* Place in the scatter/gather list */
    int sg_index;
    dma_addr_t sg_offset;
    unsigned int nr_zones;
    BlockZoneDescriptor *zones;
} ZbcReport;

typedef struct ZbcDescriptor {
    uint8_t type;
    uint8_t condition;
    bool non_seq;
    int64_t start, length, wp;  /* in bytes; wp -1: none */
} ZbcDescriptor;

static bool report_option_is_valid(uint8_t option)
{
    switch (option) {
    case REPORT_ALL ... REPORT_INACTIVE:
    case REPORT_RESET:
    case REPORT_NON_SEQ:
    case REPORT_ALL_BUT_GAP:
    case REPORT_NOT_WP:
        return true;
    default:
        return false;
    }
}

static bool matches(uint8_t option, const ZbcDescriptor *d)
{
    switch (option) {
    case REPORT_ALL:
        return true;
    case REPORT_EMPTY:
        return d->condition == BLK_ZS_EMPTY;
    case REPORT_IOPEN:
        return d->condition == BLK_ZS_IOPEN;
    case REPORT_EOPEN:
        return d->condition == BLK_ZS_EOPEN;
    case REPORT_CLOSED:
        return d->condition == BLK_ZS_CLOSED;
    case REPORT_FULL:
        return d->condition == BLK_ZS_FULL;
    case REPORT_RDONLY:
        return d->condition == BLK_ZS_RDONLY;
    case REPORT_OFFLINE:
        return d->condition == BLK_ZS_OFFLINE;
    case REPORT_NON_SEQ:
        return d->non_seq;
    case REPORT_ALL_BUT_GAP:
        return d->type != ZBC_ZT_GAP;
    case REPORT_NOT_WP:
        return d->condition == BLK_ZS_NOT_WP;
    default:
        return false;
    }
}

/* Offset in the reply of descriptor number @n */
static uint64_t desc_offset(uint64_t n)
{
    return DESC_SIZE + n * DESC_SIZE;
}

static bool report_is_full(const ZbcReport *r)
{
    return desc_offset(r->nr) >= r->room;
}

static void put_descriptor(const SCSIDevice *dev, uint8_t *p,
                           const ZbcDescriptor *d)
{
    memset(p, 0, DESC_SIZE);
    p[0] = d->type;
    p[1] = d->condition << 4 | d->non_seq << 1;
    stq_be_p(&p[8], zbc_bytes_to_lba(dev, d->length));
    stq_be_p(&p[16], zbc_bytes_to_lba(dev, d->start));
    stq_be_p(&p[24], d->wp < 0 ? UINT64_MAX : zbc_bytes_to_lba(dev, d->wp));
}

/* What SAME will say (ZBC-25) */
static void note_same(ZbcReport *r, const ZbcDescriptor *d)
{
    if (!r->nr) {
        r->first_type = d->type;
        r->first_len = d->length;
    } else {
        r->types_differ |= d->type != r->first_type;
        r->lengths_differ |= r->last_len != r->first_len;
    }
    r->last_len = d->length;
}

static uint8_t same(const ZbcReport *r)
{
    if (!r->nr || r->room <= DESC_SIZE || r->lengths_differ) {
        return 0;
    }
    if (r->last_len == r->first_len) {
        return r->types_differ ? 3 : 1;
    }
    return r->types_differ || r->last_len > r->first_len ? 0 : 2;
}

static void add_descriptor(ZbcReport *r, const ZbcDescriptor *d)
{
    if (!matches(r->option, d)) {
        return;
    }
    if (!report_is_full(r)) {
        note_same(r, d);
        if (!r->counting) {
            put_descriptor(r->req.dev, r->buf + r->filled, d);
            r->filled += DESC_SIZE;
        }
    }
    r->nr++;
}

/* A zone, and the gap zone behind it */
static void add_zone(ZbcReport *r, const BlockZoneDescriptor *zone)
{
    if (r->start < zbc_cap_end(zone)) {
        ZbcDescriptor d = {
            .type = zone->type,
            .condition = zone->state,
            .non_seq = zone->non_seq,
            .start = zone->start,
            .length = zone->cap,
            .wp = zone->state == BLK_ZS_FULL ? zbc_cap_end(zone) : zone->wp,
        };

        add_descriptor(r, &d);
    }
    if (zone->cap < zone->length && r->nr < r->max_nr) {
        ZbcDescriptor gap = {
            .type = ZBC_ZT_GAP,
            .condition = BLK_ZS_NOT_WP,
            .start = zbc_cap_end(zone),
            .length = zone->length - zone->cap,
            .wp = -1,
        };

        add_descriptor(r, &gap);
    }
}

static uint64_t announced(const ZbcReport *r)
{
    /* Those that fit, whole */
    uint64_t fit = r->room < DESC_SIZE ? 0 : r->room / DESC_SIZE - 1;

    return r->partial ? MIN(r->nr, fit) : r->nr;
}

static void put_header(const ZbcReport *r, uint8_t *p)
{
    const SCSIDevice *dev = r->req.dev;
    const SCSIZbc *z = scsi_disk_zbc(r->req.dev);

    memset(p, 0, DESC_SIZE);
    stl_be_p(&p[0], announced(r) * DESC_SIZE);
    p[4] = same(r);
    stq_be_p(&p[8], dev->max_lba);
    if (zbc_has_gaps(z)) {
        stq_be_p(&p[16], zbc_bytes_to_lba(dev, z->limits.zone_size));
    }
}

/* Write to the scatter/gather list at its place, and move that */
static void sg_put(ZbcReport *r, const uint8_t *buf, size_t len)
{
    QEMUSGList *sg = r->req.sg;

    while (len && r->sg_index < sg->nsg) {
        const ScatterGatherEntry *e = &sg->sg[r->sg_index];
        dma_addr_t n = MIN(len, e->len - r->sg_offset);

        dma_memory_write(sg->as, e->base + r->sg_offset, buf, n,
                         MEMTXATTRS_UNSPECIFIED);
        buf += n;
        len -= n;
        r->sg_offset += n;
        if (r->sg_offset == e->len) {
            r->sg_index++;
            r->sg_offset = 0;
        }
    }
}

static void sg_seek(ZbcReport *r, dma_addr_t offset)
{
    const QEMUSGList *sg = r->req.sg;

    r->sg_index = 0;
    while (r->sg_index < sg->nsg && offset >= sg->sg[r->sg_index].len) {
        offset -= sg->sg[r->sg_index++].len;
    }
    r->sg_offset = offset;
}

static void report_read_more(ZbcReport *r);

static void report_finish_sg(ZbcReport *r)
{
    put_header(r, r->buf);
    sg_seek(r, 0);
    sg_put(r, r->buf, MIN(r->room, DESC_SIZE));
    r->req.residual = r->req.cmd.xfer - MAX(r->put, MIN(r->room, DESC_SIZE));
    scsi_req_complete(&r->req, GOOD);
}

/* All has been counted: from here on, descriptors follow the header */
static void report_begin_data(ZbcReport *r)
{
    put_header(r, r->buf);
    r->counting = false;
    r->filled = DESC_SIZE;
    r->max_nr = r->nr;
    r->nr = 0;
    r->next = r->start;
}

/* Hand what there is over to the HBA, which then asks for more */
static void report_give(ZbcReport *r)
{
    uint32_t len = MIN(r->filled, r->room - r->put);

    r->put += len;
    r->filled = 0;
    scsi_req_data(&r->req, len);
}

static bool report_at_end(const ZbcReport *r)
{
    return r->next >= zbc_disk_length(r->req.dev) || r->nr >= r->max_nr ||
           (report_is_full(r) && (r->partial || (!r->counting && !r->req.sg)));
}

/* Count the rest without looking, where that is possible */
static void report_count_rest(ZbcReport *r)
{
    const SCSIZbc *z = scsi_disk_zbc(r->req.dev);
    int64_t rest = zbc_disk_length(r->req.dev) - r->next;

    if (rest > 0 && report_is_full(r) && !r->partial && !zbc_has_gaps(z) &&
        (r->option == REPORT_ALL || r->option == REPORT_ALL_BUT_GAP)) {
        int64_t begun = r->next % z->limits.zone_size;

        r->nr += DIV_ROUND_UP(rest + begun, z->limits.zone_size);
        r->next += rest;
    }
}

/* Zones have been read, or none are needed.  Drops the reference. */
static void report_advance(ZbcReport *r)
{
    if (r->req.sg || r->counting) {
        report_count_rest(r);
    }
    if (r->req.sg) {
        if (r->filled) {
            uint32_t len = MIN(r->filled, r->room - r->put);

            sg_put(r, r->buf, len);
            r->put += len;
            r->filled = 0;
        }
        if (!report_at_end(r)) {
            report_read_more(r);
            return;
        }
        report_finish_sg(r);
    } else if (!report_at_end(r)) {
        if (r->counting || !r->filled) {
            report_read_more(r);
            return;
        }
        report_give(r);
    } else if (r->counting) {
        report_begin_data(r);
        report_give(r);
    } else if (r->filled) {
        report_give(r);
    } else {
        scsi_req_complete(&r->req, GOOD);
    }
    scsi_req_unref(&r->req);
}

static void report_read(void *opaque, int ret)
{
    ZbcReport *r = opaque;
    SCSIRequest *req = &r->req;
    AioContext *ctx = zbc_context(req);
    unsigned int i;

    aio_context_acquire(ctx);
    if (!zbc_begin_callback(req)) {
        goto out;
    }
    if (ret == 0 && !r->nr_zones) {
        ret = -EIO;
    }
    if (ret < 0) {
        zbc_complete_error(req, ret);
        scsi_req_unref(req);
        goto out;
    }
    for (i = 0; i < r->nr_zones && r->nr < r->max_nr; i++) {
        add_zone(r, &r->zones[i]);
    }
    r->next = zbc_zone_end(&r->zones[r->nr_zones - 1]);
    report_advance(r);
out:
    aio_context_release(ctx);
}

static void report_read_more(ZbcReport *r)
{
    r->nr_zones = ZBC_REPORT_CHUNK;
    r->req.aiocb = blk_aio_zone_report(r->req.dev->conf.blk, r->next,
                                       &r->nr_zones, r->zones, report_read,
                                       r);
}

static void report_read_data(SCSIRequest *req)
{
    ZbcReport *r = DO_UPCAST(ZbcReport, req, req);

    scsi_req_ref(req);
    if (r->started) {
        report_advance(r);
        return;
    }
    r->started = true;
    r->buf = g_malloc(REPORT_BUF_SIZE);
    r->zones = g_new(BlockZoneDescriptor, ZBC_REPORT_CHUNK);
    if (req->sg) {
        r->put = MIN(r->room, DESC_SIZE);
        sg_seek(r, DESC_SIZE);
    } else {
        r->counting = true;
    }
    report_advance(r);
}

static int32_t report_send_command(SCSIRequest *req, uint8_t *cdb)
{
    ZbcReport *r = DO_UPCAST(ZbcReport, req, req);
    SCSIDevice *dev = req->dev;

    r->option = cdb[14] & 0x3f;
    r->partial = cdb[14] & 0x80;
    trace_scsi_zbc_report(req->tag, req->cmd.lba, req->cmd.xfer, r->option,
                          r->partial);

    if ((cdb[1] & 0x1f) != SA_REPORT_ZONES ||
        !report_option_is_valid(r->option)) {
        zbc_complete_error(req, -EINVAL);
        return 0;
    }
    if (req->cmd.lba > dev->max_lba) {
        zbc_complete_error(req, -ZBC_ELBA);
        return 0;
    }
    r->start = r->next = zbc_lba_to_bytes(dev, req->cmd.lba);
    r->max_nr = UINT64_MAX;
    r->room = req->cmd.xfer;
    if (req->sg) {
        r->room = MIN(r->room, req->sg->size);
    }
    if (!r->room) {
        scsi_req_complete(req, GOOD);
    }
    return r->room;
}

static uint8_t *report_get_buf(SCSIRequest *req)
{
    ZbcReport *r = DO_UPCAST(ZbcReport, req, req);

    return r->buf;
}

static void report_free(SCSIRequest *req)
{
    ZbcReport *r = DO_UPCAST(ZbcReport, req, req);

    g_free(r->buf);
    g_free(r->zones);
}

const SCSIReqOps zbc_report_ops = {
    .size = sizeof(ZbcReport),
    .free_req = report_free,
    .send_command = report_send_command,
    .read_data = report_read_data,
    .get_buf = report_get_buf,
};
