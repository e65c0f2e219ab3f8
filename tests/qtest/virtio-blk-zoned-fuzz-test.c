/*
 * QTest testcase for zoned virtio-blk disks: random requests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests of all types are sent, cut into descriptors that often make sense
 * and sometimes do not, alone and many at a time, and the device is reset
 * meanwhile.  A request that is refused, and was alone, must have changed
 * nothing.  Other than that, what must be true of zones at any time is looked
 * at now and then, QEMU must not end, and must not need more and more memory.
 *
 * The environment variable VIRTIO_ZONED_FUZZ is the number of requests for each
 * disk, and VIRTIO_ZONED_SEED starts another sequence of them.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/virtio_blk.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_ring.h"
#include "libqos/libqos-pc.h"
#include "libqos/virtio-pci.h"
#include "zoned-qmp.h"

#define DEFAULT_REQUESTS 3000

/* The disk, in sectors */
#define ZS 128
#define CAP 96
#define NR_CONV 1
#define NR_ZONES 16
#define MAX_OPEN 4
#define MAX_ACTIVE 6
#define CAPACITY (NR_ZONES * ZS)

#define NULL_DISK \
    "driver=null-co,memory-backed=on,size=1048576,zoned.zone-size=64K," \
    "zoned.zone-capacity=48K,zoned.conventional-zones=1," \
    "zoned.max-open-zones=4,zoned.max-active-zones=6," \
    "zoned.max-append-size=32K"
#define IMAGE_OPTIONS \
    "zone_size=64K,zone_capacity=48K,conventional_zones=1,max_open_zones=4," \
    "max_active_zones=6,max_append_size=32K"

/* The end of guest memory, and where devices are */
#define MEMORY_END (64 * MiB)
#define PCI_HOLE 0xe0000000ull
/* Nothing that matters lies below */
#define LOW_MEMORY (64 * KiB)

#define MAX_BATCH 64

/* Of a request: its header and its answer, then data; data may be anywhere */
#define REQUEST_SIZE 8192
#define ANSWER 64
#define BUF_SIZE (MAX_BATCH * REQUEST_SIZE)
#define BUF_SLACK (1 * MiB)

#define MAX_PARTS 24
#define TABLE_SIZE (MAX_PARTS * sizeof(struct vring_desc))

/* More than this is a leak.  The sanitizer keeps what is freed. */
#ifdef QEMU_SANITIZE_ADDRESS
#define MAX_GROWTH (300 * MiB)
#else
#define MAX_GROWTH (24 * MiB)
#endif

/* A report of all zones, as a guest gets it */
typedef struct Report {
    uint8_t data[64 + NR_ZONES * 64];
} Report;

typedef struct Zone {
    uint64_t cap, start, wp;
    uint8_t type, state;
} Zone;

typedef struct Part {
    uint64_t addr;
    uint32_t len;
    bool is_in;
} Part;

typedef struct Fuzz {
    const char *options;        /* of the machine */
    QOSState *qs;
    QTestState *qts;
    QVirtioPCIDevice *pci;
    QVirtQueue *vq;
    uint64_t buf;
    uint64_t tables;            /* of indirect descriptors */
    GRand *rand;
    bool is_remote;
    bool has_iothread;

    struct vring_desc desc[256];
    unsigned int nr_desc;
    unsigned int batch;         /* requests in the queue */
    uint16_t avail;
    bool is_tame;               /* no request was sent that breaks a device */

    Report report;
    Zone zones[NR_ZONES];
    uint64_t good, failed;      /* requests that were alone */
    uint64_t broken;            /* how often the device gave up */
} Fuzz;

static uint32_t below(Fuzz *f, uint32_t n)
{
    return g_rand_int(f->rand) % n;
}

static bool one_in(Fuzz *f, uint32_t n)
{
    return !below(f, n);
}

/*
 * The driver
 */

static void driver_start(Fuzz *f)
{
    QVirtioDevice *vdev = &f->pci->vdev;

    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                         ~(QVIRTIO_F_BAD_FEATURE |
                           (1ull << VIRTIO_F_RING_PACKED) |
                           (1ull << VIRTIO_RING_F_EVENT_IDX)));
    f->vq = qvirtqueue_setup(vdev, &f->qs->alloc, 0);
    g_assert_cmpuint(f->vq->size, <=, ARRAY_SIZE(f->desc));
    qvirtio_set_driver_ok(vdev);
    f->avail = 0;
    f->nr_desc = 0;
    f->batch = 0;
    f->is_tame = true;
}

static void machine_start(Fuzz *f)
{
    f->qs = qtest_pc_boot("-nodefaults -m 64 %s", f->options);
    f->qts = f->qs->qts;
    f->buf = guest_alloc(&f->qs->alloc, BUF_SIZE + BUF_SLACK);
    f->tables = guest_alloc(&f->qs->alloc, MAX_BATCH * TABLE_SIZE);
    f->pci = virtio_pci_new(f->qs->pcibus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(4, 0)
    });
    qvirtio_pci_device_enable(f->pci);
    driver_start(f);
}

static void machine_stop(Fuzz *f)
{
    qvirtqueue_cleanup(f->pci->vdev.bus, f->vq, &f->qs->alloc);
    qvirtio_pci_device_disable(f->pci);
    g_free(f->pci->pdev);
    g_free(f->pci);
    qtest_shutdown(f->qs);
}

static void driver_restart(Fuzz *f)
{
    QVirtQueue *old = f->vq;

    if (f->is_remote && !f->is_tame) {
        /* The export has ended the connection, or will do so */
        machine_stop(f);
        machine_start(f);
        return;
    }

    /* The old queue may be in use until the reset */
    qvirtio_reset(&f->pci->vdev);
    qvirtqueue_cleanup(f->pci->vdev.bus, old, &f->qs->alloc);
    driver_start(f);
}

static void kick(Fuzz *f)
{
    qtest_bufwrite(f->qts, f->vq->desc, f->desc,
                   f->nr_desc * sizeof(f->desc[0]));
    qtest_writew(f->qts, f->vq->avail + 2, f->avail);
    f->pci->vdev.bus->virtqueue_kick(&f->pci->vdev, f->vq);
}

static bool is_broken(Fuzz *f)
{
    return f->pci->vdev.bus->get_status(&f->pci->vdev) &
           VIRTIO_CONFIG_S_NEEDS_RESET;
}

/*
 * Wait for all requests.  Returns false if the device has given up.  An export
 * has no way to tell the guest so.
 */
static bool wait_all(Fuzz *f)
{
    const gint64 start = g_get_monotonic_time();
    const gint64 limit = f->is_remote && !f->is_tame ? 50000 : TIMEOUT_US;

    while (qtest_readw(f->qts, f->vq->used + 2) != f->avail) {
        const bool is_over = g_get_monotonic_time() - start > limit;

        if (!f->is_tame && (is_broken(f) || (f->is_remote && is_over))) {
            f->broken++;
            driver_restart(f);
            return false;
        }
        g_assert_false(is_over);
        qtest_clock_step(f->qts, 1000);
    }
    f->nr_desc = 0;
    f->batch = 0;
    if (!f->is_tame) {
        driver_restart(f);
    }
    return true;
}

static void set_desc(Fuzz *f, struct vring_desc *d, const Part *part,
                     uint16_t next, bool is_last)
{
    *d = (struct vring_desc) {
        .addr = cpu_to_le64(part->addr),
        .len = cpu_to_le32(part->len),
        .flags = cpu_to_le16((is_last ? 0 : VRING_DESC_F_NEXT) |
                             (part->is_in ? VRING_DESC_F_WRITE : 0)),
        .next = cpu_to_le16(next),
    };
}

static bool has_room(Fuzz *f)
{
    return f->batch < MAX_BATCH && f->nr_desc + MAX_PARTS <= f->vq->size;
}

/* Make a descriptor of a chain wrong */
static void spoil(Fuzz *f, struct vring_desc *d)
{
    switch (below(f, 5)) {
    case 0:
        d->flags = cpu_to_le16(g_rand_int(f->rand));
        break;
    case 1:
        d->next = cpu_to_le16(below(f, 300));
        break;
    case 2:
        d->len = cpu_to_le32(one_in(f, 2) ? 0 : g_rand_int(f->rand));
        break;
    case 3:
        d->flags |= cpu_to_le16(VRING_DESC_F_INDIRECT);
        break;
    default:
        d->flags ^= cpu_to_le16(1 << below(f, 2));
    }
    f->is_tame = false;
}

static void put_chain(Fuzz *f, const Part *parts, unsigned int nr,
                      bool is_indirect, bool is_spoilt)
{
    struct vring_desc table[MAX_PARTS];
    const uint64_t table_addr = f->tables + f->batch * TABLE_SIZE;
    const uint16_t head = f->nr_desc;
    struct vring_desc *d = is_indirect ? table : &f->desc[f->nr_desc];
    unsigned int i;

    for (i = 0; i < nr; i++) {
        set_desc(f, &d[i], &parts[i], i + 1 + (is_indirect ? 0 : head),
                 i == nr - 1);
    }
    if (is_spoilt) {
        spoil(f, &d[below(f, nr)]);
    }
    if (is_indirect) {
        f->desc[head] = (struct vring_desc) {
            .addr = cpu_to_le64(table_addr),
            .len = cpu_to_le32(nr * sizeof(table[0])),
            .flags = cpu_to_le16(VRING_DESC_F_INDIRECT),
        };
        if (is_spoilt && one_in(f, 2)) {
            spoil(f, &f->desc[head]);
        }
        qtest_bufwrite(f->qts, table_addr, table, nr * sizeof(table[0]));
    }
    f->nr_desc += is_indirect ? 1 : nr;
    qtest_writew(f->qts, f->vq->avail + 4 + 2 * (f->avail++ % f->vq->size),
                 head);
    f->batch++;
}

static uint64_t request_mem(Fuzz *f, unsigned int i)
{
    return f->buf + i * REQUEST_SIZE;
}

static void put_header(Fuzz *f, uint64_t at, uint32_t type, uint64_t sector)
{
    uint8_t header[16];

    stl_le_p(header, type);
    stl_le_p(header + 4, g_rand_int(f->rand));
    stq_le_p(header + 8, sector);
    qtest_bufwrite(f->qts, at, header, sizeof(header));
}

/* A request as a driver would send it, alone; returns its status */
static uint8_t request(Fuzz *f, uint32_t type, uint64_t sector, size_t out,
                       void *in, size_t in_len)
{
    const uint64_t at = request_mem(f, 0);
    Part parts[3];
    unsigned int nr = 0;

    put_header(f, at, type, sector);
    parts[nr++] = (Part) { at, 16, false };
    if (out) {
        parts[nr++] = (Part) { at + 4096, out, false };
    }
    parts[nr++] = (Part) { at + 4096, in_len + 1, true };
    qtest_writeb(f->qts, at + 4096 + in_len, 0xa5);
    put_chain(f, parts, nr, false, false);
    kick(f);
    g_assert_true(wait_all(f));
    if (in) {
        qtest_bufread(f->qts, at + 4096, in, in_len);
    }
    return qtest_readb(f->qts, at + 4096 + in_len);
}

/*
 * Zones
 */

static uint64_t zone_start(unsigned int n)
{
    return n * ZS;
}

/* Read all zones */
static void look(Fuzz *f)
{
    unsigned int i;

    g_assert_cmphex(request(f, VIRTIO_BLK_T_ZONE_REPORT, 0, 0, &f->report,
                            sizeof(f->report)), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(ldq_le_p(f->report.data), ==, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        const uint8_t *d = f->report.data + 64 + 64 * i;

        f->zones[i] = (Zone) {
            .cap = ldq_le_p(d),
            .start = ldq_le_p(d + 8),
            .wp = ldq_le_p(d + 16),
            .type = d[24],
            .state = d[25],
        };
    }
}

/* What must be true of all zones at any time */
static void assert_zones(Fuzz *f)
{
    unsigned int i, open = 0, active = 0;

    for (i = 0; i < NR_ZONES; i++) {
        const Zone *z = &f->zones[i];

        g_assert_cmpuint(z->start, ==, zone_start(i));
        if (i < NR_CONV) {
            g_assert_cmpuint(z->state, ==, VIRTIO_BLK_ZS_NOT_WP);
            continue;
        }
        g_assert_cmpuint(z->cap, ==, CAP);
        switch (z->state) {
        case VIRTIO_BLK_ZS_EMPTY:
            g_assert_cmpuint(z->wp, ==, z->start);
            break;
        case VIRTIO_BLK_ZS_IOPEN:
        case VIRTIO_BLK_ZS_EOPEN:
            open++;
            /* fallthrough */
        case VIRTIO_BLK_ZS_CLOSED:
            active++;
            g_assert_cmpuint(z->wp, >=, z->start);
            g_assert_cmpuint(z->wp, <, z->start + CAP);
            break;
        default:
            g_assert_cmpuint(z->state, ==, VIRTIO_BLK_ZS_FULL);
        }
    }
    g_assert_cmpuint(open, <=, MAX_OPEN);
    g_assert_cmpuint(active, <=, MAX_ACTIVE);
}

static uint8_t mgmt(Fuzz *f, uint32_t type, uint64_t sector)
{
    return request(f, type, sector, 0, NULL, 0);
}

static void reset_all(Fuzz *f)
{
    g_assert_cmphex(mgmt(f, VIRTIO_BLK_T_ZONE_RESET_ALL, 0), ==,
                    VIRTIO_BLK_S_OK);
}

/* All zones and resources are there in the end */
static void assert_whole(Fuzz *f)
{
    unsigned int i;

    reset_all(f);
    for (i = NR_CONV; i < NR_ZONES; i++) {
        g_assert_cmphex(request(f, VIRTIO_BLK_T_OUT, zone_start(i), 512, NULL,
                                0), ==, VIRTIO_BLK_S_OK);
        g_assert_cmphex(mgmt(f, VIRTIO_BLK_T_ZONE_FINISH, zone_start(i)), ==,
                        VIRTIO_BLK_S_OK);
    }
    reset_all(f);
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmphex(mgmt(f, VIRTIO_BLK_T_ZONE_OPEN,
                             zone_start(NR_CONV + i)), ==, VIRTIO_BLK_S_OK);
    }
    g_assert_cmphex(mgmt(f, VIRTIO_BLK_T_ZONE_OPEN, zone_start(NR_CONV + i)),
                    ==, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    reset_all(f);
}

/*
 * Random requests
 */

/* A place where something may happen */
static uint64_t random_sector(Fuzz *f)
{
    const Zone *z = &f->zones[below(f, NR_ZONES)];

    switch (below(f, 32)) {
    case 0:
        return (uint64_t)g_rand_int(f->rand) << 32 | g_rand_int(f->rand);
    case 1:
        return CAPACITY - 2 + below(f, 4);
    case 2:
        /* Wraps when it is turned into bytes */
        return 1ull << (below(f, 12) + 52) | below(f, CAPACITY);
    case 3 ... 5:
        return below(f, CAPACITY);
    case 6:
        return z->start + CAP - 2 + below(f, 4);
    case 7 ... 18:
        return z->start;
    default:
        return z->wp < CAPACITY ? z->wp : z->start;
    }
}

static uint32_t random_type(Fuzz *f)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
        VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_APPEND,
        VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_REPORT,
        VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN,
        VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
        VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
        VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
        VIRTIO_BLK_T_SCSI_CMD, 14,
    };
    uint32_t type = types[below(f, ARRAY_SIZE(types))];

    switch (below(f, 64)) {
    case 0:
        return VIRTIO_BLK_T_ZONE_RESET_ALL;
    case 1:
        return g_rand_int(f->rand);
    case 2:
        return type ^ 1u << below(f, 32);
    case 3:
        return type | VIRTIO_BLK_T_BARRIER;
    default:
        return type;
    }
}

/* A length of data */
static uint32_t random_len(Fuzz *f)
{
    switch (below(f, 16)) {
    case 0:
        return 0;
    case 1:
        return below(f, 4096);
    case 2:
        return below(f, BUF_SIZE);
    case 3:
        return CAP * 512 + 512 * below(f, ZS - CAP + 2);
    default:
        return 512 * (1 + below(f, 8));
    }
}

/* One that a device may read and write, or that is no memory at all */
static uint64_t wild_addr(Fuzz *f)
{
    f->is_tame = false;
    /*
     * An iothread that maps what is no memory takes the lock of the main
     * thread, which may be waiting for the iothread: as with any disk, the
     * machine hangs.
     */
    switch (below(f, f->has_iothread ? 2 : 6)) {
    case 0:
        return below(f, LOW_MEMORY);
    case 1:
        return f->buf + below(f, BUF_SIZE);
    case 2:
        return MEMORY_END - 16 * KiB + below(f, 32 * KiB);
    case 3:
        return PCI_HOLE + below(f, 64 * MiB);
    case 4:
        return (uint64_t)g_rand_int(f->rand) << 32;
    default:
        return UINT64_MAX - below(f, 64 * KiB);
    }
}

/* Cut @len bytes at @addr into parts; returns how many there are then */
static unsigned int cut(Fuzz *f, Part *parts, unsigned int nr, uint64_t addr,
                        uint32_t len, bool is_in)
{
    /* Those for the rest are kept */
    while (len && nr < MAX_PARTS - 4) {
        uint32_t part = one_in(f, 3) ? 1 + below(f, len) : len;

        if (nr == MAX_PARTS - 5) {
            part = len;
        }
        parts[nr++] = (Part) { addr, part, is_in };
        addr += part;
        len -= part;
    }
    return nr;
}

/* What the device shall write for a request */
static uint32_t natural_in(Fuzz *f, uint32_t type)
{
    switch (type) {
    case VIRTIO_BLK_T_IN:
        return random_len(f);
    case VIRTIO_BLK_T_ZONE_REPORT:
        return one_in(f, 4) ? random_len(f) : 64 + 64 * below(f, 20);
    case VIRTIO_BLK_T_ZONE_APPEND:
        return one_in(f, 8) ? below(f, 64) : 8;
    case VIRTIO_BLK_T_GET_ID:
        return 20;
    default:
        return 0;
    }
}

static uint32_t natural_out(Fuzz *f, uint32_t type)
{
    switch (type) {
    case VIRTIO_BLK_T_OUT:
    case VIRTIO_BLK_T_ZONE_APPEND:
        return random_len(f);
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return 16;
    default:
        return 0;
    }
}

/* Parts that make no sense */
static unsigned int derange(Fuzz *f, Part *parts, unsigned int nr)
{
    Part *part = &parts[below(f, nr)];

    f->is_tame = false;
    switch (below(f, 6)) {
    case 0:
        part->addr = wild_addr(f);
        break;
    case 1:
        part->len = g_rand_int(f->rand) >> below(f, 32);
        break;
    case 2:
        part->is_in = !part->is_in;
        break;
    case 3:
        return 1 + below(f, nr);
    case 4:
        part->addr = request_mem(f, f->batch) + below(f, 32);
        break;
    default:
        *part = parts[below(f, nr)];
    }
    return nr;
}

/* Put a random request into the queue */
static void put_random(Fuzz *f, uint32_t type, uint64_t sector, bool is_wild)
{
    const uint64_t at = request_mem(f, f->batch);
    /* Data may be that of other requests, and their headers and answers */
    const uint64_t data = is_wild ? f->buf + below(f, BUF_SIZE)
                                  : at + REQUEST_SIZE / 2;
    uint32_t in = natural_in(f, type);
    uint32_t out = natural_out(f, type);
    Part parts[MAX_PARTS];
    unsigned int nr;

    if (!is_wild) {
        in = MIN(in, REQUEST_SIZE / 2);
        out = MIN(out, REQUEST_SIZE / 2);
    } else if (one_in(f, 8)) {
        in = random_len(f);
        out = random_len(f);
    }
    put_header(f, at, type, sector);
    qtest_writeb(f->qts, at + ANSWER, 0xa5);
    nr = is_wild ? cut(f, parts, 0, at, 16, false) : 1;
    parts[0] = is_wild ? parts[0] : (Part) { at, 16, false };
    if (out) {
        nr = cut(f, parts, nr, data, out, false);
    }
    if (in) {
        nr = cut(f, parts, nr, data, in, true);
    }
    parts[nr++] = (Part) { at + ANSWER, 1, true };
    if (is_wild && one_in(f, 8)) {
        nr = derange(f, parts, nr);
    }
    put_chain(f, parts, nr, one_in(f, 3), is_wild && one_in(f, 32));
}

static uint8_t answer(Fuzz *f, unsigned int i)
{
    return qtest_readb(f->qts, request_mem(f, i) + ANSWER);
}

/* Returns whether the request was refused */
static bool send_one(Fuzz *f)
{
    uint8_t status;

    put_random(f, random_type(f), random_sector(f), false);
    kick(f);
    g_assert_true(wait_all(f));
    status = answer(f, 0);
    g_assert_cmphex(status, !=, 0xa5);
    f->good += status == VIRTIO_BLK_S_OK;
    f->failed += status != VIRTIO_BLK_S_OK;
    return status != VIRTIO_BLK_S_OK;
}

/* Many at a time, most of them well-formed, that concern few zones */
static unsigned int send_many(Fuzz *f)
{
    const unsigned int nr = 2 + below(f, MAX_BATCH - 1);
    const bool is_wild = one_in(f, 2);
    const uint64_t zone = zone_start(below(f, NR_ZONES));
    unsigned int i;

    for (i = 0; i < nr && has_room(f); i++) {
        put_random(f, random_type(f), one_in(f, 2) ? zone : random_sector(f),
                   is_wild);
    }
    kick(f);
    if (one_in(f, 16)) {
        driver_restart(f);
    } else if (!is_wild) {
        const unsigned int sent = i;

        g_assert_true(wait_all(f));
        for (i = 0; i < sent; i++) {
            g_assert_cmphex(answer(f, i), !=, 0xa5);
        }
    } else {
        wait_all(f);
    }
    return i;
}

static void assert_same(Fuzz *f, const Report *before)
{
    g_assert_cmpmem(before, sizeof(*before), &f->report, sizeof(f->report));
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static void fuzz(Fuzz *f, const char *pidfile)
{
    uint64_t todo = from_environment("VIRTIO_ZONED_FUZZ", DEFAULT_REQUESTS);
    const uint64_t warm = todo - todo / 4;
    uint64_t memory = 0;

    f->rand = g_rand_new_with_seed(from_environment("VIRTIO_ZONED_SEED", 1));
    look(f);
    while (todo) {
        const Report before = f->report;
        unsigned int sent = 1;
        bool is_refused = false;

        if (one_in(f, 16)) {
            sent = send_many(f);
        } else {
            is_refused = send_one(f);
        }
        todo -= MIN(todo, sent);
        look(f);
        if (is_refused) {
            assert_same(f, &before);
        }
        assert_zones(f);
        if (!memory && todo < warm) {
            memory = zoned_rss(pidfile);
        }
    }
    g_test_message("alone, %" PRIu64 " requests succeeded, %" PRIu64 " failed; "
                   "the device gave up %" PRIu64 " times",
                   f->good, f->failed, f->broken);
    g_assert_cmpuint(f->good, >, f->failed / 16);
    g_assert_cmpuint(f->failed, >, f->good / 16);
    g_assert_cmpuint(zoned_rss(pidfile), <, memory + MAX_GROWTH);
    assert_whole(f);
    g_rand_free(f->rand);
}

/*
 * Disks
 */

typedef struct Disk {
    const char *name;
    bool is_image;
    bool is_remote;             /* another QEMU exports it */
    const char *device;         /* its properties, and more options */
} Disk;

static const Disk disks[] = {
    { "null", false, false, "" },
    { "image", true, false, "" },
    { "iothread", false, false, ",iothread=io0 -object iothread,id=io0" },
    { "export", true, true, "" },
};

static char *temporary(const char *suffix)
{
    return g_strdup_printf("%s/qtest-virtio-zoned.%d.%s", g_get_tmp_dir(),
                           getpid(), suffix);
}

static char *image_new(void)
{
    const char *qemu_img = getenv("QTEST_QEMU_IMG");
    char *path = temporary("zbd");
    g_autofree char *command = NULL;

    g_assert_nonnull(qemu_img);
    command = g_strdup_printf("%s create -q -f zoned -o " IMAGE_OPTIONS
                              " %s 1M", qemu_img, path);
    g_assert_cmpint(system(command), ==, 0);
    return path;
}

static QTestState *server_new(const char *node, const char *socket,
                              const char *pidfile)
{
    QTestState *server = qtest_initf("-nodefaults -machine none -pidfile %s "
                                     "-blockdev node-name=zbd,%s",
                                     pidfile, node);

    qtest_qmp_assert_success(server, "{'execute': 'block-export-add', "
        "'arguments': {'type': 'vhost-user-blk', 'id': 'exp', "
        "'node-name': 'zbd', 'writable': true, 'addr': {'type': 'unix', "
        "'path': %s}}}", socket);
    return server;
}

static void test_fuzz(const void *data)
{
    const Disk *disk = data;
    g_autofree char *image = disk->is_image ? image_new() : NULL;
    g_autofree char *pidfile = temporary("pid");
    g_autofree char *socket = temporary("socket");
    g_autofree char *node = !image ? g_strdup(NULL_DISK) :
        g_strdup_printf("driver=zoned,file.driver=file,file.filename=%s",
                        image);
    g_autofree char *options = NULL;
    QTestState *server = NULL;
    Fuzz f = {
        .is_remote = disk->is_remote,
        .has_iothread = strstr(disk->device, "iothread"),
    };

    if (disk->is_remote) {
        server = server_new(node, socket, pidfile);
        f.options = options = g_strdup_printf(
            "-M memory-backend=mem "
            "-object memory-backend-memfd,id=mem,size=64M,share=on "
            "-chardev socket,id=zbd,path=%s "
            "-device vhost-user-blk-pci,chardev=zbd,addr=4,queue-size=256",
            socket);
    } else {
        f.options = options = g_strdup_printf(
            "-pidfile %s -blockdev node-name=zbd,%s "
            "-device virtio-blk-pci,drive=zbd,addr=4%s", pidfile, node,
            disk->device);
    }
    machine_start(&f);
    fuzz(&f, pidfile);
    machine_stop(&f);
    if (server) {
        qtest_quit(server);
        unlink(socket);
    }
    if (image) {
        unlink(image);
    }
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(disks); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-blk/zoned/fuzz/%s",
                                                disks[i].name);

        qtest_add_data_func(path, &disks[i], test_fuzz);
    }
    return g_test_run();
}
