/*
 * The life of a zoned image: a random workload, and a log of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qobject-input-visitor.h"
#include "qemu/memalign.h"
#include "qemu/range.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "zoned-image-life.h"
#include "zoned-random.h"
#include "../../block/zoned-driver.h"

/* Writes are of up to so many blocks */
#define MAX_BLOCKS 12

/* What a guest knows of a zone */
struct ZoneUse {
    int64_t wp;                 /* from the zone's start, once all is done */
    unsigned int in_flight;
    unsigned int operations;    /* of these */
    bool full;
    bool extended;              /* an extension was asked for */
    bool tainted;               /* something failed: wp is not known */
};

typedef struct Request {
    Life *life;
    GuestOp *op;
    bool wrong;                 /* has to be refused */
    int64_t expected_offset;    /* of an append */
    uint8_t *buf;
} Request;

static uint32_t draw(Life *life, uint32_t n)
{
    return zoned_draw(life->random, n);
}

static bool one_in(Life *life, uint32_t n)
{
    return draw(life, n) == 0;
}

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3)
fail(Life *life, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s, after %u events: ", life->c->name, life->log->len);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    abort();
}

/*
 * Images
 */

uint32_t life_nr_hot_zones(const LifeConfig *c)
{
    return c->hot_zones ?: DIV_ROUND_UP(c->g.length, c->g.zone_size);
}

uint32_t life_hot_zone(const LifeConfig *c, uint32_t i)
{
    uint32_t nr_zones = DIV_ROUND_UP(c->g.length, c->g.zone_size);

    /* The first and the last zone, and some between */
    return c->hot_zones ? (uint64_t)i * (nr_zones - 1) / (c->hot_zones - 1)
                        : i;
}

typedef struct Create {
    BlockdevCreateOptions *options;
    int ret;
    bool done;
    Error *err;
} Create;

static void coroutine_fn create_entry(void *opaque)
{
    Create *create = opaque;
    BlockDriver *drv = bdrv_find_format("zoned");

    create->ret = drv->bdrv_co_create(create->options, &create->err);
    create->done = true;
}

void life_create_image(const LifeConfig *c, BlockDriverState *node)
{
    const ZoneGeometry *g = &c->g;
    QDict *dict = qdict_new();
    Create create = {};
    Visitor *v;

    qdict_put_str(dict, "driver", "zoned");
    qdict_put_str(dict, "file", bdrv_get_node_name(node));
    qdict_put_int(dict, "size", g->length);
    qdict_put_str(dict, "zone-model",
                  g->model == BLK_Z_HA ? "host-aware" : "host-managed");
    qdict_put_int(dict, "zone-size", g->zone_size);
    qdict_put_int(dict, "zone-capacity", g->zone_capacity);
    qdict_put_int(dict, "conventional-zones", g->conventional_zones);
    qdict_put_int(dict, "max-open-zones", g->max_open_zones);
    qdict_put_int(dict, "max-active-zones", g->max_active_zones);
    qdict_put_int(dict, "logical-block-size", g->write_granularity);
    qdict_put_int(dict, "descriptor-extension-size", g->extension_size);
    v = qobject_input_visitor_new(QOBJECT(dict));
    visit_type_BlockdevCreateOptions(v, NULL, &create.options, &error_abort);
    visit_free(v);
    qobject_unref(dict);

    qemu_coroutine_enter(qemu_coroutine_create(create_entry, &create));
    while (!create.done) {
        aio_poll(qemu_get_aio_context(), true);
    }
    if (create.ret < 0) {
        error_reportf_err(create.err, "%s: ", c->name);
        abort();
    }
    qapi_free_BlockdevCreateOptions(create.options);
}

BlockBackend *life_open_image(const char *node_name, bool writable,
                              Error **errp)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "driver", "zoned");
    qdict_put_str(options, "file", node_name);
    return blk_new_open(NULL, NULL, options,
                        (writable ? BDRV_O_RDWR : 0) | BDRV_O_UNMAP, errp);
}

uint8_t *life_new_extensions(const LifeConfig *c)
{
    return g_malloc0(DIV_ROUND_UP(c->g.length, c->g.zone_size) *
                     c->g.extension_size + 1);
}

/* To where there is room for that of @zone; where there are none, to nowhere */
static int read_extension(const LifeConfig *c, BlockBackend *blk,
                          const BlockZoneDescriptor *zone, uint8_t *buf)
{
    return c->g.extension_size ? blk_zone_get_extension(blk, zone->start, buf)
                               : 0;
}

int life_read_all(const LifeConfig *c, BlockBackend *blk,
                  BlockZoneDescriptor *zones, uint8_t *data,
                  uint8_t *extensions)
{
    unsigned int nr_zones = DIV_ROUND_UP(c->g.length, c->g.zone_size);
    unsigned int n = nr_zones, i;
    int ret = blk_zone_report(blk, 0, &n, zones);

    if (ret < 0) {
        return ret;
    }
    g_assert(n == nr_zones);
    for (i = 0; i < life_nr_hot_zones(c) && ret >= 0; i++) {
        uint32_t zone = life_hot_zone(c, i);
        const BlockZoneDescriptor *z = &zones[zone];

        ret = blk_pread(blk, z->start, z->length, data + z->start, 0);
        if (ret >= 0) {
            ret = read_extension(c, blk, z,
                                 extensions + zone * c->g.extension_size);
        }
    }
    return ret;
}

/*
 * The log
 */

static void log_add(Life *life, CrashOp *child, GuestOp *guest, bool end)
{
    LogEntry entry = { .child = child, .guest = guest, .end = end };

    g_array_append_val(life->log, entry);
}

static void log_child(void *opaque, CrashOp *op)
{
    Life *life = opaque;

    *(op->ended ? &op->ended_at : &op->started_at) = life->log->len;
    log_add(life, op, NULL, op->ended);
}

static void log_guest_start(Life *life, GuestOp *op)
{
    op->started_at = life->log->len;
    log_add(life, NULL, op, false);
}

static void log_guest_end(Life *life, GuestOp *op, int ret)
{
    op->ret = ret;
    op->ended_at = life->log->len;
    log_add(life, NULL, op, true);
}

/*
 * What a guest notices
 */

static void check_zone(Life *life, uint32_t i)
{
    const BlockZoneDescriptor *base = &life->base_zones[i];
    g_autofree uint8_t *data = g_malloc(base->length);
    g_autofree uint8_t *extension = g_malloc0(life->c->g.extension_size + 1);
    g_autofree char *error = NULL;
    BlockZoneDescriptor zone;
    unsigned int n = 1;
    int ret;

    ret = blk_zone_report(life->blk, base->start, &n, &zone);
    if (ret < 0 || n != 1) {
        fail(life, "report of zone %" PRIu32 ": %d", i, ret);
    }
    ret = blk_pread(life->blk, zone.start, zone.length, data, 0);
    if (ret < 0) {
        fail(life, "read of zone %" PRIu32 ": %d", i, ret);
    }
    ret = read_extension(life->c, life->blk, &zone, extension);
    if (ret < 0) {
        fail(life, "extension of zone %" PRIu32 ": %d", i, ret);
    }
    error = oracle_check_zone(life->oracle, &zone, data, extension, false);
    if (error) {
        fail(life, "in use: %s", error);
    }
    if (life->zones[i].tainted) {
        life->zones[i].tainted = false;
        life->zones[i].full = zone.state == BLK_ZS_FULL;
        life->zones[i].wp = zone.wp - zone.start;
    }
}

static bool is_write(const GuestOp *op)
{
    return op->kind == GUEST_WRITE || op->kind == GUEST_APPEND ||
           op->kind == GUEST_ZEROES;
}

static bool is_tainted(Life *life, const GuestOp *op)
{
    uint32_t i;

    for (i = op->zone; i < op->zone + op->nr_zones; i++) {
        if (life->zones[i].tainted) {
            return true;
        }
    }
    return false;
}

/* What went wrong with a request, or NULL */
static const char *check_result(Request *r, int ret)
{
    Life *life = r->life;
    GuestOp *op = r->op;
    bool refused = block_zone_errno_is_guest_error(ret);
    bool limits = life->c->g.max_open_zones || life->c->g.max_active_zones;
    bool excused = life->c->errors || is_tainted(life, op);

    if (r->wrong) {
        return refused ? NULL : "is not refused";
    }
    switch (op->kind) {
    case GUEST_RESET:
        return ret ? "fails" : NULL;
    case GUEST_FINISH:
        return ret && !excused ? "fails" : NULL;
    case GUEST_OPEN:
    case GUEST_CLOSE:
    case GUEST_EXTENSION:
        return ret && !refused && !excused ? "fails" : NULL;
    case GUEST_FLUSH:
        return ret && !life->c->errors ? "fails" : NULL;
    default:
        break;
    }
    if (ret < 0) {
        return excused || (refused && limits) ? NULL : "fails";
    }
    if (op->kind == GUEST_APPEND && op->offset != r->expected_offset &&
        !excused) {
        return "went elsewhere";
    }
    return NULL;
}

static void request_done(Request *r, int ret)
{
    Life *life = r->life;
    GuestOp *op = r->op;
    const char *wrong = check_result(r, ret);
    uint32_t i;

    if (wrong) {
        fail(life, "request %" PRIu64 " (kind %d) in zone %" PRIu32 ", offset "
             "%" PRId64 ", bytes %" PRId64 ": %s (%d)", op->id, op->kind,
             op->zone, op->offset, op->bytes, wrong, ret);
    }
    log_guest_end(life, op, ret);
    if (ret == 0) {
        oracle_durable(life->oracle, op);
    }
    for (i = op->zone; i < op->zone + op->nr_zones; i++) {
        life->zones[i].in_flight--;
        life->zones[i].operations -= !is_write(op);
        if (ret < 0 && !r->wrong && is_write(op)) {
            life->zones[i].tainted = true;
        }
    }
    life->in_flight--;
    life->last_ret = ret;
    g_ptr_array_remove_fast(life->running, r);
    qemu_vfree(r->buf);
    g_free(r);
}

static int coroutine_fn request_co_run(Request *r)
{
    Life *life = r->life;
    GuestOp *op = r->op;
    const ZoneGeometry *g = &life->c->g;
    BdrvRequestFlags flags = op->fua ? BDRV_REQ_FUA : 0;
    int64_t start = op->zone * g->zone_size;
    int64_t len = MIN(op->nr_zones * g->zone_size, g->length - start);
    QEMUIOVector qiov;
    int64_t pos = start;
    int ret;

    qemu_iovec_init_buf(&qiov, r->buf, op->bytes);
    switch (op->kind) {
    case GUEST_WRITE:
        return blk_co_pwritev(life->blk, op->offset, op->bytes, &qiov, flags);
    case GUEST_APPEND:
        ret = blk_co_zone_append(life->blk, &pos, &qiov, flags);
        op->offset = ret < 0 ? -1 : pos;
        return ret;
    case GUEST_ZEROES:
        return blk_co_pwrite_zeroes(life->blk, op->offset, op->bytes,
                                    flags | BDRV_REQ_MAY_UNMAP);
    case GUEST_FLUSH:
        return blk_co_flush(life->blk);
    case GUEST_RESET:
        return blk_co_zone_mgmt(life->blk, BLK_ZO_RESET, start, len);
    case GUEST_FINISH:
        return blk_co_zone_mgmt(life->blk, BLK_ZO_FINISH, start, len);
    case GUEST_OPEN:
        return blk_co_zone_mgmt(life->blk, BLK_ZO_OPEN, start, len);
    case GUEST_CLOSE:
        return blk_co_zone_mgmt(life->blk, BLK_ZO_CLOSE, start, len);
    case GUEST_EXTENSION:
        return blk_co_zone_set_extension(life->blk, start, r->buf);
    }
    g_assert_not_reached();
}

static void coroutine_fn request_entry(void *opaque)
{
    Request *r = opaque;

    request_done(r, request_co_run(r));
}

/*
 * The workload
 */

static Request *request_new(Life *life, GuestKind kind, uint32_t zone,
                            uint32_t nr_zones)
{
    Request *r = g_new0(Request, 1);

    r->life = life;
    r->op = g_new0(GuestOp, 1);
    r->op->kind = kind;
    r->op->id = (*life->next_id)++;
    r->op->zone = zone;
    r->op->nr_zones = nr_zones;
    r->op->ret = -EINPROGRESS;
    return r;
}

static void request_start(Request *r)
{
    Life *life = r->life;
    GuestOp *op = r->op;
    uint32_t i;

    if (op->kind == GUEST_WRITE || op->kind == GUEST_APPEND) {
        r->buf = qemu_memalign(4096, op->bytes);
        oracle_fill(r->buf, op->bytes, op->id);
    } else if (op->kind == GUEST_EXTENSION) {
        r->buf = g_malloc(life->c->g.extension_size);
        oracle_fill_extension(r->buf, life->c->g.extension_size, op->id);
    }
    for (i = op->zone; i < op->zone + op->nr_zones; i++) {
        life->zones[i].in_flight++;
        life->zones[i].operations += !is_write(op);
    }
    life->in_flight++;
    g_ptr_array_add(life->running, r);
    log_guest_start(life, op);
    if (!r->wrong) {
        oracle_start(life->oracle, op);
    }
    qemu_coroutine_enter(qemu_coroutine_create(request_entry, r));
}

static bool is_conventional(Life *life, uint32_t zone)
{
    return zone < life->c->g.conventional_zones;
}

static GuestKind any_write(Life *life)
{
    return one_in(life, 16) ? GUEST_ZEROES : GUEST_WRITE;
}

static void start_write(Life *life, GuestKind kind, uint32_t zone,
                        int64_t offset, int64_t bytes, bool wrong)
{
    uint32_t last = (offset + bytes - 1) / life->c->g.zone_size;
    Request *r = request_new(life, kind, zone, last - zone + 1);

    r->op->offset = offset;
    r->op->bytes = bytes;
    r->op->fua = one_in(life, 12);
    r->wrong = wrong;
    request_start(r);
}

static bool overlaps_running(Life *life, int64_t offset, int64_t bytes)
{
    unsigned int i;

    for (i = 0; i < life->running->len; i++) {
        const GuestOp *op = ((Request *)life->running->pdata[i])->op;

        if (is_write(op) &&
            (op->offset < 0 ? op->zone == offset / life->c->g.zone_size :
             ranges_overlap(offset, bytes, op->offset, op->bytes))) {
            return true;
        }
    }
    return false;
}

/* To a zone that can be written to anywhere, and maybe into the next one */
static void step_random_write(Life *life, uint32_t zone)
{
    const ZoneGeometry *g = &life->c->g;
    const BlockZoneDescriptor *z = &life->base_zones[zone];
    int64_t block = g->write_granularity;
    int64_t offset = z->start + draw(life, z->length / block) * block;
    int64_t bytes = (1 + draw(life, MAX_BLOCKS)) * block;
    int64_t end = is_conventional(life, zone) && g->model == BLK_Z_HM ?
                  g->conventional_zones * g->zone_size : g->length;

    if (!is_conventional(life, zone) && one_in(life, 2) &&
        life->zones[zone].wp < z->length) {
        offset = z->start + life->zones[zone].wp;
    }
    if (life->c->hot_zones) {
        end = z->start + z->length;
    }
    bytes = MIN(bytes, end - offset);
    if (overlaps_running(life, offset, bytes)) {
        return;
    }
    if (!is_conventional(life, zone)) {
        life->zones[zone].wp = MAX(life->zones[zone].wp,
                                   MIN(offset + bytes - z->start, z->length));
    }
    start_write(life, any_write(life), zone, offset, bytes, false);
}

static void step_sequential_write(Life *life, uint32_t zone)
{
    ZoneUse *use = &life->zones[zone];
    const BlockZoneDescriptor *z = &life->base_zones[zone];
    int64_t block = life->c->g.write_granularity;
    int64_t left = z->cap - use->wp;
    int64_t bytes = MIN((1 + draw(life, MAX_BLOCKS)) * block, left);
    int64_t offset = z->start + use->wp;

    if (use->full || !left) {
        return;
    }
    if (left > block && one_in(life, 32)) {
        start_write(life, GUEST_WRITE, zone, offset + block, block, true);
        return;
    }
    use->wp += bytes;
    start_write(life, any_write(life), zone, offset, bytes, false);
}

static void step_append(Life *life, uint32_t zone)
{
    ZoneUse *use = &life->zones[zone];
    const BlockZoneDescriptor *z = &life->base_zones[zone];
    int64_t block = life->c->g.write_granularity;
    int64_t bytes = MIN((1 + draw(life, MAX_BLOCKS)) * block,
                        z->cap - use->wp);
    Request *r;

    if (use->full || !bytes || life->c->g.model != BLK_Z_HM) {
        return;
    }
    r = request_new(life, GUEST_APPEND, zone, 1);
    r->op->offset = -1;
    r->op->bytes = bytes;
    r->op->fua = one_in(life, 12);
    r->expected_offset = z->start + use->wp;
    use->wp += bytes;
    request_start(r);
}

static void step_mgmt(Life *life, GuestKind kind, uint32_t zone)
{
    ZoneUse *use = &life->zones[zone];
    uint32_t nr_zones = 1, i;

    if (kind == GUEST_RESET && one_in(life, 40)) {
        zone = 0;
        nr_zones = life->nr_zones;
    } else if (kind == GUEST_RESET && !life->c->hot_zones && one_in(life, 8)) {
        nr_zones += draw(life, MIN(4, life->nr_zones - zone));
    } else if (kind != GUEST_RESET && kind != GUEST_EXTENSION && use->full) {
        return;
    }
    for (i = zone; i < zone + nr_zones; i++) {
        /* It could overtake what waits for the one before it */
        if (life->zones[i].operations) {
            return;
        }
    }
    for (i = zone; i < zone + nr_zones; i++) {
        if (kind == GUEST_RESET) {
            life->zones[i].wp = 0;
            life->zones[i].full = false;
            life->zones[i].extended = false;
        } else if (kind == GUEST_EXTENSION) {
            life->zones[i].extended = true;
        } else if (kind == GUEST_FINISH) {
            life->zones[i].full = true;
        }
    }
    request_start(request_new(life, kind, zone, nr_zones));
}

/*
 * Is an extension on its way?  To read one beside it would have to wait for
 * the child, which does nothing meanwhile.
 */
static bool sets_extension(Life *life)
{
    unsigned int i;

    for (i = 0; i < life->running->len; i++) {
        if (((Request *)life->running->pdata[i])->op->kind ==
            GUEST_EXTENSION) {
            return true;
        }
    }
    return false;
}

static void step_guest(Life *life)
{
    uint32_t hot = life_nr_hot_zones(life->c);
    uint32_t zone = life_hot_zone(life->c, draw(life, hot));
    ZoneUse *use = &life->zones[zone];
    uint32_t kind = draw(life, 100);

    if (one_in(life, 3)) {
        /* Some zones more than others */
        zone = life_hot_zone(life->c, life->c->g.conventional_zones %
                             hot);
        use = &life->zones[zone];
    }
    if (!use->in_flight && (use->tainted || one_in(life, 8)) &&
        !sets_extension(life)) {
        check_zone(life, zone);
    }
    if (kind < 8) {
        request_start(request_new(life, GUEST_FLUSH, 0, 0));
    } else if (use->tainted) {
        return;
    } else if (is_conventional(life, zone)) {
        step_random_write(life, zone);
    } else if (life->c->g.extension_size && !use->wp && !use->full &&
               one_in(life, 2)) {
        step_mgmt(life, use->extended ? GUEST_RESET : GUEST_EXTENSION, zone);
    } else if (kind < 55) {
        if (life->c->g.model == BLK_Z_HA) {
            step_random_write(life, zone);
        } else {
            step_sequential_write(life, zone);
        }
    } else if (kind < 75) {
        step_append(life, zone);
    } else if (kind < 86) {
        step_mgmt(life, GUEST_RESET, zone);
    } else if (kind < 90) {
        step_mgmt(life, GUEST_FINISH, zone);
    } else if (kind < 95) {
        step_mgmt(life, GUEST_OPEN, zone);
    } else if (kind < 97 && life->c->g.extension_size) {
        step_mgmt(life, GUEST_EXTENSION, zone);
    } else {
        step_mgmt(life, GUEST_CLOSE, zone);
    }
}

static void step_child(Life *life)
{
    unsigned int i = draw(life, life->disk->pending->len);
    const CrashOp *op = g_ptr_array_index(life->disk->pending, i);
    int ret = 0;
    int64_t bytes = 0;

    if (life->c->errors && one_in(life, op->kind == CRASH_WRITE ? 30 : 12)) {
        ret = -EIO;
        bytes = draw(life, op->bytes + 1);
    }
    crash_disk_complete(life->disk, i, ret, bytes);
}

static void run(Life *life)
{
    AioContext *ctx = qemu_get_aio_context();
    /* How often requests start rather than end changes on the way */
    uint32_t starts = 4;
    /* A step may start nothing: there is an end to it nevertheless */
    unsigned int left = life->c->requests;

    while (left || life->in_flight || life->disk->pending->len) {
        bool may_start = left && life->in_flight < life->c->depth;
        bool may_end = life->disk->pending->len;

        while (aio_poll(ctx, false)) {
            /* as long as there is something */
        }
        if (life->disk->overlap) {
            fail(life, "%s", life->disk->overlap);
        }
        may_end = life->disk->pending->len;
        if (one_in(life, 64)) {
            starts = 1 + draw(life, 9);
        }
        if (may_start && (!may_end || draw(life, 10) < starts)) {
            left--;
            step_guest(life);
        } else if (may_end) {
            step_child(life);
        } else if (life->in_flight) {
            fail(life, "%u requests never end, the first of kind %d",
                 life->in_flight,
                 ((Request *)life->running->pdata[0])->op->kind);
        }
    }
}

/*
 * The first change after a crash may have to mend something first, and fails
 * if that does.  Try one that changes nothing until it gets through: from then
 * on a reset does not depend on the child.
 */
static void settle(Life *life)
{
    do {
        request_start(request_new(life, GUEST_CLOSE, life->nr_zones - 1, 1));
        while (life->in_flight) {
            while (aio_poll(qemu_get_aio_context(), false)) {
                /* as long as there is something */
            }
            if (life->disk->pending->len) {
                step_child(life);
            }
        }
    } while (life->last_ret == -EIO);
}

static void zones_init(Life *life)
{
    uint32_t i;

    life->zones = g_new0(ZoneUse, life->nr_zones);
    for (i = 0; i < life->nr_zones; i++) {
        const BlockZoneDescriptor *z = &life->base_zones[i];

        life->zones[i].full = z->state == BLK_ZS_FULL;
        life->zones[i].wp = z->wp >= 0 ? z->wp - z->start : 0;
    }
}

/* Whoever closes an image flushes it */
static void close_image(Life *life)
{
    GuestOp *flush = g_new0(GuestOp, 1);
    uint32_t i;
    int ret;

    for (i = 0; i < life_nr_hot_zones(life->c); i++) {
        check_zone(life, life_hot_zone(life->c, i));
    }
    flush->kind = GUEST_FLUSH;
    flush->id = (*life->next_id)++;
    life->disk->deferred = false;
    /* It fails where a write failed and could not be hidden since */
    ret = life->c->errors ? blk_flush(life->blk) : 0;
    log_guest_start(life, flush);
    blk_unref(life->blk);
    life->blk = NULL;
    log_guest_end(life, flush, ret);
}

Life *life_new(const LifeConfig *c, uint64_t *random, uint64_t *next_id,
               const uint8_t *image, int64_t length)
{
    Life *life = g_new0(Life, 1);
    Error *err = NULL;

    life->c = c;
    life->random = random;
    life->next_id = next_id;
    life->disk = crash_disk_new(length);
    life->disk->discard_garbles = c->garbage;
    life->node = crash_disk_node(life->disk, "life");
    life->nr_zones = DIV_ROUND_UP(c->g.length, c->g.zone_size);
    life->log = g_array_new(false, false, sizeof(LogEntry));
    life->running = g_ptr_array_new();
    if (image) {
        memcpy(life->disk->memory, image, length);
    } else {
        memset(life->disk->memory, c->garbage ? 0xdb : 0, length);
        life_create_image(c, life->node);
    }
    life->base_disk = g_memdup2(life->disk->memory, life->disk->length);
    life->disk->event = log_child;
    life->disk->opaque = life;

    life->blk = life_open_image("life", true, &err);
    if (!life->blk) {
        fail(life, "open: %s", error_get_pretty(err));
    }
    if (c->log_limit) {
        BDRVZonedState *s = blk_bs(life->blk)->opaque;

        s->table.log_limit = c->log_limit;
    }
    life->base_zones = g_new0(BlockZoneDescriptor, life->nr_zones);
    life->base_data = g_malloc0(c->g.length);
    life->base_extensions = life_new_extensions(c);
    if (life_read_all(c, life->blk, life->base_zones, life->base_data,
                      life->base_extensions) < 0) {
        fail(life, "cannot be read");
    }
    life->oracle = oracle_new(&c->g, life->base_zones, life->base_data,
                              life->base_extensions);
    zones_init(life);

    life->disk->deferred = true;
    settle(life);
    run(life);
    close_image(life);
    return life;
}

void life_free(Life *life)
{
    unsigned int i;

    /* Its last flush is logged, too */
    bdrv_unref(life->node);
    for (i = 0; i < life->log->len; i++) {
        LogEntry *entry = &g_array_index(life->log, LogEntry, i);

        if (entry->end && entry->child) {
            crash_op_free(entry->child);
        } else if (entry->end) {
            g_free(entry->guest->epochs);
            g_free(entry->guest);
        }
    }
    oracle_free(life->oracle);
    crash_disk_free(life->disk);
    g_array_free(life->log, true);
    g_ptr_array_free(life->running, true);
    g_free(life->zones);
    g_free(life->base_zones);
    g_free(life->base_data);
    g_free(life->base_extensions);
    g_free(life->base_disk);
    g_free(life);
}
