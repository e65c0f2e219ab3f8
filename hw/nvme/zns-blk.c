/*
 * NVMe zoned namespaces on a zoned block node: set-up, requests, shutdown
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers ZNS-n are those of docs/devel/zoned-conformance-nvme.rst.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "sysemu/block-backend.h"
#include "trace.h"
#include "zns-blk.h"

/* Zones asked of the block layer at a time, where nobody waits his turn */
#define SCAN_CHUNK 1024

/* Zone descriptor extensions come in units of this */
#define ZDES_UNIT 64

/* Appends of two pages are the shortest that ZASL can limit appends to */
#define MIN_APPEND (2 * NVME_ZNS_BLK_PAGE)

/* NSATTR of Identify Namespace, and its bit for write protection */
#define NSATTR_OFFSET 99
#define NSATTR_WRITE_PROTECTED 0x1

static const char *drive_name(const NvmeNamespace *ns)
{
    return bdrv_get_device_or_node_name(blk_bs(ns->blkconf.blk));
}

/*
 * Options
 */

/* An option that describes zones must be left out, or be as the drive is */
static bool check_agrees(const char *option, uint64_t given, uint64_t actual,
                         Error **errp)
{
    if (!given || given == actual) {
        return true;
    }
    error_setg(errp, "%s=%" PRIu64 " contradicts the zoned drive, where it is %"
               PRIu64 ": leave the option out", option, given, actual);
    return false;
}

static bool check_unused(const char *option, bool is_used, Error **errp)
{
    if (is_used) {
        error_setg(errp, "%s is not possible with a zoned drive: leave the "
                   "option out", option);
    }
    return !is_used;
}

/* Zone random write areas, metadata: there is nowhere to keep them */
static bool check_unused_options(const NvmeNamespaceParams *p, Error **errp)
{
    return check_unused("zoned.numzrwa", p->numzrwa, errp) &&
           check_unused("zoned.zrwas", p->zrwas, errp) &&
           check_unused("zoned.zrwafg", p->zrwafg != -1, errp) &&
           check_unused("ms", p->ms, errp) &&
           check_unused("mset", p->mset, errp) &&
           check_unused("pi", p->pi, errp) &&
           check_unused("pil", p->pil, errp) &&
           check_unused("pif", p->pif, errp);
}

static bool settle_block_size(BlockConf *conf, const BlockZoneLimits *l,
                              Error **errp)
{
    const uint32_t granularity = l->write_granularity;

    if (granularity < BDRV_SECTOR_SIZE || !is_power_of_2(granularity)) {
        error_setg(errp, "NVMe cannot serve a write granularity of %" PRIu32
                   " bytes: it must be a power of two, at least %llu",
                   granularity, BDRV_SECTOR_SIZE);
        return false;
    }
    if (!conf->logical_block_size) {
        conf->logical_block_size = granularity;
    }
    if (!conf->physical_block_size) {
        conf->physical_block_size = conf->logical_block_size;
    }
    if (conf->logical_block_size < granularity) {
        error_setg(errp, "logical_block_size=%" PRIu32 " does not suit the "
                   "zoned drive: it must be at least its write granularity, %"
                   PRIu32, conf->logical_block_size, granularity);
        return false;
    }
    if (l->zone_size % conf->logical_block_size) {
        error_setg(errp, "logical_block_size=%" PRIu32 " does not suit the "
                   "zoned drive: its zone size, %" PRId64 ", must be a "
                   "multiple of it", conf->logical_block_size, l->zone_size);
        return false;
    }
    return true;
}

static bool check_appends(const BlockZoneLimits *l, Error **errp)
{
    if (l->max_append_bytes < MIN_APPEND) {
        error_setg(errp, "NVMe cannot show the zoned drive: it takes appends "
                   "of %" PRId64 " bytes, and must take %d at least",
                   l->max_append_bytes, MIN_APPEND);
        return false;
    }
    return true;
}

static bool check_extension_size(uint32_t given, uint32_t actual, Error **errp)
{
    if (given && !actual) {
        error_setg(errp, "zoned.descr_ext_size=%" PRIu32 " needs a drive with "
                   "descriptor extensions, such as a zoned image created with "
                   "descriptor_extension_size", given);
        return false;
    }
    return check_agrees("zoned.descr_ext_size", given, actual, errp);
}

/* More zones cannot be open than can be active (ZNS-14) */
static uint32_t max_open(const BlockZoneLimits *l)
{
    return l->max_active_zones ? MIN_NON_ZERO(l->max_open_zones,
                                              l->max_active_zones)
                               : l->max_open_zones;
}

static bool settle_zones(NvmeNamespaceParams *p, const BlockZoneLimits *l,
                         Error **errp)
{
    if (!check_agrees("zoned.zone_size", p->zone_size_bs, l->zone_size,
                      errp) ||
        !check_agrees("zoned.max_active", p->max_active_zones,
                      l->max_active_zones, errp) ||
        !check_agrees("zoned.max_open", p->max_open_zones, max_open(l),
                      errp) ||
        !check_extension_size(p->zd_extension_size, l->extension_size,
                              errp)) {
        return false;
    }
    p->zoned = true;
    p->zone_size_bs = l->zone_size;
    p->max_active_zones = l->max_active_zones;
    p->max_open_zones = max_open(l);
    p->zd_extension_size = l->extension_size;
    return true;
}

static uint16_t check_read(NvmeNamespace *ns, uint64_t slba, uint32_t nlb);
static uint16_t check_copy(NvmeNamespace *ns, uint64_t slba, uint64_t nlb);
static uint16_t start_write(NvmeCtrl *n, NvmeRequest *req);
static uint16_t start_deallocate(NvmeCtrl *n, NvmeRequest *req);
static uint16_t start_mgmt_send(NvmeCtrl *n, NvmeRequest *req);
static uint16_t start_mgmt_recv(NvmeCtrl *n, NvmeRequest *req);
static bool set_failed(NvmeRequest *req, int ret);
static void shut_down(NvmeNamespace *ns);

static const NvmeZnsOps zns_blk_ops = {
    .check_read = check_read,
    .check_copy = check_copy,
    .write = start_write,
    .deallocate = start_deallocate,
    .mgmt_send = start_mgmt_send,
    .mgmt_recv = start_mgmt_recv,
    .failed = set_failed,
    .shutdown = shut_down,
};

bool nvme_zns_blk_settle(NvmeNamespace *ns, Error **errp)
{
    const BlockZoneLimits *l;

    if (!ns->blkconf.blk) {
        return true;
    }
    l = blk_zone_limits(ns->blkconf.blk);
    switch (l->model) {
    case BLK_Z_NONE:
        return true;
    case BLK_Z_HA:
        /* A disk for anybody; ZNS knows no sequential write preferred zones */
        if (ns->params.zoned) {
            error_setg(errp, "zoned=on is not possible with a host-aware "
                       "drive: ZNS cannot show its zones, and zones of the "
                       "device's own would hide them");
            return false;
        }
        return true;
    case BLK_Z_HM:
        break;
    }
    if (!check_unused_options(&ns->params, errp) ||
        !settle_block_size(&ns->blkconf, l, errp) ||
        !check_appends(l, errp) ||
        !settle_zones(&ns->params, l, errp)) {
        return false;
    }
    ns->blkconf.supports_zoned = true;
    ns->zone_limits = *l;
    ns->zns_ops = &zns_blk_ops;
    return true;
}

/*
 * Geometry and Identify
 */

static bool check_zone(const NvmeNamespace *ns, const BlockZoneDescriptor *d,
                       Error **errp)
{
    if (d->type != BLK_ZT_SWR) {
        error_setg(errp, "ZNS cannot show the zoned drive: it has no "
                   "conventional zones, but the zone at byte %" PRId64 " is "
                   "one; a raw node with offset and size can leave them out",
                   d->start);
        return false;
    }
    if (d->length != ns->zone_limits.zone_size) {
        error_setg(errp, "ZNS cannot show the zoned drive: its zones must have "
                   "one size, but the zone at byte %" PRId64 " has %" PRId64
                   " bytes; a raw node with a size can leave it out",
                   d->start, d->length);
        return false;
    }
    if (d->cap % ns->lbasz || (d->wp >= 0 && d->wp % ns->lbasz)) {
        error_setg(errp, "logical_block_size=%zu does not suit the zoned "
                   "drive: the capacity (%" PRId64 ") and the write pointer "
                   "of the zone at byte %" PRId64 " must be multiples of it",
                   ns->lbasz, d->cap, d->start);
        return false;
    }
    return true;
}

/* Check all zones.  Sets the least and the largest capacity, in bytes. */
static bool check_zones(NvmeNamespace *ns, int64_t *min_cap, int64_t *max_cap,
                        Error **errp)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  SCAN_CHUNK);
    int64_t pos = 0;

    *min_cap = INT64_MAX;
    *max_cap = 0;
    while (pos < ns->size) {
        unsigned int nr = SCAN_CHUNK;
        unsigned int i;
        int ret = blk_zone_report(ns->blkconf.blk, pos, &nr, zones);

        if (ret < 0 || !nr) {
            error_setg_errno(errp, ret < 0 ? -ret : EIO,
                             "Cannot read the zones of the zoned drive");
            return false;
        }
        for (i = 0; i < nr; i++) {
            if (!check_zone(ns, &zones[i], errp)) {
                return false;
            }
            *min_cap = MIN(*min_cap, zones[i].cap);
            *max_cap = MAX(*max_cap, zones[i].cap);
        }
        pos = zones[nr - 1].start + zones[nr - 1].length;
    }
    return true;
}

static void warn_of_guests(const NvmeNamespace *ns, int64_t min_cap,
                           int64_t max_cap)
{
    block_zone_warn_of_size(&ns->zone_limits, drive_name(ns));
    if (min_cap != max_cap) {
        warn_report("zoned drive '%s': Linux guests want one capacity for all "
                    "zones, not %" PRId64 " to %" PRId64 " bytes",
                    drive_name(ns), min_cap, max_cap);
    }
}

static void fill_id_ns(NvmeNamespace *ns)
{
    NvmeIdNs *id = &ns->id_ns;

    /*
     * What a zone holds behind its write pointer is the drive's choice, so
     * nothing is promised about it (ZNS-27), and there are no errors for it.
     */
    id->dlfeat = 0;
    id->nsfeat &= ~0x4;
    if (!blk_supports_write_perm(ns->blkconf.blk)) {
        ((uint8_t *)id)[NSATTR_OFFSET] |= NSATTR_WRITE_PROTECTED;
    }
}

static NvmeIdNsZoned *new_id_ns_zoned(const NvmeNamespace *ns)
{
    const BlockZoneLimits *l = &ns->zone_limits;
    NvmeIdNsZoned *id = g_new0(NvmeIdNsZoned, 1);
    int i;

    /* 0's based, all ones for no limit */
    id->mar = cpu_to_le32(l->max_active_zones - 1);
    id->mor = cpu_to_le32(max_open(l) - 1);
    id->ozcs = cpu_to_le16(ns->params.cross_zone_read
                           ? NVME_ID_NS_ZONED_OZCS_RAZB : 0);
    for (i = 0; i <= ns->id_ns.nlbaf; i++) {
        id->lbafe[i].zsze =
            cpu_to_le64(l->zone_size >> ns->id_ns.lbaf[i].ds);
        id->lbafe[i].zdes = l->extension_size / ZDES_UNIT;
    }
    return id;
}

bool nvme_zns_blk_init(NvmeNamespace *ns, Error **errp)
{
    const BlockZoneLimits *l = &ns->zone_limits;
    int64_t min_cap, max_cap;

    if (!check_zones(ns, &min_cap, &max_cap, errp) ||
        !check_agrees("zoned.zone_capacity", ns->params.zone_cap_bs, max_cap,
                      errp)) {
        return false;
    }
    warn_of_guests(ns, min_cap, max_cap);

    ns->csi = NVME_CSI_ZONED;
    ns->params.zone_cap_bs = max_cap;
    ns->zone_size = l->zone_size / ns->lbasz;
    ns->zone_capacity = min_cap / ns->lbasz;
    ns->num_zones = l->nr_zones;
    fill_id_ns(ns);
    ns->id_ns_zoned = new_id_ns_zoned(ns);
    return true;
}

static uint8_t append_exponent(const BlockZoneLimits *l)
{
    return 63 - clz64(l->max_append_bytes / NVME_ZNS_BLK_PAGE);
}

uint8_t nvme_zns_blk_zasl(NvmeCtrl *n)
{
    uint8_t zasl = n->params.zasl;
    uint32_t nsid;

    for (nsid = 1; nsid <= NVME_MAX_NAMESPACES; nsid++) {
        const NvmeNamespace *ns = nvme_ns(n, nsid);
        uint8_t told = zasl ? zasl : n->params.mdts;

        if (ns && ns->zns_ops &&
            (!told || told > append_exponent(&ns->zone_limits))) {
            zasl = append_exponent(&ns->zone_limits);
        }
    }
    return zasl;
}

/*
 * Errors
 */

uint16_t nvme_zns_blk_status(int ret)
{
    static const struct {
        int error;
        uint16_t status;
    } table[] = {
        { EINVAL,       NVME_INVALID_FIELD },
        { ERANGE,       NVME_ZONE_BOUNDARY_ERROR },
        { ESPIPE,       NVME_ZONE_INVALID_WRITE },
        { EFBIG,        NVME_ZONE_FULL },
        { EROFS,        NVME_ZONE_READ_ONLY },
        { ENXIO,        NVME_ZONE_OFFLINE },
        { EPERM,        NVME_ZONE_INVAL_TRANSITION },
        { ETOOMANYREFS, NVME_ZONE_TOO_MANY_OPEN },
        { EOVERFLOW,    NVME_ZONE_TOO_MANY_ACTIVE },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].error == -ret) {
            return table[i].status | NVME_DNR;
        }
    }
    return NVME_SUCCESS;
}

uint16_t nvme_zns_blk_cancelled(void)
{
    return NVME_CMD_ABORT_SQ_DEL;
}

/* What ctrl.c does on its own with zones: reads, and the writes of Copy */
static bool set_failed(NvmeRequest *req, int ret)
{
    uint16_t status = NVME_SUCCESS;

    if (req->status) {
        return true;
    }
    if (ret == -ECANCELED) {
        status = nvme_zns_blk_cancelled();
    } else if (req->cmd.opcode != NVME_CMD_COPY) {
        status = ret == -ENXIO ? nvme_zns_blk_status(ret) : NVME_SUCCESS;
    } else {
        status = nvme_zns_blk_status(ret);
    }
    req->status = status;
    return status;
}

/*
 * Requests
 */

bool nvme_zns_blk_exceeds(uint64_t len, uint8_t exponent)
{
    return exponent && exponent < 32 &&
           len > (uint64_t)NVME_ZNS_BLK_PAGE << exponent;
}

static void request_cancel(BlockAIOCB *acb)
{
    NvmeZnsBlkRequest *z = container_of(acb, NvmeZnsBlkRequest, common);

    z->cancelled = true;
}

static AioContext *request_get_aio_context(BlockAIOCB *acb)
{
    NvmeZnsBlkRequest *z = container_of(acb, NvmeZnsBlkRequest, common);

    return blk_get_aio_context(z->blk);
}

static const AIOCBInfo request_info = {
    .aiocb_size = sizeof(NvmeZnsBlkRequest),
    .cancel_async = request_cancel,
    .get_aio_context = request_get_aio_context,
};

static void coroutine_fn request_entry(void *opaque)
{
    NvmeZnsBlkRequest *z = opaque;
    NvmeRequest *req = z->req;
    BlockBackend *blk = z->blk;

    blk_co_begin_steps(blk);
    req->status = z->run(z);
    nvme_enqueue_req_completion(nvme_cq(req), req);
    qemu_aio_unref(z);
    blk_end_steps(blk);
}

uint16_t nvme_zns_blk_start(NvmeCtrl *n, NvmeRequest *req, NvmeZnsBlkRun *run)
{
    NvmeNamespace *ns = req->ns;
    BlockBackend *blk = ns->blkconf.blk;
    NvmeZnsBlkRequest *z = blk_aio_get(&request_info, blk, NULL, NULL);

    z->req = req;
    z->n = n;
    z->ns = ns;
    z->blk = blk;
    z->run = run;
    z->cancelled = false;
    req->aiocb = &z->common;
    qemu_coroutine_enter(qemu_coroutine_create(request_entry, z));
    return NVME_NO_COMPLETE;
}

static uint16_t check_read(NvmeNamespace *ns, uint64_t slba, uint32_t nlb)
{
    if (ns->params.cross_zone_read ||
        slba / ns->zone_size == (slba + nlb - 1) / ns->zone_size) {
        return NVME_SUCCESS;
    }
    return NVME_ZONE_BOUNDARY_ERROR | NVME_DNR;
}

/* A Copy goes out as a write for each range: the last must fit, too */
static uint16_t check_copy(NvmeNamespace *ns, uint64_t slba, uint64_t nlb)
{
    const uint64_t max_cap = ns->params.zone_cap_bs / ns->lbasz;

    return slba % ns->zone_size + nlb > max_cap
        ? NVME_ZONE_BOUNDARY_ERROR | NVME_DNR : NVME_SUCCESS;
}

static uint16_t start_write(NvmeCtrl *n, NvmeRequest *req)
{
    return nvme_zns_blk_start(n, req, nvme_zns_blk_co_write);
}

static uint16_t start_deallocate(NvmeCtrl *n, NvmeRequest *req)
{
    return nvme_zns_blk_start(n, req, nvme_zns_blk_co_deallocate);
}

static uint16_t start_mgmt_send(NvmeCtrl *n, NvmeRequest *req)
{
    return nvme_zns_blk_start(n, req, nvme_zns_blk_co_mgmt_send);
}

static uint16_t start_mgmt_recv(NvmeCtrl *n, NvmeRequest *req)
{
    return nvme_zns_blk_start(n, req, nvme_zns_blk_co_mgmt_recv);
}

/*
 * Shutdown (ZNS-101, ZNS-102)
 */

/*
 * A zone that is open or closed, and holds nothing, becomes empty.  Returns
 * whether the zone has to be closed.
 */
static bool settle_zone(NvmeNamespace *ns, const BlockZoneDescriptor *d)
{
    if (!zone_state_is_active(d->state)) {
        return false;
    }
    if (d->wp == d->start && !d->has_extension) {
        trace_nvme_zns_blk_shutdown(nvme_nsid(ns), d->start, d->state);
        blk_zone_mgmt(ns->blkconf.blk, BLK_ZO_RESET, d->start, d->length);
        return false;
    }
    return zone_state_is_open(d->state);
}

static void shut_down(NvmeNamespace *ns)
{
    g_autofree BlockZoneDescriptor *zones = NULL;
    BlockBackend *blk = ns->blkconf.blk;
    bool close = false;
    int64_t pos = 0;

    if (!blk_is_writable(blk)) {
        return;
    }
    zones = g_new(BlockZoneDescriptor, SCAN_CHUNK);
    while (pos < ns->size) {
        unsigned int nr = SCAN_CHUNK;
        unsigned int i;

        if (blk_zone_report(blk, pos, &nr, zones) < 0 || !nr) {
            break;
        }
        for (i = 0; i < nr; i++) {
            close |= settle_zone(ns, &zones[i]);
        }
        pos = zones[nr - 1].start + zones[nr - 1].length;
    }
    if (close) {
        blk_zone_mgmt(blk, BLK_ZO_CLOSE, 0, ns->size);
    }
    blk_flush(blk);
}
