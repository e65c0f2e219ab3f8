/*
 * SCSI disks with zones (ZBC)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Decoding, checks that belong to SCSI, replies and sense.  The numbers ZBC-n
 * are those of docs/devel/zoned-conformance-scsi.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "hw/scsi/scsi.h"
#include "scsi/constants.h"
#include "scsi/utils.h"
#include "scsi-zbc.h"
#include "sysemu/block-backend.h"
#include "sysemu/dma.h"
#include "trace.h"

/*
 * Zones asked of the block layer at a time.  Between two times others have
 * their turn, and the lock of the machine changes hands.
 */
#define REPORT_CHUNK 1024
#define CHECK_CHUNK 16

/* Of the reply to REPORT ZONES: the header, and each descriptor */
#define DESC_SIZE 64

/* Every zone of a chunk with its gap zone, and the header */
#define REPORT_BUF_SIZE ((2 * REPORT_CHUNK + 1) * DESC_SIZE)

/* Most that one write can have if its data must be gathered */
#define GATHER_MAX (16 * MiB)

/* The largest block size that READ CAPACITY can tell: bits 8 to 15 of it */
#define MAX_BLOCK_SIZE 32768

/* libzbc does not count further (ZBC-12) */
#define MAX_BLOCKS_PER_PHYSICAL 8

/* Service actions */
enum {
    SA_CLOSE_ZONE = 0x01,
    SA_FINISH_ZONE = 0x02,
    SA_OPEN_ZONE = 0x03,
    SA_RESET_WRITE_POINTER = 0x04,
    SA_REPORT_ZONES = 0x00,
};

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

/* Errors that only SCSI knows, beside those of block/zoned.h */
enum {
    ZBC_EGAP = 0x10000,         /* touches a gap zone */
    ZBC_EUNWRITTEN,             /* reads what was not written */
    ZBC_EREADBORDER,            /* reads over a border of zones */
    ZBC_ELBA,                   /* beyond the last LBA */
};

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

    for (i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].error == -ret) {
            *sense = errors[i].sense;
            return true;
        }
    }
    return false;
}

static bool has_gaps(const SCSIZbc *z)
{
    return z->capacity < z->limits.zone_size;
}

static int64_t lba_to_bytes(const SCSIDevice *dev, uint64_t lba)
{
    return lba * dev->blocksize;
}

static uint64_t bytes_to_lba(const SCSIDevice *dev, int64_t bytes)
{
    return bytes / dev->blocksize;
}

/* Up to where a guest may use the disk */
static int64_t disk_length(const SCSIDevice *dev)
{
    return lba_to_bytes(dev, dev->max_lba + 1);
}

static int64_t zone_end(const BlockZoneDescriptor *d)
{
    return d->start + d->length;
}

static int64_t cap_end(const BlockZoneDescriptor *d)
{
    return d->start + d->cap;
}

static bool is_sequential(const BlockZoneDescriptor *d)
{
    return d->type != BLK_ZT_CONV;
}

/*
 * Set-up
 */

static bool settle_block_sizes(BlockConf *conf, const BlockZoneLimits *l,
                               Error **errp)
{
    const uint32_t granularity = l->write_granularity;

    if (granularity < BDRV_SECTOR_SIZE || granularity > MAX_BLOCK_SIZE ||
        !is_power_of_2(granularity)) {
        error_setg(errp, "SCSI cannot serve a write granularity of %" PRIu32
                   " bytes: it must be a power of two from %d to %d",
                   granularity, (int)BDRV_SECTOR_SIZE, MAX_BLOCK_SIZE);
        return false;
    }
    /* Guests may write any number of logical blocks (ZBC-62) */
    if (!conf->logical_block_size) {
        conf->logical_block_size = granularity;
    }
    if (conf->logical_block_size != granularity) {
        error_setg(errp, "logical_block_size=%" PRIu32 " does not suit the "
                   "zoned drive, it must be the write granularity, %" PRIu32,
                   conf->logical_block_size, granularity);
        return false;
    }
    if (!conf->physical_block_size && granularity > BDRV_SECTOR_SIZE) {
        conf->physical_block_size = granularity;
    }
    return true;
}

bool scsi_zbc_settle(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    const BlockZoneLimits *l = blk_zone_limits(dev->conf.blk);

    dev->conf.supports_zoned = true;
    z->limits = (BlockZoneLimits) { .model = BLK_Z_NONE };
    if (l->model == BLK_Z_NONE) {
        if (z->zoned == ON_OFF_AUTO_ON) {
            error_setg(errp, "zoned=on needs a zoned drive");
            return false;
        }
        return true;
    }
    if (z->zoned == ON_OFF_AUTO_OFF) {
        if (l->model == BLK_Z_HM) {
            error_setg(errp, "zoned=off is not possible with a host-managed "
                       "drive: a guest must know its zones to write to it");
            return false;
        }
        return true;
    }
    if (!z->urswrz && l->model != BLK_Z_HM) {
        error_setg(errp, "urswrz=off needs a host-managed drive: others do "
                   "not restrict reads");
        return false;
    }
    if (!settle_block_sizes(&dev->conf, l, errp)) {
        return false;
    }
    z->limits = *l;
    z->capacity = l->zone_size;
    if (l->model == BLK_Z_HM) {
        dev->type = TYPE_ZBC;
        /* What was written goes away with the write pointer only (ZBC-13) */
        dev->conf.discard_granularity = 0;
    }
    return true;
}

static bool check_physical_block(const SCSIDevice *dev, const SCSIZbc *z,
                                 Error **errp)
{
    const uint32_t logical = dev->conf.logical_block_size;
    const uint32_t physical = dev->conf.physical_block_size;

    if (physical / logical > MAX_BLOCKS_PER_PHYSICAL) {
        error_setg(errp, "physical_block_size=%" PRIu32 " is too large for a "
                   "zoned drive, it must be at most %d logical blocks of %"
                   PRIu32, physical, MAX_BLOCKS_PER_PHYSICAL, logical);
        return false;
    }
    if (z->limits.zone_size % physical || z->capacity % physical ||
        blk_getlength(dev->conf.blk) % physical) {
        error_setg(errp, "physical_block_size=%" PRIu32 " does not suit the "
                   "zoned drive, its size, the zone size (%" PRId64 ") and "
                   "the zone capacity (%" PRId64 ") must be multiples of it",
                   physical, z->limits.zone_size, z->capacity);
        return false;
    }
    return true;
}

/*
 * Is the zone one that the protocol can express, with those before it?
 * @capacity is that of the sequential zones before it, or -1.
 */
static bool check_zone(const SCSIZbc *z, const BlockZoneDescriptor *d,
                       int64_t *capacity, Error **errp)
{
    if (!is_sequential(d)) {
        if (d->cap == d->length) {
            return true;
        }
        error_setg(errp, "SCSI cannot show the zoned drive: the conventional "
                   "zone at byte %" PRId64 " cannot be used to its end",
                   d->start);
        return false;
    }
    if (*capacity < 0) {
        *capacity = d->length < z->limits.zone_size && d->cap == d->length
            ? z->limits.zone_size : d->cap;
    }
    if (d->cap == MIN(*capacity, d->length)) {
        return true;
    }
    error_setg(errp, "SCSI cannot show the zoned drive: its zones must have "
               "one capacity, but the zone at byte %" PRId64 " has %" PRId64
               " bytes and those before it have %" PRId64, d->start, d->cap,
               *capacity);
    return false;
}

static bool find_capacity(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  REPORT_CHUNK);
    const int64_t length = blk_getlength(dev->conf.blk);
    int64_t capacity = -1;
    int64_t pos = 0;

    while (pos < length) {
        unsigned int n = REPORT_CHUNK;
        unsigned int i;
        int ret = blk_zone_report(dev->conf.blk, pos, &n, zones);

        if (ret < 0 || !n) {
            error_setg_errno(errp, ret < 0 ? -ret : EIO,
                             "Cannot read the zones of the zoned drive");
            return false;
        }
        for (i = 0; i < n; i++) {
            if (!check_zone(z, &zones[i], &capacity, errp)) {
                return false;
            }
        }
        pos = zone_end(&zones[n - 1]);
    }
    if (capacity >= 0) {
        z->capacity = capacity;
    }
    return true;
}

static void warn_of_guests(const SCSIDevice *dev, const SCSIZbc *z)
{
    if (z->limits.model == BLK_Z_HM && !is_power_of_2(z->limits.zone_size)) {
        warn_report("zoned drive '%s': Linux guests do not take a zone size "
                    "that is no power of two (%" PRId64 " bytes)",
                    bdrv_get_device_or_node_name(blk_bs(dev->conf.blk)),
                    z->limits.zone_size);
    }
    if (!z->urswrz) {
        warn_report("zoned drive '%s': Linux guests do not take a drive with "
                    "urswrz=off",
                    bdrv_get_device_or_node_name(blk_bs(dev->conf.blk)));
    }
}

bool scsi_zbc_realize(SCSIDevice *dev, SCSIZbc *z, Error **errp)
{
    if (!scsi_zbc_is_zoned(z)) {
        return true;
    }
    if (!blk_is_inserted(dev->conf.blk)) {
        error_setg(errp, "A zoned drive needs media");
        return false;
    }
    if (!find_capacity(dev, z, errp) || !check_physical_block(dev, z, errp)) {
        return false;
    }
    if (has_gaps(z) && z->limits.model != BLK_Z_HM) {
        error_setg(errp, "SCSI cannot show a zone capacity (%" PRId64 ") below "
                   "the zone size on a drive that is not host-managed",
                   z->capacity);
        return false;
    }
    warn_of_guests(dev, z);
    return true;
}

/*
 * Inquiry
 */

/* Scatter/gather lists bring all data of a write at once */
static bool must_gather(const SCSIDevice *dev)
{
    SCSIBus *bus = DO_UPCAST(SCSIBus, qbus, dev->qdev.parent_bus);

    return !bus->info->get_sg_list;
}

void scsi_zbc_block_limits(SCSIDevice *dev, SCSIBlockLimits *bl)
{
    const SCSIZbc *z = scsi_disk_zbc(dev);
    int64_t max = z->limits.zone_size;

    if (must_gather(dev)) {
        max = MIN(max, GATHER_MAX);
    }
    max = MIN(bytes_to_lba(dev, max), UINT32_MAX);
    bl->max_io_sectors = MIN_NON_ZERO(bl->max_io_sectors, max);
    if (scsi_zbc_is_host_managed(z)) {
        bl->unmap_sectors = 0;
        bl->max_unmap_sectors = 0;
        bl->max_unmap_descr = 0;
    }
}

/* Active zones are no notion of SCSI: the most that can be open */
static uint32_t max_open(const BlockZoneLimits *l)
{
    uint32_t max = MIN_NON_ZERO(l->max_open_zones, l->max_active_zones);

    return max ? max : UINT32_MAX;
}

int scsi_zbc_vpd_page(SCSIDevice *dev, uint8_t *outbuf)
{
    const SCSIZbc *z = scsi_disk_zbc(dev);

    outbuf[4] = z->urswrz;
    if (!scsi_zbc_is_host_managed(z)) {
        outbuf[4] |= 1 << 4;
    }
    stl_be_p(&outbuf[8], UINT32_MAX);
    stl_be_p(&outbuf[12], UINT32_MAX);
    stl_be_p(&outbuf[16], scsi_zbc_is_host_managed(z) ? max_open(&z->limits)
                                                      : UINT32_MAX);
    if (has_gaps(z)) {
        outbuf[23] = 8;
        stq_be_p(&outbuf[24], bytes_to_lba(dev, z->limits.zone_size));
    }
    return 0x40;
}

/*
 * Requests of ours
 */

static AioContext *req_context(SCSIRequest *req)
{
    return blk_get_aio_context(req->dev->conf.blk);
}

static void complete_sense(SCSIRequest *req, SCSISense sense)
{
    trace_scsi_zbc_check_condition(req->tag, sense.key, sense.asc,
                                   sense.ascq);
    scsi_req_build_sense(req, sense);
    scsi_req_complete(req, CHECK_CONDITION);
}

/* Complete a request that failed with @ret, of whatever kind */
static void complete_error(SCSIRequest *req, int ret)
{
    SCSISense sense = SENSE_CODE(NO_SENSE);
    int status = CHECK_CONDITION;

    if (!scsi_zbc_sense(ret, &sense)) {
        status = scsi_sense_from_errno(-ret, &sense);
    }
    if (status == CHECK_CONDITION) {
        complete_sense(req, sense);
    } else {
        scsi_req_complete(req, status);
    }
}

/* Of a request that changes the disk, a real I/O error is werror's matter */
static void complete_io_error(SCSIRequest *req, int ret)
{
    BlockBackend *blk = req->dev->conf.blk;
    BlockErrorAction action = blk_get_error_action(blk, false, -ret);
    SCSISense sense = SENSE_CODE(NO_SENSE);
    int status;

    blk_error_action(blk, action, false, -ret);
    switch (action) {
    case BLOCK_ERROR_ACTION_STOP:
        scsi_req_retry(req);
        break;
    case BLOCK_ERROR_ACTION_IGNORE:
        scsi_req_complete(req, GOOD);
        break;
    default:
        status = scsi_sense_from_errno(-ret, &sense);
        if (status == CHECK_CONDITION) {
            complete_sense(req, sense);
        } else {
            scsi_req_complete(req, status);
        }
        break;
    }
}

/*
 * What each callback of a request to the block layer begins with.  Returns
 * false if the request has been cancelled, and is done with.
 */
static bool begin_callback(SCSIRequest *req)
{
    assert(req->aiocb);
    req->aiocb = NULL;
    if (req->io_canceled) {
        scsi_req_cancel_complete(req);
        return false;
    }
    return true;
}

/*
 * REPORT ZONES.  With a scatter/gather list, descriptors go to the guest while
 * zones are read, and the header follows.  Without one the header must go
 * first, and zones are read twice: to count and to report.
 */

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
    stq_be_p(&p[8], bytes_to_lba(dev, d->length));
    stq_be_p(&p[16], bytes_to_lba(dev, d->start));
    stq_be_p(&p[24], d->wp < 0 ? UINT64_MAX : bytes_to_lba(dev, d->wp));
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
    if (r->start < cap_end(zone)) {
        ZbcDescriptor d = {
            .type = zone->type,
            .condition = zone->state,
            .non_seq = zone->non_seq,
            .start = zone->start,
            .length = zone->cap,
            .wp = zone->state == BLK_ZS_FULL ? cap_end(zone) : zone->wp,
        };

        add_descriptor(r, &d);
    }
    if (zone->cap < zone->length && r->nr < r->max_nr) {
        ZbcDescriptor gap = {
            .type = ZBC_ZT_GAP,
            .condition = BLK_ZS_NOT_WP,
            .start = cap_end(zone),
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
    if (has_gaps(z)) {
        stq_be_p(&p[16], bytes_to_lba(dev, z->limits.zone_size));
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
    return r->next >= disk_length(r->req.dev) || r->nr >= r->max_nr ||
           (report_is_full(r) && (r->partial || (!r->counting && !r->req.sg)));
}

/* Count the rest without looking, where that is possible */
static void report_count_rest(ZbcReport *r)
{
    const SCSIZbc *z = scsi_disk_zbc(r->req.dev);
    int64_t rest = disk_length(r->req.dev) - r->next;

    if (rest > 0 && report_is_full(r) && !r->partial && !has_gaps(z) &&
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
    AioContext *ctx = req_context(req);
    unsigned int i;

    aio_context_acquire(ctx);
    if (!begin_callback(req)) {
        scsi_req_unref(req);
        goto out;
    }
    if (ret == 0 && !r->nr_zones) {
        ret = -EIO;
    }
    if (ret < 0) {
        complete_error(req, ret);
        scsi_req_unref(req);
        goto out;
    }
    for (i = 0; i < r->nr_zones && r->nr < r->max_nr; i++) {
        add_zone(r, &r->zones[i]);
    }
    r->next = zone_end(&r->zones[r->nr_zones - 1]);
    report_advance(r);
out:
    aio_context_release(ctx);
}

static void report_read_more(ZbcReport *r)
{
    r->nr_zones = REPORT_CHUNK;
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
    r->zones = g_new(BlockZoneDescriptor, REPORT_CHUNK);
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
        complete_error(req, -EINVAL);
        return 0;
    }
    if (req->cmd.lba > dev->max_lba) {
        complete_error(req, -ZBC_ELBA);
        return 0;
    }
    r->start = r->next = lba_to_bytes(dev, req->cmd.lba);
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

static const SCSIReqOps report_ops = {
    .size = sizeof(ZbcReport),
    .free_req = report_free,
    .send_command = report_send_command,
    .read_data = report_read_data,
    .get_buf = report_get_buf,
};

/*
 * Operations on zones
 */

typedef struct ZbcMgmt {
    SCSIRequest req;
    BlockZoneOp op;
    int64_t start, end;         /* of the zones meant, in bytes */
    int64_t next;               /* zone to look at, or to change */
    uint32_t nr_eopen;          /* explicitly open when all is done */
    uint32_t nr_active;         /* active when all is done */
    BlockCompletionFunc *visit_done;
    unsigned int nr_zones;
    BlockZoneDescriptor *zones;
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
    if (scsi_zbc_sense(ret, &sense)) {
        complete_sense(&m->req, sense);
    } else if (ret < 0) {
        complete_io_error(&m->req, ret);
    } else {
        scsi_req_complete(&m->req, GOOD);
    }
    scsi_req_unref(&m->req);
}

static void mgmt_done(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = req_context(req);

    aio_context_acquire(ctx);
    if (begin_callback(req)) {
        mgmt_complete(m, ret);
    } else {
        scsi_req_unref(req);
    }
    aio_context_release(ctx);
}

static void mgmt_start(ZbcMgmt *m, int64_t offset, int64_t len,
                       BlockCompletionFunc *done)
{
    m->req.aiocb = blk_aio_zone_mgmt(m->req.dev->conf.blk, m->op, offset, len,
                                     done, m);
}

static void mgmt_report(ZbcMgmt *m, unsigned int nr_zones,
                        BlockCompletionFunc *done)
{
    if (!m->zones) {
        m->zones = g_new(BlockZoneDescriptor, REPORT_CHUNK);
    }
    m->nr_zones = nr_zones;
    m->req.aiocb = blk_aio_zone_report(m->req.dev->conf.blk, m->next,
                                       &m->nr_zones, m->zones, done, m);
}

/*
 * All zones of a disk with a single one: the block layer takes that for the
 * zone, which then must be one that the operation concerns.
 */
static void mgmt_single_known(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = req_context(req);

    aio_context_acquire(ctx);
    if (!begin_callback(req)) {
        scsi_req_unref(req);
    } else if (ret < 0 || !m->nr_zones ||
               !block_zone_op_concerns(m->op, m->zones[0].state)) {
        mgmt_complete(m, ret);
    } else {
        mgmt_start(m, m->start, m->end - m->start, mgmt_done);
    }
    aio_context_release(ctx);
}

/* Several zones: all are looked at before any is changed (ZBC-37) */

static void mgmt_next_zone(ZbcMgmt *m);

static void mgmt_zone_done(void *opaque, int ret)
{
    ZbcMgmt *m = opaque;
    SCSIRequest *req = &m->req;
    AioContext *ctx = req_context(req);

    aio_context_acquire(ctx);
    if (!begin_callback(req)) {
        scsi_req_unref(req);
    } else if (tolerate(m->op, ret) < 0 || m->next >= m->end) {
        mgmt_complete(m, ret);
    } else {
        mgmt_next_zone(m);
    }
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
    if (!is_sequential(zone)) {
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
    AioContext *ctx = req_context(req);
    unsigned int i;

    aio_context_acquire(ctx);
    if (!begin_callback(req)) {
        scsi_req_unref(req);
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
    m->next = zone_end(&m->zones[m->nr_zones - 1]);
    if (m->next < disk_length(req->dev)) {
        mgmt_report(m, REPORT_CHUNK, mgmt_visited);
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
    const int64_t length = disk_length(dev);
    int64_t count = MAX(1, lduw_be_p(&cdb[12]));

    if (cdb[14] & 1) {
        m->start = 0;
        m->end = length;
        return 0;
    }
    if (m->req.cmd.lba > dev->max_lba) {
        return -ZBC_ELBA;
    }
    m->start = lba_to_bytes(dev, m->req.cmd.lba);
    /* With gap zones, the second zone would be one */
    if (m->start % z->limits.zone_size || (count > 1 && has_gaps(z)) ||
        count > DIV_ROUND_UP(length - m->start, z->limits.zone_size)) {
        return -EINVAL;
    }
    m->end = length - m->start > count * z->limits.zone_size
        ? m->start + count * z->limits.zone_size : length;
    return 0;
}

static int32_t mgmt_send_command(SCSIRequest *req, uint8_t *cdb)
{
    ZbcMgmt *m = DO_UPCAST(ZbcMgmt, req, req);
    const SCSIZbc *z = scsi_disk_zbc(req->dev);
    int ret;

    if (!parse_service_action(cdb[1] & 0x1f, &m->op)) {
        complete_error(req, -EINVAL);
        return 0;
    }
    if (!blk_is_writable(req->dev->conf.blk)) {
        complete_sense(req, SENSE_CODE(WRITE_PROTECTED));
        return 0;
    }
    ret = mgmt_parse_range(m, cdb);
    if (ret < 0) {
        complete_error(req, ret);
        return 0;
    }
    trace_scsi_zbc_mgmt(req->tag, m->op, m->start, m->end - m->start);

    /* A request that waits for the VM to go on comes by here once more */
    m->nr_eopen = m->nr_active = 0;
    scsi_req_ref(req);
    if (cdb[14] & 1) {
        m->next = 0;
        if (z->limits.nr_zones > 1) {
            mgmt_start(m, m->start, m->end, mgmt_done);
        } else {
            mgmt_report(m, 1, mgmt_single_known);
        }
    } else if (lduw_be_p(&cdb[12]) > 1) {
        m->next = 0;
        mgmt_report(m, REPORT_CHUNK, mgmt_visited);
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

static const SCSIReqOps mgmt_ops = {
    .size = sizeof(ZbcMgmt),
    .free_req = mgmt_free,
    .send_command = mgmt_send_command,
};

/*
 * Reads and writes
 */

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
    c->gap |= c->end > cap_end(zone) && zone->cap < zone->length;
    if (c->seen) {
        c->mixed |= zone->type != c->first.type;
        c->several |= is_sequential(zone);
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
    if (c->offset >= cap_end(&c->first)) {
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
    if (!is_sequential(&c->first)) {
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
    AioContext *ctx = req_context(c->req);
    unsigned int i;

    aio_context_acquire(ctx);
    assert(c->req->aiocb);
    c->req->aiocb = NULL;
    if (ret == 0 && !c->nr_zones) {
        ret = -EIO;
    }
    if (ret == 0) {
        for (i = 0; i < c->nr_zones && c->next < c->end; i++) {
            check_zone_of_range(c, &c->zones[i]);
            c->next = zone_end(&c->zones[i]);
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
    return req->sg ? req->sg->size >= bytes : bytes <= GATHER_MAX;
}

/*
 * Other commands
 */

/* VERIFY without data: a read that shows nothing (ZBC-77) */
static void verify_done(void *opaque, int ret)
{
    SCSIRequest *req = opaque;

    if (req->io_canceled) {
        scsi_req_cancel_complete(req);
    } else if (ret < 0) {
        complete_error(req, ret);
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
        complete_error(req, -EINVAL);
        return 0;
    }
    if (lba > dev->max_lba + 1 || nr > dev->max_lba + 1 - lba) {
        complete_error(req, -ZBC_ELBA);
        return 0;
    }
    scsi_req_ref(req);
    if (!scsi_zbc_check_rw(req, lba_to_bytes(dev, lba), lba_to_bytes(dev, nr),
                           false, verify_done, req)) {
        verify_done(req, 0);
    }
    return 0;
}

static const SCSIReqOps verify_ops = {
    .size = sizeof(SCSIRequest),
    .send_command = verify_send_command,
};

static void flush_done(void *opaque, int ret)
{
    SCSIRequest *req = opaque;
    AioContext *ctx = req_context(req);

    aio_context_acquire(ctx);
    if (begin_callback(req)) {
        if (ret < 0) {
            complete_io_error(req, ret);
        } else {
            scsi_req_complete(req, GOOD);
        }
    }
    scsi_req_unref(req);
    aio_context_release(ctx);
}

static int32_t flush_send_command(SCSIRequest *req, uint8_t *cdb)
{
    scsi_req_ref(req);
    req->aiocb = blk_aio_flush(req->dev->conf.blk, flush_done, req);
    return 0;
}

static const SCSIReqOps flush_ops = {
    .size = sizeof(SCSIRequest),
    .send_command = flush_send_command,
};

static int32_t refuse_send_command(SCSIRequest *req, uint8_t *cdb)
{
    complete_sense(req, SENSE_CODE(INVALID_OPCODE));
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
        return &report_ops;
    case ZBC_OUT:
        return &mgmt_ops;
    case SYNCHRONIZE_CACHE_16:
        return &flush_ops;
    case VERIFY_10:
    case VERIFY_12:
    case VERIFY_16:
        return &verify_ops;
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

/*
 * Migration
 */

/* What must not change under a running guest */
typedef struct ZbcGeometry {
    SCSIZbc *parent;
    uint8_t model;
    uint32_t nr_zones;
    uint32_t max_open_zones;
    uint32_t write_granularity;
    uint64_t zone_size;
    uint64_t capacity;
    bool urswrz;
} ZbcGeometry;

static void get_geometry(const SCSIZbc *z, ZbcGeometry *g)
{
    g->model = z->limits.model;
    g->nr_zones = z->limits.nr_zones;
    g->max_open_zones = max_open(&z->limits);
    g->write_granularity = z->limits.write_granularity;
    g->zone_size = z->limits.zone_size;
    g->capacity = z->capacity;
    g->urswrz = z->urswrz;
}

static int geometry_pre_save(void *opaque)
{
    ZbcGeometry *g = opaque;

    get_geometry(g->parent, g);
    return 0;
}

static bool check_same(const char *what, uint64_t theirs, uint64_t ours)
{
    if (theirs != ours) {
        error_report("scsi-hd: zoned drive differs from that of the source: "
                     "%s is %" PRIu64 " there and %" PRIu64 " here",
                     what, theirs, ours);
    }
    return theirs == ours;
}

static int geometry_post_load(void *opaque, int version_id)
{
    const ZbcGeometry *g = opaque;
    ZbcGeometry ours;

    get_geometry(g->parent, &ours);
    if (check_same("model", g->model, ours.model) &&
        check_same("number of zones", g->nr_zones, ours.nr_zones) &&
        check_same("limit of open zones", g->max_open_zones,
                   ours.max_open_zones) &&
        check_same("write granularity", g->write_granularity,
                   ours.write_granularity) &&
        check_same("zone size", g->zone_size, ours.zone_size) &&
        check_same("zone capacity", g->capacity, ours.capacity) &&
        check_same("urswrz", g->urswrz, ours.urswrz)) {
        return 0;
    }
    return -EINVAL;
}

static const VMStateDescription vmstate_zbc_geometry = {
    .name = "scsi-zbc/geometry",
    .pre_save = geometry_pre_save,
    .post_load = geometry_post_load,
    .fields = (VMStateField[]) {
        VMSTATE_UINT8(model, ZbcGeometry),
        VMSTATE_UINT32(nr_zones, ZbcGeometry),
        VMSTATE_UINT32(max_open_zones, ZbcGeometry),
        VMSTATE_UINT32(write_granularity, ZbcGeometry),
        VMSTATE_UINT64(zone_size, ZbcGeometry),
        VMSTATE_UINT64(capacity, ZbcGeometry),
        VMSTATE_BOOL(urswrz, ZbcGeometry),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_scsi_zbc = {
    .name = "scsi-zbc",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (VMStateField[]) {
        VMSTATE_WITH_TMP(SCSIZbc, ZbcGeometry, vmstate_zbc_geometry),
        VMSTATE_END_OF_LIST()
    },
};
