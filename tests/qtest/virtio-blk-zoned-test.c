/*
 * QTest testcase for zoned virtio-blk disks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A raw driver, which sends what Linux never would.  Cases are named after
 * the requirements that they prove; docs/devel/zoned-conformance.rst lists
 * those.  Sectors are of 512 bytes.
 *
 * Most cases run twice: on a virtio-blk device, and on a vhost-user-blk device
 * that has its disk from a vhost-user-blk export of qemu-storage-daemon.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "qapi/qmp/qnull.h"
#include "qapi/qmp/qstring.h"
#include "standard-headers/linux/virtio_blk.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_pci.h"
#include "standard-headers/linux/virtio_ring.h"
#include "libqos/libqos-pc.h"
#include "libqos/virtio-pci.h"
#include "zoned-qmp.h"
#ifdef CONFIG_VHOST_USER_BLK_SERVER
#include <sys/eventfd.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "subprojects/libvhost-user/libvhost-user.h" /* only for the messages */
#endif

#define DEVFN QPCI_DEVFN(4, 0)

/* The disk that most cases use, in sectors */
#define ZS 128          /* zone size */
#define CAP 96          /* zone capacity */
#define LAST 64         /* size of the last zone */
#define NR_CONV 2
#define NR_ZONES 11
#define CAPACITY ((NR_ZONES - 1) * ZS + LAST)
#define MAX_OPEN 3
#define MAX_ACTIVE 5
#define ZONE(n) ((uint64_t)(n) * ZS)
#define SEQ NR_CONV     /* the first sequential zone */

#define HM_AS(prefix) \
    prefix "driver=null-co," prefix "memory-backed=on," \
    prefix "size=688128," prefix "zoned.model=host-managed," \
    prefix "zoned.zone-size=64K," prefix "zoned.zone-capacity=48K," \
    prefix "zoned.conventional-zones=2," prefix "zoned.max-open-zones=3," \
    prefix "zoned.max-active-zones=5," prefix "zoned.max-append-size=48K"
#define HM HM_AS("")
#define HM_FAULTY "driver=blkdebug," HM_AS("image.")
#define HA \
    "driver=null-co,memory-backed=on,size=655360,zoned.model=host-aware," \
    "zoned.zone-size=64K,zoned.conventional-zones=2"
#define PLAIN "driver=null-co,size=655360"

#define F_ZONED (1ull << VIRTIO_BLK_F_ZONED)

/* Status bytes */
enum {
    OK = VIRTIO_BLK_S_OK,
    IOERR = VIRTIO_BLK_S_IOERR,
    UNSUPP = VIRTIO_BLK_S_UNSUPP,
    INVALID = VIRTIO_BLK_S_ZONE_INVALID_CMD,
    UNALIGNED = VIRTIO_BLK_S_ZONE_UNALIGNED_WP,
    NO_OPEN = VIRTIO_BLK_S_ZONE_OPEN_RESOURCE,
    NO_ACTIVE = VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE,
};

/* Request types */
enum {
    IN = VIRTIO_BLK_T_IN,
    OUT = VIRTIO_BLK_T_OUT,
    APPEND = VIRTIO_BLK_T_ZONE_APPEND,
    REPORT = VIRTIO_BLK_T_ZONE_REPORT,
    OPEN = VIRTIO_BLK_T_ZONE_OPEN,
    CLOSE = VIRTIO_BLK_T_ZONE_CLOSE,
    FINISH = VIRTIO_BLK_T_ZONE_FINISH,
    RESET = VIRTIO_BLK_T_ZONE_RESET,
    RESET_ALL = VIRTIO_BLK_T_ZONE_RESET_ALL,
    SECURE_ERASE = 14,
};

static const uint32_t zone_types[] = {
    APPEND, REPORT, OPEN, CLOSE, FINISH, RESET, RESET_ALL
};

/* Zone states */
enum {
    CONV = VIRTIO_BLK_ZS_NOT_WP,
    EMPTY = VIRTIO_BLK_ZS_EMPTY,
    IOPEN = VIRTIO_BLK_ZS_IOPEN,
    EOPEN = VIRTIO_BLK_ZS_EOPEN,
    CLOSED = VIRTIO_BLK_ZS_CLOSED,
    RDONLY = VIRTIO_BLK_ZS_RDONLY,
    FULL = VIRTIO_BLK_ZS_FULL,
    OFFLINE = VIRTIO_BLK_ZS_OFFLINE,
};

/* How a request is cut into descriptors */
typedef enum Layout {
    NATURAL,                /* header, data, in-header */
    BYTES,                  /* header and in-header of one byte each */
    MERGED,                 /* one readable, one writable */
} Layout;

/* A process that serves a disk by vhost-user-blk */
typedef struct Daemon {
    pid_t pid;
    char *dir;              /* for the two that follow */
    char *socket, *log;
    int fd;                 /* the listening socket, which outlasts it */
} Daemon;

typedef struct Zbd {
    Daemon *daemon;         /* if it is not QEMU that serves the disk */
    QOSState *qs;
    QTestState *qts;
    QVirtioPCIDevice *pci;
    QVirtioDevice *vdev;
    QVirtQueue *vq;
    uint64_t mem;           /* guest memory: one half to read, one to write */
    uint16_t used_idx;
    Layout layout;
    uint32_t used_len;      /* of the last request */
} Zbd;

#define MEM_HALF (1 * MiB)

/*
 * The storage daemon
 */

/* Whether the case that runs is to have its disks from daemons */
static bool remote;

/* A daemon for a test process that has failed must not stay behind */
static void daemon_abort(void *opaque)
{
    Daemon *d = opaque;

    if (d->pid > 0) {
        kill(d->pid, SIGKILL);
    }
}

/* @node: as for -blockdev; @options: more of those of the export */
static void daemon_start(Daemon *d, const char *node, const char *options)
{
    const char *program = getenv("QTEST_QEMU_STORAGE_DAEMON_BINARY");
    const bool writable = !strstr(node, "read-only=on");
    g_autofree char *command = g_strdup_printf(
        "exec %s --blockdev node-name=zbd,%s --export type=vhost-user-blk,"
        "id=exp,node-name=zbd,writable=%s,num-queues=2,addr.type=fd,"
        "addr.str=%d%s <&- >>%s 2>&1", program, node, writable ? "on" : "off",
        d->fd, options, d->log);

    g_assert_nonnull(program);
    g_test_message("daemon: %s", command);
    d->pid = fork();
    g_assert_cmpint(d->pid, >=, 0);
    if (d->pid == 0) {
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(1);
    }
}

static Daemon *daemon_new(const char *node, const char *options)
{
    Daemon *d = g_new0(Daemon, 1);

    d->dir = g_dir_make_tmp("zoned-daemon-XXXXXX", NULL);
    g_assert_nonnull(d->dir);
    d->socket = g_build_filename(d->dir, "socket", NULL);
    d->log = g_build_filename(d->dir, "log", NULL);
    /* It listens from now on, so that QEMU need not wait for the daemon */
    d->fd = qtest_socket_server(d->socket);
    qtest_add_abrt_handler(daemon_abort, d);
    daemon_start(d, node, options);
    return d;
}

static void daemon_end(Daemon *d, int signal)
{
    int status;

    kill(d->pid, signal);
    g_assert_cmpint(waitpid(d->pid, &status, 0), ==, d->pid);
    d->pid = 0;
    if (signal == SIGTERM) {
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    }
}

/*
 * Nothing that a guest does is logged; the limits of a disk may be, and a
 * sanitized daemon has coroutines
 */
static void assert_silent(const Daemon *d)
{
    g_autofree char *said = NULL;
    g_auto(GStrv) lines = NULL;
    char **line;

    g_assert_true(g_file_get_contents(d->log, &said, NULL, NULL));
    lines = g_strsplit(said, "\n", -1);
    for (line = lines; *line; line++) {
        if (**line && !strstr(*line, "warning: zoned drive") &&
            !strstr(*line, "makecontext/swapcontext")) {
            g_error("the daemon says '%s'", *line);
        }
    }
}

static void daemon_free(Daemon *d)
{
    daemon_end(d, SIGTERM);
    qtest_remove_abrt_handler(d);
    assert_silent(d);
    close(d->fd);
    unlink(d->log);
    unlink(d->socket);
    rmdir(d->dir);
    g_free(d->log);
    g_free(d->socket);
    g_free(d->dir);
    g_free(d);
}

/*
 * The machine and the driver's start
 */

/* The options of QEMU for a disk that @d serves */
static char *remote_options(const Daemon *d, const char *chardev)
{
    /* A shell runs QEMU: @chardev may end in a redirection */
    return g_strdup_printf(
        "-nodefaults -m 256M -M memory-backend=mem "
        "-object memory-backend-memfd,id=mem,size=256M,share=on "
        "-chardev socket,id=zbd,path=%s%s", d->socket, chardev);
}

/* @chardev: more options for the connection to the daemon */
static Zbd *zbd_boot_remote(const char *node, const char *options,
                            const char *device, const char *chardev)
{
    Zbd *z = g_new0(Zbd, 1);
    g_autofree char *qemu = NULL;

    z->daemon = daemon_new(node, options);
    qemu = remote_options(z->daemon, chardev);
    z->qs = qtest_pc_boot("%s -device vhost-user-blk-pci,id=vd,chardev=zbd,"
                          "queue-size=256,addr=4%s", qemu, device);
    return z;
}

static Zbd *zbd_boot_local(const char *node, const char *device)
{
    Zbd *z = g_new0(Zbd, 1);

    z->qs = qtest_pc_boot("-nodefaults -blockdev node-name=zbd,%s "
                          "-device virtio-blk-pci,id=vd,drive=zbd,addr=4%s",
                          node, device);
    return z;
}

static Zbd *zbd_attach(Zbd *z)
{
    z->qts = z->qs->qts;
    z->mem = guest_alloc(&z->qs->alloc, 2 * MEM_HALF);
    z->pci = virtio_pci_new(z->qs->pcibus, &(QPCIAddress) { .devfn = DEVFN });
    z->vdev = &z->pci->vdev;
    qvirtio_pci_device_enable(z->pci);
    return z;
}

static Zbd *zbd_boot(const char *node, const char *device)
{
    return zbd_attach(remote ? zbd_boot_remote(node, "", device, "")
                             : zbd_boot_local(node, device));
}

static void zbd_start(Zbd *z)
{
    qvirtio_start_device(z->vdev);
}

static uint64_t zbd_offered(Zbd *z)
{
    return z->vdev->bus->get_features(z->vdev);
}

/* Returns whether the device has accepted the driver's choice */
static bool zbd_try_features(Zbd *z, uint64_t features)
{
    const QVirtioBus *bus = z->vdev->bus;
    uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                     VIRTIO_CONFIG_S_FEATURES_OK;
    uint32_t half;

    /* Not by bus->set_features(), which insists on VERSION_1 */
    for (half = 0; half < 2; half++) {
        qpci_io_writel(z->pci->pdev, z->pci->bar, z->pci->common_cfg_offset +
                       offsetof(struct virtio_pci_common_cfg,
                                guest_feature_select), half);
        qpci_io_writel(z->pci->pdev, z->pci->bar, z->pci->common_cfg_offset +
                       offsetof(struct virtio_pci_common_cfg, guest_feature),
                       features >> (32 * half));
    }
    z->vdev->features = features;
    bus->set_status(z->vdev, status);
    z->vdev->features_negotiated = true;
    return bus->get_status(z->vdev) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static uint64_t zbd_usual_features(Zbd *z)
{
    return zbd_offered(z) & ~(QVIRTIO_F_BAD_FEATURE |
                              (1ull << VIRTIO_F_RING_PACKED) |
                              (1ull << VIRTIO_RING_F_INDIRECT_DESC) |
                              (1ull << VIRTIO_RING_F_EVENT_IDX));
}

static void zbd_driver_ok(Zbd *z)
{
    const QVirtioBus *bus = z->vdev->bus;

    bus->set_status(z->vdev, bus->get_status(z->vdev) |
                             VIRTIO_CONFIG_S_DRIVER_OK);
}

static void zbd_setup_queue(Zbd *z, uint16_t index)
{
    z->vq = qvirtqueue_setup(z->vdev, &z->qs->alloc, index);
    z->used_idx = 0;
}

static void zbd_run_without(Zbd *z, uint64_t features)
{
    zbd_start(z);
    g_assert_true(zbd_try_features(z, zbd_usual_features(z) & ~features));
    zbd_setup_queue(z, 0);
    zbd_driver_ok(z);
}

static Zbd *zbd_new(const char *node, const char *device)
{
    Zbd *z = zbd_boot(node, device);

    zbd_run_without(z, 0);
    return z;
}

static void zbd_free(Zbd *z)
{
    if (z->vq) {
        qvirtqueue_cleanup(z->vdev->bus, z->vq, &z->qs->alloc);
    }
    qvirtio_pci_device_disable(z->pci);
    g_free(z->pci->pdev);
    g_free(z->pci);
    qtest_shutdown(z->qs);
    if (z->daemon) {
        daemon_free(z->daemon);
    }
    g_free(z);
}

/* The driver resets the device and starts again */
static void zbd_restart(Zbd *z)
{
    qvirtqueue_cleanup(z->vdev->bus, z->vq, &z->qs->alloc);
    zbd_run_without(z, 0);
}

/*
 * Requests
 */

static void zbd_wait(Zbd *z, unsigned int nr)
{
    const gint64 start = g_get_monotonic_time();
    const uint16_t until = z->used_idx + nr;

    while (qtest_readw(z->qts, z->vq->used + 2) != until) {
        qtest_clock_step(z->qts, 100);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
    z->used_len = qtest_readl(z->qts, z->vq->used + 4 +
                              (uint16_t)(until - 1) % z->vq->size * 8 + 4);
    z->used_idx = until;
}

/* Lengths of descriptors for a part of @len bytes; returns how many */
static unsigned int cut(Layout layout, size_t len, size_t head, size_t tail,
                        uint32_t *out)
{
    unsigned int n = 0;
    size_t data = len - head - tail;
    size_t i;

    switch (layout) {
    case NATURAL:
        if (head) {
            out[n++] = head;
        }
        if (data) {
            out[n++] = data;
        }
        if (tail) {
            out[n++] = tail;
        }
        break;
    case BYTES:
        for (i = 0; i < head; i++) {
            out[n++] = 1;
        }
        if (data) {
            out[n++] = 1;
        }
        if (data > 1) {
            out[n++] = data - 1;
        }
        for (i = 0; i < tail; i++) {
            out[n++] = 1;
        }
        break;
    case MERGED:
        out[n++] = len;
        break;
    }
    return n;
}

/* Put a request in the queue at descriptor @first; returns the next free */
static unsigned int zbd_submit(Zbd *z, unsigned int first,
                               uint64_t rd, size_t rd_len, size_t rd_head,
                               uint64_t wr, size_t wr_len, size_t wr_tail)
{
    uint32_t lens[256];
    unsigned int nr_rd = cut(z->layout, rd_len, rd_head, 0, lens);
    unsigned int nr = nr_rd;
    unsigned int i;

    if (wr_len) {
        nr += cut(z->layout, wr_len, 0, wr_tail, lens + nr_rd);
    }
    g_assert_cmpuint(first + nr, <=, z->vq->size);

    z->vq->free_head = first;
    for (i = 0; i < nr; i++) {
        uint64_t *at = i < nr_rd ? &rd : &wr;

        qvirtqueue_add(z->qts, z->vq, *at, lens[i], i >= nr_rd, i < nr - 1);
        *at += lens[i];
    }
    qvirtqueue_kick(z->qts, z->vdev, z->vq, first);
    return first + nr;
}

static void put_header(uint8_t *to, uint32_t type, uint32_t reserved,
                       uint64_t sector)
{
    stl_le_p(to, type);
    stl_le_p(to + 4, reserved);
    stq_le_p(to + 8, sector);
}

/*
 * Send one request and wait for it.  @in_len does not count the status byte,
 * which is returned.  @tail: bytes of the in-header, which the layout may cut.
 */
static uint8_t zbd_send(Zbd *z, uint32_t type, uint64_t sector,
                        const void *out, size_t out_len,
                        void *in, size_t in_len, size_t tail)
{
    g_autofree uint8_t *rd = g_malloc(16 + out_len);
    g_autofree uint8_t *wr = g_malloc(in_len + 1);

    g_assert_cmpuint(16 + out_len, <=, MEM_HALF);
    g_assert_cmpuint(in_len + 1, <=, MEM_HALF);
    put_header(rd, type, 0, sector);
    if (out_len) {
        memcpy(rd + 16, out, out_len);
    }
    memset(wr, 0xa5, in_len + 1);
    qtest_bufwrite(z->qts, z->mem, rd, 16 + out_len);
    qtest_bufwrite(z->qts, z->mem + MEM_HALF, wr, in_len + 1);

    zbd_submit(z, 0, z->mem, 16 + out_len, 16,
               z->mem + MEM_HALF, in_len + 1, tail);
    zbd_wait(z, 1);

    qtest_bufread(z->qts, z->mem + MEM_HALF, wr, in_len + 1);
    if (in_len) {
        memcpy(in, wr, in_len);
    }
    return wr[in_len];
}

static uint8_t zbd_mgmt(Zbd *z, uint32_t type, uint64_t sector)
{
    return zbd_send(z, type, sector, NULL, 0, NULL, 0, 1);
}

/* Write @n sectors, each filled with @pattern */
static uint8_t zbd_out(Zbd *z, uint64_t sector, size_t n, uint8_t pattern)
{
    g_autofree uint8_t *buf = g_malloc(n * 512);

    memset(buf, pattern, n * 512);
    return zbd_send(z, OUT, sector, buf, n * 512, NULL, 0, 1);
}

static uint8_t zbd_in(Zbd *z, uint64_t sector, size_t n)
{
    g_autofree uint8_t *buf = g_malloc(n * 512);

    return zbd_send(z, IN, sector, NULL, 0, buf, n * 512, 1);
}

/* @in_header: bytes in front of the status byte, 8 in the specification */
static uint8_t zbd_append_ex(Zbd *z, uint64_t sector, size_t bytes,
                             uint8_t pattern, size_t in_header,
                             uint64_t *where)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    uint8_t in[64] = { 0 };
    uint8_t status;
    size_t i;

    memset(buf, pattern, bytes);
    status = zbd_send(z, APPEND, sector, buf, bytes, in, in_header,
                      in_header + 1);
    for (i = 8; i < in_header; i++) {
        g_assert_cmphex(in[i], ==, 0);
    }
    if (where) {
        *where = ldq_le_p(in);
    }
    return status;
}

static uint8_t zbd_append(Zbd *z, uint64_t sector, size_t n, uint64_t *where)
{
    return zbd_append_ex(z, sector, n * 512, 0x77, 8, where);
}

static void assert_data(Zbd *z, uint64_t sector, size_t n, uint8_t pattern)
{
    g_autofree uint8_t *buf = g_malloc(n * 512);
    size_t i;

    g_assert_cmpint(zbd_send(z, IN, sector, NULL, 0, buf, n * 512, 1), ==, OK);
    for (i = 0; i < n * 512; i++) {
        g_assert_cmphex(buf[i], ==, pattern);
    }
}

typedef struct Zone {
    uint64_t cap, start, wp;
    uint8_t type, state;
} Zone;

/* Returns how many zones the device says it reported */
static uint64_t parse_report(const uint8_t *buf, Zone *zones, size_t room)
{
    const uint64_t nr = ldq_le_p(buf);
    size_t i, j;

    g_assert_cmpuint(nr, <=, room);
    for (i = 8; i < 64; i++) {
        g_assert_cmphex(buf[i], ==, 0);
    }
    for (i = 0; i < nr; i++) {
        const uint8_t *d = buf + 64 + 64 * i;

        zones[i] = (Zone) {
            .cap = ldq_le_p(d),
            .start = ldq_le_p(d + 8),
            .wp = ldq_le_p(d + 16),
            .type = d[24],
            .state = d[25],
        };
        for (j = 26; j < 64; j++) {
            g_assert_cmphex(d[j], ==, 0);
        }
    }
    return nr;
}

static uint64_t zbd_report(Zbd *z, uint64_t sector, Zone *zones, size_t room)
{
    const size_t len = 64 + 64 * room;
    g_autofree uint8_t *buf = g_malloc(len);

    g_assert_cmpint(zbd_send(z, REPORT, sector, NULL, 0, buf, len, 1), ==, OK);
    return parse_report(buf, zones, room);
}

static Zone zbd_zone(Zbd *z, unsigned int n)
{
    Zone zone;

    g_assert_cmpuint(zbd_report(z, ZONE(n), &zone, 1), ==, 1);
    return zone;
}

static void assert_zone(Zbd *z, unsigned int n, uint8_t state, uint64_t wp)
{
    Zone zone = zbd_zone(z, n);

    g_assert_cmpint(zone.state, ==, state);
    if (state == FULL) {
        g_assert_cmpuint(zone.wp, ==, MIN(ZONE(n + 1), CAPACITY));
    } else {
        g_assert_cmpuint(zone.wp, ==, ZONE(n) + wp);
    }
}

static uint32_t config32(Zbd *z, unsigned int at)
{
    return z->vdev->bus->config_readl(z->vdev, at);
}

#define ZCFG(field) \
    (offsetof(struct virtio_blk_config, zoned) + \
     offsetof(struct virtio_blk_zoned_characteristics, field))

/* Bring an EMPTY zone into a state; returns its write pointer in the zone */
static unsigned int make_state(Zbd *z, unsigned int n, uint8_t state,
                               unsigned int written)
{
    if (written) {
        g_assert_cmpint(zbd_out(z, ZONE(n), written, 0x11), ==, OK);
    }
    switch (state) {
    case EOPEN:
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(n)), ==, OK);
        break;
    case CLOSED:
        g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(n)), ==, OK);
        break;
    case FULL:
        g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(n)), ==, OK);
        break;
    default:
        break;
    }
    assert_zone(z, n, state, written);
    return written;
}

/*
 * Offering, negotiation, configuration
 */

static void test_vz1(void)
{
    Zbd *z = zbd_boot(PLAIN, "");

    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & F_ZONED, ==, 0);
    /* Its configuration space ends where it always did */
    g_assert_cmphex(z->vdev->bus->config_readb(z->vdev, 56), !=, 0xff);
    g_assert_cmphex(z->vdev->bus->config_readb(z->vdev, 57), ==, 0xff);
    zbd_free(z);

    if (remote) {
        return;
    }
    /* The disk is not shown as zoned, either */
    z = zbd_boot(HA, ",zoned=off");
    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & F_ZONED, ==, 0);
    zbd_free(z);
}

/* A device with @props cannot be had; the error says @message */
static void assert_refused(const char *node, const char *props,
                           const char *message)
{
    Daemon *d = remote ? daemon_new(node, "") : NULL;
    g_autofree char *options = d ? remote_options(d, "") : g_strdup_printf(
        "-nodefaults -blockdev node-name=zbd,%s", node);
    QTestState *qts = qtest_init(options);
    g_autofree char *out = qtest_hmp(qts, "device_add %s,id=vd%s",
                                     d ? "vhost-user-blk-pci,chardev=zbd" :
                                     "virtio-blk-pci,drive=zbd", props);

    if (!strstr(out, message)) {
        g_error("'%s' is not in '%s'", message, out);
    }
    qtest_quit(qts);
    if (d) {
        daemon_free(d);
    }
}

/* The features and configuration that a legacy driver sees */
static void test_vz2(void)
{
    Zbd *z = zbd_boot(HM, "");
    QPCIBar legacy = qpci_iomap(z->pci->pdev, 0, NULL);

    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & F_ZONED, ==, F_ZONED);
    g_assert_cmphex(qpci_io_readl(z->pci->pdev, legacy,
                                  VIRTIO_PCI_HOST_FEATURES) & F_ZONED, ==, 0);
    zbd_free(z);

    z = zbd_boot(HA, ",disable-modern=on");
    g_assert_cmphex(zbd_offered(z) & F_ZONED, ==, 0);
    zbd_free(z);

    assert_refused(HM, ",disable-modern=on", "disable-modern=off");
}

/* A legacy driver takes the bit though it is not offered */
static void test_legacy_takes_bit(void)
{
    Zbd *z = zbd_boot(HA, ",disable-modern=on");
    uint8_t in[128];

    zbd_start(z);
    z->vdev->bus->set_features(z->vdev, F_ZONED);
    z->vdev->features_negotiated = true;
    zbd_setup_queue(z, 0);
    zbd_driver_ok(z);
    g_assert_cmpint(zbd_send(z, REPORT, 0, NULL, 0, in, sizeof(in), 1),
                    ==, UNSUPP);
    g_assert_cmpint(zbd_out(z, ZONE(5) + 8, 1, 0x42), ==, OK);
    assert_data(z, ZONE(5) + 8, 1, 0x42);
    zbd_free(z);
}

static void assert_config_hidden(Zbd *z)
{
    unsigned int i;

    for (i = 72; i < 96; i++) {
        g_assert_cmphex(z->vdev->bus->config_readb(z->vdev, i), ==, 0);
    }
}

static void test_vz3(void)
{
    Zbd *z = zbd_boot(HA, "");

    zbd_run_without(z, F_ZONED);
    assert_config_hidden(z);
    /* It is a plain disk */
    g_assert_cmpint(zbd_out(z, ZONE(4) - 8, 16, 0x42), ==, OK);
    assert_data(z, ZONE(4) - 8, 16, 0x42);
    zbd_free(z);
}

static void test_vz4(void)
{
    Zbd *z = zbd_boot(HM, "");
    uint64_t features;

    zbd_start(z);
    features = zbd_usual_features(z);
    g_assert_false(zbd_try_features(z, features & ~F_ZONED));

    /* Nor without the modern feature itself */
    zbd_start(z);
    g_assert_false(zbd_try_features(z, features &
                                    ~(F_ZONED | 1ull << VIRTIO_F_VERSION_1)));
    zbd_start(z);
    g_assert_false(zbd_try_features(z, features &
                                    ~(1ull << VIRTIO_F_VERSION_1)));

    /* A driver that goes on all the same cannot do harm */
    zbd_start(z);
    g_assert_false(zbd_try_features(z, features & ~F_ZONED));
    zbd_setup_queue(z, 0);
    zbd_driver_ok(z);
    assert_config_hidden(z);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, IOERR);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), 8), ==, IOERR);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, UNSUPP);

    zbd_restart(z);
    assert_zone(z, SEQ, EMPTY, 0);
    zbd_free(z);
}

/* The legacy interface of a transitional device is no way round */
static void test_vz4_legacy(void)
{
    Zbd *z = zbd_boot(HA, ",disable-modern=on");
    const QVirtioBus *legacy = z->vdev->bus;

    zbd_free(z);
    z = zbd_boot(HM, "");
    g_assert_true(z->vdev->bus != legacy);
    z->vdev->bus = legacy;
    z->pci->bar = qpci_iomap(z->pci->pdev, 0, NULL);
    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & F_ZONED, ==, 0);
    qvirtio_set_features(z->vdev, F_ZONED);
    zbd_setup_queue(z, 0);
    qvirtio_set_driver_ok(z->vdev);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, IOERR);
    g_assert_cmpint(zbd_out(z, 0, 8, 0x42), ==, IOERR);
    g_assert_cmpint(zbd_in(z, 0, 8), ==, IOERR);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, UNSUPP);
    zbd_free(z);
}

static void test_vz6(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(z->vdev->bus->config_readb(z->vdev, ZCFG(model)), ==,
                    VIRTIO_BLK_Z_HM);
    zbd_free(z);
}

static void test_vz7(void)
{
    Zbd *z = zbd_new(HA, "");

    g_assert_cmpint(z->vdev->bus->config_readb(z->vdev, ZCFG(model)), ==,
                    VIRTIO_BLK_Z_HA);
    zbd_free(z);
}

static void test_vz8(void)
{
    Zbd *z = zbd_new(HM, "");
    Zone zones[NR_ZONES];
    unsigned int i;

    g_assert_cmpuint(config32(z, ZCFG(zone_sectors)), ==, ZS);
    g_assert_cmpuint(zbd_report(z, 0, zones, NR_ZONES), ==, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        g_assert_cmpuint(zones[i].start, ==, ZONE(i));
    }
    zbd_free(z);
}

static void test_vz9(void)
{
    Zbd *z = zbd_new(HM, "");
    Zone zones[NR_ZONES + 1];

    g_assert_cmpuint(config32(z, 0), ==, CAPACITY);
    g_assert_cmpuint(zbd_report(z, 0, zones, NR_ZONES + 1), ==, NR_ZONES);
    g_assert_cmpuint(zones[NR_ZONES - 1].cap, <=, LAST);
    /* The last zone can be filled, and no more */
    g_assert_cmpint(zbd_out(z, ZONE(NR_ZONES - 1), LAST, 1), ==, OK);
    assert_zone(z, NR_ZONES - 1, FULL, 0);
    g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(NR_ZONES - 1)), ==, OK);
    assert_zone(z, NR_ZONES - 1, EMPTY, 0);
    zbd_free(z);
}

static void test_vz10(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    g_assert_cmpuint(config32(z, ZCFG(max_open_zones)), ==, MAX_OPEN);
    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, OK);
    }
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, NO_OPEN);
    zbd_free(z);

    z = zbd_new(HM ",zoned.max-open-zones=0,zoned.max-active-zones=0", "");
    g_assert_cmpuint(config32(z, ZCFG(max_open_zones)), ==, 0);
    for (i = SEQ; i < NR_ZONES; i++) {
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(i)), ==, OK);
    }
    zbd_free(z);
}

/* Close @nr zones with data */
static void fill_active(Zbd *z, unsigned int first, unsigned int nr)
{
    unsigned int i;

    for (i = first; i < first + nr; i++) {
        make_state(z, i, CLOSED, 8);
    }
}

static void test_vz11(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpuint(config32(z, ZCFG(max_active_zones)), ==, MAX_ACTIVE);
    fill_active(z, SEQ, MAX_ACTIVE);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + MAX_ACTIVE)), ==, NO_ACTIVE);
    zbd_free(z);
}

static void test_vz12(void)
{
    Zbd *z = zbd_new(HM, "");
    uint32_t max = config32(z, ZCFG(max_append_sectors));

    g_assert_cmpuint(max, ==, 96);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), max, NULL), ==, OK);
    assert_zone(z, SEQ, FULL, 0);
    zbd_free(z);
}

/* The bound consists of two limits, one of which does not exist */
static void test_vz13(void)
{
    Zbd *z = zbd_boot(HM, "");

    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & (1ull << VIRTIO_BLK_F_SIZE_MAX), ==, 0);
    zbd_free(z);
}

/* L-3: a guest computes the limit in bytes, with 32 bits */
static void test_l3(void)
{
    Zbd *z = zbd_new("driver=null-co,size=34359738368,zoned.model=host-managed,"
                     "zoned.zone-size=8G", "");
    uint32_t max = config32(z, ZCFG(max_append_sectors));

    g_assert_cmpuint(config32(z, ZCFG(zone_sectors)), ==, 8 * GiB / 512);
    g_assert_cmpuint(max, >, 0);
    g_assert_cmpuint(max, <, 1 << 23);
    zbd_free(z);
}

static void test_vz15(void)
{
    Zbd *z = zbd_new(HM ",zoned.write-granularity=4096", "");

    g_assert_cmpuint(config32(z, ZCFG(write_granularity)), ==, 4096);
    /* L-5: guests align to the block size only */
    g_assert_cmpuint(config32(z, offsetof(struct virtio_blk_config, blk_size)),
                     ==, 4096);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, OK);
    assert_zone(z, SEQ, IOPEN, 16);
    zbd_free(z);

    z = zbd_new(HM, "");
    g_assert_cmpuint(config32(z, ZCFG(write_granularity)), ==, 512);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 1, 1), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, OK);
    zbd_free(z);

    if (remote) {
        return;     /* the block size is an option of the export */
    }
    assert_refused(HM ",zoned.write-granularity=4096",
                   ",logical_block_size=512", "logical_block_size");
    assert_refused(HM, ",logical_block_size=4096,physical_block_size=4096",
                   "logical_block_size");
}

static void test_vz16(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    for (i = 0; i < 3; i++) {
        g_assert_cmphex(z->vdev->bus->config_readb(z->vdev,
                                                   ZCFG(unused2) + i), ==, 0);
    }
    g_assert_cmphex(z->vdev->bus->config_readb(z->vdev, 33), ==, 0);
    for (i = 57; i < 60; i++) {
        g_assert_cmphex(z->vdev->bus->config_readb(z->vdev, i), ==, 0);
    }
    zbd_free(z);
}

static void test_vz17(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    for (i = 72; i < 96; i++) {
        qpci_io_writeb(z->pci->pdev, z->pci->bar,
                       z->pci->device_cfg_offset + i, 0xff);
    }
    g_assert_cmpuint(config32(z, ZCFG(zone_sectors)), ==, ZS);
    g_assert_cmpuint(config32(z, ZCFG(max_open_zones)), ==, MAX_OPEN);
    g_assert_cmpuint(config32(z, ZCFG(max_active_zones)), ==, MAX_ACTIVE);
    g_assert_cmpuint(config32(z, ZCFG(write_granularity)), ==, 512);
    g_assert_cmphex(config32(z, ZCFG(model)), ==, VIRTIO_BLK_Z_HM);
    zbd_free(z);
}

static void test_vz18(void)
{
    static const char *const nodes[] = { HM, HA };
    unsigned int i;

    for (i = 0; i < 2; i++) {
        Zbd *z = zbd_boot(nodes[i], "");

        zbd_start(z);
        g_assert_cmpuint(config32(z, ZCFG(zone_sectors)), ==, ZS);
        g_assert_cmphex(config32(z, ZCFG(model)), ==,
                        i ? VIRTIO_BLK_Z_HA : VIRTIO_BLK_Z_HM);
        zbd_free(z);
    }
}

static void test_vz20(void)
{
    static const char *const nodes[] = { HA, PLAIN };
    unsigned int i, j;

    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        Zbd *z = zbd_boot(nodes[i], "");
        uint8_t in[128];

        zbd_run_without(z, F_ZONED);
        for (j = 0; j < ARRAY_SIZE(zone_types); j++) {
            g_assert_cmpint(zbd_send(z, zone_types[j], 0, NULL, 0,
                                     in, sizeof(in), 1), ==, UNSUPP);
        }
        zbd_free(z);
    }
}

/* Trap 9: types around the zoned ones, and with the base's flag bits */
static void test_types(void)
{
    static const uint32_t types[] = {
        14, 17, 19, 21, 23, 25, 27, 28,
        APPEND | 0x80000000, REPORT | 0x80000000, RESET_ALL | 0x80000000,
        APPEND | 0x100, RESET | 0x10000,
    };
    Zbd *z = zbd_new(HM, "");
    uint8_t out[512] = { 0 }, in[128];
    unsigned int i;

    make_state(z, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpint(zbd_send(z, types[i], ZONE(SEQ), out, sizeof(out),
                                 in, sizeof(in), 1), ==, UNSUPP);
        assert_zone(z, SEQ, IOPEN, 8);
    }
    zbd_free(z);
}

/*
 * Status
 */

static void test_vz22(void)
{
    Zbd *z = zbd_new(HM ",zoned.write-granularity=4096", "");

    /* At the write pointer, too short */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 1, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, UNALIGNED);
    g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 100, 1, 8, NULL), ==,
                    UNALIGNED);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 9, 1), ==, UNALIGNED);
    /* Not at the write pointer */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 1, 8, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, UNALIGNED);
    assert_zone(z, SEQ, EMPTY, 0);

    /* Other mistakes come first */
    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 8, 1, NULL), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(0), 1, NULL), ==, INVALID);
    make_state(z, SEQ, IOPEN, CAP - 8);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 9, NULL), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + CAP - 8, 9, 1), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, UNALIGNED);
    make_state(z, SEQ + 1, FULL, 0);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + 1), 1, NULL), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + 1), 1, 1), ==, INVALID);

    /* A conventional zone is a plain disk of this block size */
    g_assert_cmpint(zbd_out(z, 1, 1, 1), ==, IOERR);
    g_assert_cmpint(zbd_out(z, 16, 8, 1), ==, OK);
    zbd_free(z);
}

static void test_vz23(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    for (i = 0; i < MAX_OPEN; i++) {
        make_state(z, SEQ + i, EOPEN, 0);
    }
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, NO_OPEN);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + i), 8, 1), ==, NO_OPEN);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + i), 8, NULL), ==, NO_OPEN);
    assert_zone(z, SEQ + i, EMPTY, 0);
    zbd_free(z);
}

static void test_vz24(void)
{
    Zbd *z = zbd_new(HM, "");
    const uint64_t next = ZONE(SEQ + MAX_ACTIVE);

    fill_active(z, SEQ, MAX_ACTIVE);
    g_assert_cmpint(zbd_mgmt(z, OPEN, next), ==, NO_ACTIVE);
    g_assert_cmpint(zbd_out(z, next, 8, 1), ==, NO_ACTIVE);
    g_assert_cmpint(zbd_append(z, next, 8, NULL), ==, NO_ACTIVE);
    assert_zone(z, SEQ + MAX_ACTIVE, EMPTY, 0);
    zbd_free(z);
}

static void test_vz25(void)
{
    Zbd *z = zbd_new(HM, "");
    const uint64_t next = ZONE(SEQ + MAX_ACTIVE);
    unsigned int i;

    fill_active(z, SEQ, MAX_ACTIVE - MAX_OPEN);
    for (i = MAX_ACTIVE - MAX_OPEN; i < MAX_ACTIVE; i++) {
        make_state(z, SEQ + i, EOPEN, 0);
    }
    g_assert_cmpint(zbd_mgmt(z, OPEN, next), ==, NO_ACTIVE);
    g_assert_cmpint(zbd_out(z, next, 8, 1), ==, NO_ACTIVE);
    g_assert_cmpint(zbd_append(z, next, 8, NULL), ==, NO_ACTIVE);
    zbd_free(z);
}

static void test_vz27(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t in[256];
    size_t len;

    /* A report that has no room for its header, or lies outside the disk */
    for (len = 0; len < 64; len++) {
        g_assert_cmpint(zbd_send(z, REPORT, 0, NULL, 0, in, len, 1), ==,
                        INVALID);
    }
    g_assert_cmpint(zbd_send(z, REPORT, CAPACITY, NULL, 0, in, 256, 1), ==,
                    INVALID);
    /* An append with no room for its answer */
    for (len = 0; len < 8; len++) {
        g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 512, 1, len, NULL), ==,
                        INVALID);
    }
    assert_zone(z, SEQ, EMPTY, 0);
    zbd_free(z);
}

/* Trap 9: sectors beyond any disk */
static void test_sectors(void)
{
    static const uint64_t sectors[] = {
        CAPACITY, CAPACITY + 1, ZONE(NR_ZONES), 1ull << 40, 1ull << 54,
        1ull << 55, (1ull << 55) + ZONE(SEQ), (1ull << 63) + ZONE(SEQ),
        INT64_MAX, UINT64_MAX, UINT64_MAX - ZS + 1,
    };
    Zbd *z = zbd_new(HM, "");
    uint8_t in[256];
    unsigned int i, j;

    make_state(z, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(sectors); i++) {
        for (j = 0; j < ARRAY_SIZE(zone_types); j++) {
            if (zone_types[j] != RESET_ALL) {
                g_assert_cmpint(zbd_send(z, zone_types[j], sectors[i], in,
                                         zone_types[j] == APPEND ? 256 : 0,
                                         in, sizeof(in), 1), ==, INVALID);
            }
        }
        g_assert_cmpint(zbd_out(z, sectors[i], 1, 1), ==, IOERR);
        g_assert_cmpint(zbd_in(z, sectors[i], 1), ==, IOERR);
    }
    g_assert_cmpint(zbd_out(z, CAPACITY - 1, 2, 1), ==, IOERR);
    g_assert_cmpint(zbd_in(z, CAPACITY - 1, 2), ==, IOERR);
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

/*
 * Zone management
 */

static void test_vz28(void)
{
    static const uint32_t ops[] = { OPEN, CLOSE, FINISH, RESET };
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        g_assert_cmpint(zbd_mgmt(z, ops[i], 0), ==, INVALID);
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(1)), ==, INVALID);
    }
    zbd_free(z);
}

static void test_vz29(void)
{
    Zbd *z = zbd_new(HM, "");

    make_state(z, SEQ, EOPEN, 0);
    make_state(z, SEQ + 1, EOPEN, 8);       /* from IOPEN */
    make_state(z, SEQ + 2, CLOSED, 8);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + 2)), ==, OK);
    assert_zone(z, SEQ + 2, EOPEN, 8);
    zbd_free(z);
}

/* G-11: an address that is not that of a zone */
static void test_g11(void)
{
    static const uint32_t ops[] = { OPEN, CLOSE, FINISH, RESET };
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    make_state(z, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(SEQ) + 1), ==, INVALID);
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(SEQ) + ZS - 1), ==, INVALID);
        g_assert_cmpint(zbd_mgmt(z, ops[i], CAPACITY), ==, INVALID);
        assert_zone(z, SEQ, IOPEN, 8);
    }
    zbd_free(z);
}

static void test_vz30(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    for (i = 0; i < MAX_OPEN; i++) {
        make_state(z, SEQ + i, EOPEN, 8);
    }
    make_state(z, SEQ + i, EMPTY, 0);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, NO_OPEN);
    assert_zone(z, SEQ + i, EMPTY, 0);
    /* Nothing else has changed, either (trap 24) */
    for (i = 0; i < MAX_OPEN; i++) {
        assert_zone(z, SEQ + i, EOPEN, 8);
    }
    zbd_free(z);

    /* No active resource: no implicitly open zone is closed in vain */
    z = zbd_new(HM, "");
    for (i = 0; i < MAX_OPEN; i++) {
        make_state(z, SEQ + MAX_ACTIVE - MAX_OPEN + i, IOPEN, 8);
    }
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ + 2)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ + 3)), ==, OK);
    make_state(z, SEQ, IOPEN, 8);
    make_state(z, SEQ + 1, IOPEN, 8);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + 5)), ==, NO_ACTIVE);
    assert_zone(z, SEQ, IOPEN, 8);
    assert_zone(z, SEQ + 1, IOPEN, 8);
    assert_zone(z, SEQ + 4, IOPEN, 8);
    zbd_free(z);
}

static void test_vz31(void)
{
    Zbd *z = zbd_new(HM, "");

    make_state(z, SEQ, CLOSED, 8);
    make_state(z, SEQ + 1, EOPEN, 8);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ + 1)), ==, OK);
    assert_zone(z, SEQ + 1, CLOSED, 8);
    make_state(z, SEQ + 2, EOPEN, 0);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ + 2)), ==, OK);
    assert_zone(z, SEQ + 2, EMPTY, 0);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ + 2)), ==, INVALID);
    zbd_free(z);
}

static void test_vz32(void)
{
    Zbd *z = zbd_new(HM, "");

    make_state(z, SEQ, FULL, 0);
    make_state(z, SEQ + 1, FULL, 8);
    /* Finishing takes no resource (G-1) */
    fill_active(z, SEQ + 2, MAX_ACTIVE);
    make_state(z, SEQ + 2 + MAX_ACTIVE, FULL, 0);
    zbd_free(z);
}

static void test_vz33(void)
{
    Zbd *z = zbd_new(HM, "");
    static const uint8_t states[] = { IOPEN, EOPEN, CLOSED, FULL };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(states); i++) {
        make_state(z, SEQ + i, states[i], 8);
        g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ + i)), ==, OK);
        assert_zone(z, SEQ + i, EMPTY, 0);
    }
    zbd_free(z);
}

static void test_vz34(void)
{
    Zbd *z = zbd_new(HM, "");
    static const uint64_t sectors[] = { 0, 5, ZONE(SEQ), UINT64_MAX };
    unsigned int i, n;

    for (i = 0; i < ARRAY_SIZE(sectors); i++) {
        make_state(z, SEQ, IOPEN, 8);
        make_state(z, SEQ + 1, EOPEN, 8);
        make_state(z, SEQ + 2, CLOSED, 8);
        make_state(z, SEQ + 3, FULL, 8);
        make_state(z, NR_ZONES - 1, IOPEN, 8);
        g_assert_cmpint(zbd_mgmt(z, RESET_ALL, sectors[i]), ==, OK);
        g_assert_cmpint(zbd_zone(z, 0).state, ==, CONV);
        for (n = SEQ; n < NR_ZONES; n++) {
            assert_zone(z, n, EMPTY, 0);
        }
    }
    zbd_free(z);
}

/* A disk of a single zone is not taken for that zone */
static void test_vz34_single(void)
{
    Zbd *z = zbd_new("driver=null-co,memory-backed=on,size=65536,"
                     "zoned.model=host-managed,zoned.zone-size=64K", "");

    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    make_state(z, 0, FULL, 8);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    assert_zone(z, 0, EMPTY, 0);
    zbd_free(z);
}

/*
 * Writes and appends
 */

static void test_vz35(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_append(z, ZONE(0), 8, NULL), ==, INVALID);
    zbd_free(z);

    /* Zones of which sequential writes are preferred; UNSUPP by VZ-37 */
    z = zbd_new(HA, "");
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==,
                    config32(z, ZCFG(max_append_sectors)) ? INVALID : UNSUPP);
    zbd_free(z);
}

static void test_vz36(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 1, 8, NULL), ==, INVALID);
    make_state(z, SEQ, IOPEN, 8);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 8, 8, NULL), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + 1) - 1, 1, NULL), ==, INVALID);
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

static void test_vz37(void)
{
    Zbd *z = zbd_new(HM ",zoned.max-append-size=0", "");

    g_assert_cmpuint(config32(z, ZCFG(max_append_sectors)), ==, 0);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, UNSUPP);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 0, NULL), ==, UNSUPP);
    assert_zone(z, SEQ, EMPTY, 0);
    zbd_free(z);
}

static void test_vz38(void)
{
    Zbd *z = zbd_new(HM ",zoned.max-append-size=16K", "");

    g_assert_cmpuint(config32(z, ZCFG(max_append_sectors)), ==, 32);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 33, NULL), ==, INVALID);
    assert_zone(z, SEQ, EMPTY, 0);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 32, NULL), ==, OK);
    /* Writes have no such limit */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 32, CAP - 32, 1), ==, OK);
    assert_zone(z, SEQ, FULL, 0);
    zbd_free(z);
}

static void test_vz39(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), CAP + 1, 1), ==, INVALID);
    assert_zone(z, SEQ, EMPTY, 0);
    make_state(z, SEQ, IOPEN, CAP - 8);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + CAP - 8, 9, 1), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 9, NULL), ==, INVALID);
    assert_zone(z, SEQ, IOPEN, CAP - 8);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + CAP - 8, 8, 1), ==, OK);
    assert_zone(z, SEQ, FULL, 0);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + CAP, 1, 1), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 1, 1), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, INVALID);
    /* The next zone has not been touched (trap 4) */
    assert_zone(z, SEQ + 1, EMPTY, 0);
    zbd_free(z);
}

static void test_vz40(void)
{
    Zbd *z = zbd_new(HM, "");

    /* Reads */
    g_assert_cmpint(zbd_in(z, ZONE(SEQ + 1) - 1, 2), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), ZS + 1), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), 3 * ZS), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ) - 1, 2), ==, INVALID);
    g_assert_cmpint(zbd_in(z, 0, CAPACITY), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), ZS), ==, OK);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ + 1) - 1, 1), ==, OK);

    /* Writes */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), ZS + 1, 1), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) - 1, 2, 1), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + 1) - 1, 2, 1), ==, INVALID);
    assert_zone(z, SEQ, EMPTY, 0);
    assert_zone(z, SEQ + 1, EMPTY, 0);

    /* Conventional zones have no borders */
    g_assert_cmpint(zbd_out(z, ZONE(1) - 4, 8, 0x42), ==, OK);
    assert_data(z, ZONE(1) - 4, 8, 0x42);
    zbd_free(z);
}

static void test_vz41(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, UNALIGNED);
    make_state(z, SEQ, IOPEN, 16);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 15, 8, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 17, 8, 1), ==, UNALIGNED);
    assert_zone(z, SEQ, IOPEN, 16);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 16, 8, 1), ==, OK);
    zbd_free(z);
}

static void test_vz42(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, OK);
    assert_zone(z, SEQ, IOPEN, 8);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + 1), 8, NULL), ==, OK);
    assert_zone(z, SEQ + 1, IOPEN, 8);
    make_state(z, SEQ + 2, CLOSED, 8);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + 2), 8, NULL), ==, OK);
    assert_zone(z, SEQ + 2, IOPEN, 16);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);

    /* Even for a write that fills the zone at once */
    for (i = 0; i < MAX_OPEN; i++) {
        make_state(z, SEQ + i, EOPEN, 0);
    }
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + i), CAP, 1), ==, NO_OPEN);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + i), CAP, NULL), ==, NO_OPEN);
    assert_zone(z, SEQ + i, EMPTY, 0);
    zbd_free(z);
}

static void test_vz43(void)
{
    Zbd *z = zbd_new(HM, "");
    Zone zones[NR_ZONES];
    unsigned int i, open = 0, closed = 0;

    for (i = 0; i < MAX_OPEN; i++) {
        make_state(z, SEQ + i, IOPEN, 8);
    }
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + i), 8, 1), ==, OK);
    zbd_report(z, 0, zones, NR_ZONES);
    for (i = 0; i < NR_ZONES; i++) {
        open += zones[i].state == IOPEN;
        closed += zones[i].state == CLOSED;
    }
    g_assert_cmpuint(open, ==, MAX_OPEN);
    g_assert_cmpuint(closed, ==, 1);
    zbd_free(z);
}

static void test_vz45(void)
{
    Zbd *z = zbd_new(HM, "");
    uint64_t where;

    g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 8 * 512, 0x21, 8, &where), ==,
                    OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ));
    g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 1 * 512, 0x22, 8, &where), ==,
                    OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ) + 8);
    g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 3 * 512, 0x23, 8, &where), ==,
                    OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ) + 9);
    assert_zone(z, SEQ, IOPEN, 12);
    assert_data(z, ZONE(SEQ), 8, 0x21);
    assert_data(z, ZONE(SEQ) + 8, 1, 0x22);
    assert_data(z, ZONE(SEQ) + 9, 3, 0x23);
    zbd_free(z);
}

/* The in-header that Linux gives is longer than that of the specification */
static void test_in_header(void)
{
    static const size_t sizes[] = { 8, 11, 15, 32, 63 };
    Zbd *z = zbd_new(HM, "");
    uint64_t where;
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 512, 1, sizes[i], &where),
                        ==, OK);
        g_assert_cmpuint(where, ==, ZONE(SEQ) + i);
        g_assert_cmpuint(z->used_len, ==, sizes[i] + 1);
    }
    zbd_free(z);
}

static void test_vz46(void)
{
    Zbd *z = zbd_new(HM, "");
    uint64_t where;

    /* G-20: nothing to write is no mistake and opens nothing */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 0, 0), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 0, &where), ==, OK);
    assert_zone(z, SEQ, EMPTY, 0);
    make_state(z, SEQ, FULL, 0);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 0, &where), ==, OK);
    make_state(z, NR_ZONES - 1, FULL, 0);
    g_assert_cmpint(zbd_append(z, ZONE(NR_ZONES - 1), 0, &where), ==, OK);
    /* Trap 3: nothing, right behind the last zone */
    g_assert_cmpint(zbd_append(z, CAPACITY, 0, &where), ==, INVALID);
    g_assert_cmpint(zbd_out(z, CAPACITY, 0, 0), ==, OK);

    g_assert_cmpint(zbd_out(z, ZONE(SEQ + 1), CAP - 1, 1), ==, OK);
    assert_zone(z, SEQ + 1, IOPEN, CAP - 1);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ + 1), 1, NULL), ==, OK);
    assert_zone(z, SEQ + 1, FULL, 0);

    g_assert_cmpint(zbd_out(z, ZONE(1) + 50, 4, 0x31), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(1) + 20, 4, 0x32), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(1) + 50, 4, 0x33), ==, OK);
    assert_data(z, ZONE(1) + 50, 4, 0x33);
    g_assert_cmpint(zbd_zone(z, 1).state, ==, CONV);
    zbd_free(z);
}

/*
 * Other features
 */

static void test_vz47(void)
{
    Zbd *z = zbd_boot(HM, "");
    uint8_t seg[16];

    zbd_start(z);
    g_assert_cmphex(zbd_offered(z) & (1ull << 16), ==, 0);
    zbd_free(z);

    /* L-10: Linux would hand the segment over as a buffer to write to */
    z = zbd_new(HM, "");
    make_state(z, SEQ, IOPEN, 8);
    g_assert_cmpint(zbd_send(z, SECURE_ERASE, 0, NULL, 0, seg, 16, 1), ==,
                    UNSUPP);
    g_assert_cmpint(zbd_send(z, SECURE_ERASE, 0, seg, 16, NULL, 0, 1), ==,
                    UNSUPP);
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

static void test_vz50(void)
{
    Zbd *z = zbd_new(HM ",read-only=on", "");
    static const uint32_t ops[] = { OPEN, CLOSE, FINISH, RESET, RESET_ALL };
    unsigned int i;

    g_assert_cmphex(zbd_offered(z) & (1ull << VIRTIO_BLK_F_RO), !=, 0);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, IOERR);
    g_assert_cmpint(zbd_out(z, 0, 8, 1), ==, IOERR);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, IOERR);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(SEQ)), ==, IOERR);
    }
    assert_zone(z, SEQ, EMPTY, 0);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), 8), ==, OK);
    zbd_free(z);
}

/* G-6: neither is offered, and neither happens */
static void test_vz51(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t seg[16] = { 0 };
    static const uint32_t types[] = {
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
        VIRTIO_BLK_T_DISCARD & ~1, VIRTIO_BLK_T_WRITE_ZEROES & ~1,
        VIRTIO_BLK_T_WRITE_ZEROES | 0x80000000,
    };
    unsigned int i;

    g_assert_cmphex(zbd_offered(z) & (1ull << VIRTIO_BLK_F_DISCARD), ==, 0);
    g_assert_cmphex(zbd_offered(z) & (1ull << VIRTIO_BLK_F_WRITE_ZEROES), ==,
                    0);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, OK);
    stq_le_p(seg, ZONE(SEQ));
    stl_le_p(seg + 8, 8);
    for (i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpint(zbd_send(z, types[i], 0, seg, 16, NULL, 0, 1), ==,
                        UNSUPP);
    }
    assert_data(z, ZONE(SEQ), 8, 0x42);
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

static void test_vz53(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, VIRTIO_BLK_T_FLUSH, 0), ==, OK);
    assert_data(z, ZONE(SEQ), 8, 0x77);
    zbd_free(z);
}

/*
 * Reads
 */

static void test_vz54(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, OK);
    /* To the end of the zone, beyond its capacity too */
    assert_data(z, ZONE(SEQ) + 8, ZS - 8, 0);
    g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, OK);
    assert_data(z, ZONE(SEQ), 8, 0x42);
    assert_data(z, ZONE(SEQ) + 8, ZS - 8, 0);
    zbd_free(z);
}

static void test_vz55(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), CAP, 0x42), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ + 1), 8, 0x43), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ)), ==, OK);
    assert_data(z, ZONE(SEQ), ZS, 0);
    assert_data(z, ZONE(SEQ + 1), 8, 0x43);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    assert_data(z, ZONE(SEQ + 1), ZS, 0);
    zbd_free(z);
}

/*
 * Transport
 */

static void test_vz56(void)
{
    static const Layout layouts[] = { BYTES, MERGED };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(layouts); i++) {
        Zbd *z = zbd_new(HM, "");
        Zone zones[NR_ZONES];
        uint64_t where;

        z->layout = layouts[i];
        g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, OK);
        assert_data(z, ZONE(SEQ), 8, 0x42);
        g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 8 * 512, 0x43, 8, &where),
                        ==, OK);
        g_assert_cmpuint(where, ==, ZONE(SEQ) + 8);
        assert_data(z, ZONE(SEQ) + 8, 8, 0x43);
        g_assert_cmpint(zbd_append_ex(z, ZONE(SEQ), 512, 0x43, 15, &where), ==,
                        OK);
        g_assert_cmpuint(where, ==, ZONE(SEQ) + 16);
        g_assert_cmpuint(zbd_report(z, 0, zones, NR_ZONES), ==, NR_ZONES);
        g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, OK);
        g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ)), ==, INVALID);
        g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
        /* A read across a border, and a write away from the write pointer */
        g_assert_cmpint(zbd_in(z, ZONE(SEQ + 1) - 1, 2), ==, INVALID);
        g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, UNALIGNED);
        assert_zone(z, SEQ, EMPTY, 0);
        zbd_free(z);
    }
}

/* Every byte of a report, and of a refused one, in single bytes */
static void test_vz56_report(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t in[128];

    z->layout = BYTES;
    g_assert_cmpint(zbd_send(z, REPORT, ZONE(3) + 5, NULL, 0, in, 128, 129),
                    ==, OK);
    g_assert_cmpuint(ldq_le_p(in), ==, 1);
    g_assert_cmpuint(ldq_le_p(in + 64 + 8), ==, ZONE(3));
    g_assert_cmpint(zbd_send(z, REPORT, 0, NULL, 0, in, 63, 64), ==, INVALID);
    zbd_free(z);
}

static void assert_zero(const uint8_t *buf, size_t len)
{
    g_assert_true(buffer_is_zero(buf, len));
}

static void test_vz57(void)
{
    Zbd *z = zbd_new(HM, "");
    g_autofree uint8_t *in = g_malloc(64 * 1024);
    uint8_t small[512];

    /* What a report does not fill */
    g_assert_cmpint(zbd_send(z, REPORT, ZONE(NR_ZONES - 2), NULL, 0, in,
                             64 * 1024, 1), ==, OK);
    g_assert_cmpuint(z->used_len, <=, 64 * 1024 + 1);
    g_assert_cmpuint(z->used_len, >=, 64 + 2 * 64);
    g_assert_cmpuint(ldq_le_p(in), ==, 2);
    assert_zero(in + 64 + 2 * 64, z->used_len - 1 - (64 + 2 * 64));
    /* An odd tail */
    g_assert_cmpint(zbd_send(z, REPORT, 0, NULL, 0, in, 64 + 64 + 63, 1), ==,
                    OK);
    g_assert_cmpuint(ldq_le_p(in), ==, 1);
    assert_zero(in + 128, MIN(z->used_len, 191) - 128);
    /* Failed requests */
    g_assert_cmpint(zbd_send(z, REPORT, CAPACITY, NULL, 0, small, 512, 1), ==,
                    INVALID);
    assert_zero(small, MIN(z->used_len, 512));
    g_assert_cmpint(zbd_send(z, RESET, 5, NULL, 0, small, 512, 1), ==,
                    INVALID);
    assert_zero(small, MIN(z->used_len, 512));
    zbd_free(z);
}

/*
 * The device is broken until its reset, like any virtio-blk.  An export has no
 * means to say so, and gives the request back without an answer.
 */
static void assert_malformed(Zbd *z)
{
    if (z->daemon) {
        zbd_wait(z, 1);
        g_assert_cmpuint(z->used_len, ==, 0);
    } else {
        g_assert_cmphex(z->vdev->bus->get_status(z->vdev) &
                        VIRTIO_CONFIG_S_NEEDS_RESET, !=, 0);
    }
}

/* Requests that lack a header, or room for a status, do no harm to zones */
static void test_malformed(void)
{
    static const struct {
        unsigned int rd_len, wr_len;
    } lens[] = { { 15, 128 }, { 1, 1 }, { 16, 0 }, { 16 + 512, 0 } };
    Zbd *z = zbd_new(HM, "");
    unsigned int i, j;

    make_state(z, SEQ, IOPEN, 8);
    for (i = 0; i < ARRAY_SIZE(zone_types); i++) {
        for (j = 0; j < ARRAY_SIZE(lens); j++) {
            uint8_t header[16];

            put_header(header, zone_types[i], 0, ZONE(SEQ));
            qtest_bufwrite(z->qts, z->mem, header, sizeof(header));
            zbd_submit(z, 0, z->mem, lens[j].rd_len, 0,
                       z->mem + MEM_HALF, lens[j].wr_len, 1);
            assert_malformed(z);
            zbd_restart(z);
            assert_zone(z, SEQ, IOPEN, 8);
        }
    }
    zbd_free(z);
}

/* Trap 10: room for millions of zones, and the used length stays honest */
static void test_huge_report(void)
{
    Zbd *z = zbd_new(HM, "");
    const uint64_t room = z->mem;
    const size_t len = 2 * MEM_HALF;
    const uint64_t head = guest_alloc(&z->qs->alloc, 16);
    const uint64_t status = guest_alloc(&z->qs->alloc, 1);
    uint8_t header[16], reply[64];
    unsigned int i;

    put_header(header, REPORT, 0, 0);
    qtest_bufwrite(z->qts, head, header, 16);
    qtest_writeb(z->qts, status, 0xa5);
    z->vq->free_head = 0;
    qvirtqueue_add(z->qts, z->vq, head, 16, false, true);
    for (i = 0; i < 200; i++) {
        qvirtqueue_add(z->qts, z->vq, room, len, true, true);
    }
    qvirtqueue_add(z->qts, z->vq, status, 1, true, false);
    qvirtqueue_kick(z->qts, z->vdev, z->vq, 0);
    zbd_wait(z, 1);
    g_assert_cmpint(qtest_readb(z->qts, status), ==, OK);
    g_assert_cmpuint(z->used_len, >=, 64 + 64 * NR_ZONES);
    g_assert_cmpuint(z->used_len, <, 200 * len);
    qtest_bufread(z->qts, room, reply, sizeof(reply));
    g_assert_cmpuint(ldq_le_p(reply), ==, NR_ZONES);
    zbd_free(z);
}

/* L-9: the reserved field of the header carries something */
static void test_l9(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t rd[16];

    put_header(rd, OPEN, 0xdeadbeef, ZONE(SEQ));
    qtest_bufwrite(z->qts, z->mem, rd, 16);
    qtest_writeb(z->qts, z->mem + MEM_HALF, 0xa5);
    zbd_submit(z, 0, z->mem, 16, 16, z->mem + MEM_HALF, 1, 1);
    zbd_wait(z, 1);
    g_assert_cmpint(qtest_readb(z->qts, z->mem + MEM_HALF), ==, OK);
    assert_zone(z, SEQ, EOPEN, 0);
    zbd_free(z);
}

/*
 * Reports
 */

static void test_vz58(void)
{
    Zbd *z = zbd_new(HM, "");
    Zone zones[NR_ZONES];
    unsigned int n, i;
    uint64_t nr;

    for (n = 0; n < NR_ZONES; n++) {
        static const unsigned int at[] = { 0, 1, LAST - 1 };

        for (i = 0; i < ARRAY_SIZE(at); i++) {
            nr = zbd_report(z, ZONE(n) + at[i], zones, NR_ZONES);
            g_assert_cmpuint(nr, ==, NR_ZONES - n);
            g_assert_cmpuint(zones[0].start, ==, ZONE(n));
            g_assert_cmpuint(zones[nr - 1].start, ==, ZONE(NR_ZONES - 1));
        }
    }
    zbd_free(z);
}

static void test_vz59(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t in[64 + 64 * 4];
    size_t len;

    /* Not a multiple of anything (L-11) */
    for (len = 64; len <= sizeof(in); len += 7) {
        g_assert_cmpint(zbd_send(z, REPORT, 0, NULL, 0, in, len, 1), ==, OK);
        g_assert_cmpuint(ldq_le_p(in), ==, (len - 64) / 64);
    }
    zbd_free(z);
}

/* A report longer than the chunks that it is made in */
static void test_vz59_long(void)
{
    const unsigned int nr = 5000;
    Zbd *z = zbd_new("driver=null-co,size=20480000,zoned.model=host-managed,"
                     "zoned.zone-size=4K", "");
    g_autofree Zone *zones = g_new(Zone, nr + 1);
    unsigned int i;

    g_assert_cmpuint(zbd_report(z, 0, zones, nr + 1), ==, nr);
    for (i = 0; i < nr; i++) {
        g_assert_cmpuint(zones[i].start, ==, i * 8);
    }
    g_assert_cmpuint(zbd_report(z, 8, zones, 4700), ==, 4700);
    g_assert_cmpuint(zones[4699].start, ==, 4700 * 8);
    zbd_free(z);
}

static void test_vz60(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpuint(zbd_zone(z, 0).cap, ==, ZS);
    g_assert_cmpuint(zbd_zone(z, SEQ).cap, ==, CAP);
    g_assert_cmpuint(zbd_zone(z, NR_ZONES - 1).cap, ==, LAST);
    zbd_free(z);
}

static void test_vz61(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmphex(zbd_zone(z, 0).wp, ==, UINT64_MAX);     /* G-12 */
    assert_zone(z, SEQ, EMPTY, 0);
    make_state(z, SEQ, IOPEN, 8);
    make_state(z, SEQ + 1, EOPEN, 9);
    make_state(z, SEQ + 2, CLOSED, 10);
    make_state(z, SEQ + 3, FULL, 11);
    /* L-17: exact after an error */
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 9, 8, 1), ==, UNALIGNED);
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

static void test_vz62(void)
{
    static const char *const nodes[] = { HM, HA };
    unsigned int i, n;

    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        Zbd *z = zbd_new(nodes[i], "");

        for (n = 0; n < NR_ZONES - 1; n++) {
            Zone zone = zbd_zone(z, n);

            g_assert_cmpint(zone.type, ==,
                            n < NR_CONV ? VIRTIO_BLK_ZT_CONV :
                            i == 0 ? VIRTIO_BLK_ZT_SWR : VIRTIO_BLK_ZT_SWP);
            g_assert_cmpint(zone.state == CONV, ==, n < NR_CONV);
        }
        zbd_free(z);
    }
}

/* Resources taken and given back, seen by whether one more zone opens */
static void test_vz63(void)
{
    Zbd *z = zbd_new(HM, "");
    static const uint32_t ops[] = { CLOSE, FINISH, RESET };
    unsigned int i, n;

    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        for (n = 0; n < MAX_OPEN; n++) {
            make_state(z, SEQ + n, EOPEN, 0);
        }
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + n)), ==, NO_OPEN);
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(SEQ)), ==, OK);
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + n)), ==, OK);
        g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    }

    for (i = 0; i < 2; i++) {
        fill_active(z, SEQ, MAX_ACTIVE);
        g_assert_cmpint(zbd_out(z, ZONE(SEQ + 7), 8, 1), ==, NO_ACTIVE);
        /* Opening a closed zone takes no active resource */
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ)), ==, OK);
        g_assert_cmpint(zbd_mgmt(z, i ? FINISH : RESET, ZONE(SEQ)), ==, OK);
        g_assert_cmpint(zbd_out(z, ZONE(SEQ + 7), 8, 1), ==, OK);
        g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    }

    /* Writing to the end gives both back */
    for (n = 0; n < MAX_ACTIVE + 2; n++) {
        g_assert_cmpint(zbd_out(z, ZONE(SEQ + n), CAP, 1), ==, OK);
    }
    for (n = 0; n < MAX_OPEN; n++) {
        g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ + n)), ==, OK);
        make_state(z, SEQ + n, EOPEN, 0);
    }
    zbd_free(z);
}

static void test_vz65(void)
{
    Zbd *z = zbd_new(HA, "");

    /* L-2: Linux negotiates the feature and uses it as a plain disk */
    g_assert_cmpint(zbd_out(z, ZONE(4) + 50, 8, 0x41), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(4) + 10, 8, 0x42), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(4) + 50, 8, 0x43), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(6) - 8, 16, 0x44), ==, OK);
    assert_data(z, ZONE(4) + 50, 8, 0x43);
    assert_data(z, ZONE(6) - 8, 16, 0x44);
    g_assert_cmpint(zbd_in(z, 0, 9 * ZS), ==, OK);
    zbd_free(z);

    z = zbd_new(HM, "");
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 16, 0x45), ==, OK);
    assert_data(z, ZONE(SEQ) + 7, 2, 0x45);
    zbd_free(z);
}

/*
 * The state machine: each state with each command
 */

enum { DO_IN, DO_OUT, DO_APPEND, DO_OUT_FILL, DO_APPEND_FILL,
       DO_OPEN, DO_CLOSE, DO_FINISH, DO_RESET, DO_RESET_ALL, NR_COMMANDS };

enum { SAME = 0xff };

typedef struct Cell {
    uint8_t status;
    uint8_t state;      /* afterwards; SAME if nothing changes */
} Cell;

typedef struct Row {
    uint8_t state;
    unsigned int written;
    Cell cells[NR_COMMANDS];
} Row;

static const Row rows[] = {
    { EMPTY, 0,
      { { OK, SAME }, { OK, IOPEN }, { OK, IOPEN }, { OK, FULL }, { OK, FULL },
        { OK, EOPEN }, { INVALID, SAME }, { OK, FULL }, { OK, EMPTY },
        { OK, SAME } } },
    { IOPEN, 16,
      { { OK, SAME }, { OK, IOPEN }, { OK, IOPEN }, { OK, FULL }, { OK, FULL },
        { OK, EOPEN }, { OK, CLOSED }, { OK, FULL }, { OK, EMPTY },
        { OK, EMPTY } } },
    { EOPEN, 0,
      { { OK, SAME }, { OK, EOPEN }, { OK, EOPEN }, { OK, FULL }, { OK, FULL },
        { OK, SAME }, { OK, EMPTY }, { OK, FULL }, { OK, EMPTY },
        { OK, EMPTY } } },
    { EOPEN, 16,
      { { OK, SAME }, { OK, EOPEN }, { OK, EOPEN }, { OK, FULL }, { OK, FULL },
        { OK, SAME }, { OK, CLOSED }, { OK, FULL }, { OK, EMPTY },
        { OK, EMPTY } } },
    { CLOSED, 16,
      { { OK, SAME }, { OK, IOPEN }, { OK, IOPEN }, { OK, FULL }, { OK, FULL },
        { OK, EOPEN }, { OK, SAME }, { OK, FULL }, { OK, EMPTY },
        { OK, EMPTY } } },
    { FULL, 16,
      { { OK, SAME }, { INVALID, SAME }, { INVALID, SAME }, { INVALID, SAME },
        { INVALID, SAME }, { INVALID, SAME }, { INVALID, SAME }, { OK, SAME },
        { OK, EMPTY }, { OK, EMPTY } } },
};

static uint8_t run_command(Zbd *z, unsigned int command, unsigned int n,
                           unsigned int wp)
{
    const uint64_t start = ZONE(n);

    switch (command) {
    case DO_IN:
        return zbd_in(z, start, 8);
    case DO_OUT:
        return zbd_out(z, start + wp, 8, 0x55);
    case DO_APPEND:
        return zbd_append(z, start, 8, NULL);
    case DO_OUT_FILL:
        return zbd_out(z, start + wp, CAP - wp, 0x55);
    case DO_APPEND_FILL:
        return zbd_append(z, start, CAP - wp, NULL);
    case DO_OPEN:
        return zbd_mgmt(z, OPEN, start);
    case DO_CLOSE:
        return zbd_mgmt(z, CLOSE, start);
    case DO_FINISH:
        return zbd_mgmt(z, FINISH, start);
    case DO_RESET:
        return zbd_mgmt(z, RESET, start);
    default:
        return zbd_mgmt(z, RESET_ALL, 0);
    }
}

static unsigned int wp_after(const Cell *cell, unsigned int command,
                             unsigned int wp)
{
    if (cell->state == EMPTY) {
        return 0;
    }
    return command == DO_OUT || command == DO_APPEND ? wp + 8 : wp;
}

static void test_state_machine(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int r, c;

    for (r = 0; r < ARRAY_SIZE(rows); r++) {
        for (c = 0; c < NR_COMMANDS; c++) {
            const Cell *cell = &rows[r].cells[c];
            unsigned int wp = rows[r].written;

            g_test_message("state %u command %u", rows[r].state, c);
            make_state(z, SEQ, rows[r].state, wp);
            g_assert_cmpint(run_command(z, c, SEQ, wp), ==, cell->status);
            if (cell->state == SAME) {
                assert_zone(z, SEQ, rows[r].state, wp);
            } else {
                assert_zone(z, SEQ, cell->state, wp_after(cell, c, wp));
            }
            g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
        }
    }

    /* Conventional zones */
    for (c = 0; c < NR_COMMANDS; c++) {
        bool fine = c == DO_IN || c == DO_OUT || c == DO_OUT_FILL ||
                    c == DO_RESET_ALL;

        g_assert_cmpint(run_command(z, c, 1, 8), ==, fine ? OK : INVALID);
        g_assert_cmpint(zbd_zone(z, 1).state, ==, CONV);
    }
    zbd_free(z);
}

/*
 * Around the device
 */

/* L-19: zones, data and write pointers outlast a reset of the device */
static void test_l19(void)
{
    Zbd *z = zbd_new(HM, "");

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, OK);
    make_state(z, SEQ + 1, CLOSED, 8);
    make_state(z, SEQ + 2, FULL, 8);
    zbd_restart(z);
    g_assert_cmpuint(zbd_zone(z, SEQ).wp, ==, ZONE(SEQ) + 8);
    assert_zone(z, SEQ + 1, CLOSED, 8);
    assert_zone(z, SEQ + 2, FULL, 8);
    assert_data(z, ZONE(SEQ), 8, 0x42);
    zbd_free(z);
}

/* Many requests in the queue at once; trap 8: none are merged */
static void submit_batch(Zbd *z, uint32_t type, unsigned int nr, bool backward)
{
    const size_t step = 1024;       /* one sector of data behind the header */
    const bool has_data = type == OUT || type == APPEND;
    const size_t in_len = type == APPEND ? 9 : type == REPORT ? 129 : 1;
    unsigned int i, d = 0;

    for (i = 0; i < nr; i++) {
        const uint64_t rd = z->mem + i * step;
        const uint64_t wr = z->mem + MEM_HALF + i * step;
        unsigned int k = backward ? nr - 1 - i : i;
        uint8_t buf[16 + 512];

        put_header(buf, type, 0, ZONE(SEQ) + (type == OUT ? k : 0));
        memset(buf + 16, i + 1, 512);
        qtest_bufwrite(z->qts, rd, buf, sizeof(buf));
        qtest_memset(z->qts, wr, 0xa5, in_len);
        z->vq->free_head = d;
        qvirtqueue_add(z->qts, z->vq, rd, has_data ? sizeof(buf) : 16, false,
                       true);
        qvirtqueue_add(z->qts, z->vq, wr, in_len, true, false);
        /* All but the last are put there without a notification */
        if (i < nr - 1) {
            uint16_t idx = qtest_readw(z->qts, z->vq->avail + 2);

            qtest_writew(z->qts, z->vq->avail + 4 + 2 * (idx % z->vq->size), d);
            qtest_writew(z->qts, z->vq->avail + 2, idx + 1);
        } else {
            qvirtqueue_kick(z->qts, z->vdev, z->vq, d);
        }
        d += 2;
    }
}

static uint64_t batch_answer(Zbd *z, unsigned int i)
{
    return z->mem + MEM_HALF + i * 1024;
}

static void test_batch_writes(void)
{
    Zbd *z = zbd_new(HM, "");
    unsigned int i;

    /* In order, each at the write pointer that the one before leaves */
    submit_batch(z, OUT, 64, false);
    zbd_wait(z, 64);
    for (i = 0; i < 64; i++) {
        g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, i)), ==,
                        OK);
    }
    assert_zone(z, SEQ, IOPEN, 64);
    for (i = 0; i < 64; i++) {
        assert_data(z, ZONE(SEQ) + i, 1, i + 1);
    }

    /* Backward: sorting them would hide the guest's mistake */
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    submit_batch(z, OUT, 4, true);
    zbd_wait(z, 4);
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, i)), ==,
                        UNALIGNED);
    }
    g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, 3)), ==, OK);
    assert_zone(z, SEQ, IOPEN, 1);
    zbd_free(z);
}

/* L-16, trap 18: each append in flight gets a range of its own */
static void test_batch_appends(void)
{
    Zbd *z = zbd_new(HM, "");
    uint8_t written[64] = { 0 };
    unsigned int i;

    submit_batch(z, APPEND, 64, false);
    zbd_wait(z, 64);
    for (i = 0; i < 64; i++) {
        const uint64_t wr = batch_answer(z, i);
        uint64_t at = qtest_readq(z->qts, wr) - ZONE(SEQ);

        g_assert_cmpint(qtest_readb(z->qts, wr + 8), ==, OK);
        g_assert_cmpuint(at, <, 64);
        g_assert_cmpint(written[at], ==, 0);
        written[at] = i + 1;
    }
    for (i = 0; i < 64; i++) {
        assert_data(z, ZONE(SEQ) + i, 1, written[i]);
    }
    assert_zone(z, SEQ, IOPEN, 64);
    zbd_free(z);
}

/* A reset of the device while zone requests are in flight */
static void set_throttle(Zbd *z, int iops)
{
    qtest_qmp_assert_success(z->qts, "{'execute': 'block_set_io_throttle', "
        "'arguments': {'id': '/machine/peripheral/vd/virtio-backend', "
        "'iops': %d, 'iops_rd': 0, 'iops_wr': 0, "
        "'bps': 0, 'bps_rd': 0, 'bps_wr': 0}}", iops);
}

static void do_reset_throttled(const char *device)
{
    Zbd *z = zbd_new(HM, device);
    Zone zone;

    set_throttle(z, 1);
    submit_batch(z, APPEND, 32, false);
    g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), <, 32);
    zbd_restart(z);
    set_throttle(z, 0);
    zone = zbd_zone(z, SEQ);
    g_assert_cmpuint(zone.wp, <=, ZONE(SEQ) + 32);
    g_assert_cmpint(zbd_out(z, zone.wp, 8, 1), ==, OK);
    zbd_free(z);
}

static void test_reset_throttled(void)
{
    do_reset_throttled("");
}

/* The same with requests that have reached a slow backend */
static void test_reset_in_flight(void)
{
    static const uint32_t types[] = { OUT, APPEND, OPEN, REPORT };
    Zbd *z = zbd_new(HM ",latency-ns=100000000", "");
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(types); i++) {
        submit_batch(z, types[i], 4, false);
        zbd_restart(z);
        /* No answer to the old requests comes instead of this one's */
        g_assert_cmpuint(zbd_zone(z, SEQ).start, ==, ZONE(SEQ));
    }
    /* A daemon may not have seen the requests before the reset */
    if (!remote) {
        assert_zone(z, SEQ, EOPEN, 8);
    }
    zbd_free(z);
}

/* A read across a border, of which the zones are being asked */
static void test_reset_suspect(void)
{
    Zbd *z = zbd_new(HM ",latency-ns=100000000", "");
    uint8_t header[16];

    put_header(header, IN, 0, ZONE(SEQ) - 1);
    qtest_bufwrite(z->qts, z->mem, header, 16);
    zbd_submit(z, 0, z->mem, 16, 16, z->mem + MEM_HALF, 1025, 1);
    g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), ==, 0);
    zbd_restart(z);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ) - 1, 2), ==, INVALID);
    zbd_free(z);
}

/* The device is unplugged while zone requests are in flight */
static void test_unplug_in_flight(void)
{
    Zbd *z = zbd_new(HM ",latency-ns=100000000", "");

    submit_batch(z, APPEND, 4, false);
    qpci_unplug_acpi_device_test(z->qts, "vd", 4);
    z->vq = NULL;
    zbd_free(z);
}

/*
 * Requests of several steps, each of which takes a while: whoever waits for
 * requests in flight waits for all of their steps
 */

#define STEPS \
    "driver=null-co,size=10485760,zoned.model=host-managed," \
    "zoned.zone-size=64K,zoned.conventional-zones=2,latency-ns=200000000"
#define STEPS_ZONES 160

static const struct Steps {
    uint32_t type;
    uint64_t sector;
    size_t in_len;
} steps[] = {
    /* The zones on both sides of a border are asked for, and prove harmless */
    { IN, ZONE(1) - 1, 2 * 512 },
    { REPORT, 0, 64 + 64 * STEPS_ZONES },
    /* Without a write cache, what these did is flushed */
    { RESET, ZONE(SEQ), 0 },
    { FINISH, ZONE(SEQ), 0 },
    { RESET_ALL, 0, 0 },
};

#define PENDING 0xa5

static uint64_t steps_status(const Zbd *z, const struct Steps *s)
{
    return z->mem + MEM_HALF + s->in_len;
}

/* On return, the device has begun */
static void begin_steps(Zbd *z, const struct Steps *s)
{
    uint8_t header[16];
    unsigned int next;

    put_header(header, s->type, 0, s->sector);
    qtest_bufwrite(z->qts, z->mem, header, 16);
    qtest_writeb(z->qts, steps_status(z, s), PENDING);
    next = zbd_submit(z, 0, z->mem, 16, 16, z->mem + MEM_HALF, s->in_len + 1,
                      1);
    /* It is answered at once, after the other one has been looked at */
    put_header(header, SECURE_ERASE, 0, 0);
    qtest_bufwrite(z->qts, z->mem + 16, header, 16);
    zbd_submit(z, next, z->mem + 16, 16, 16, z->mem + 16 + 16, 1, 1);
    zbd_wait(z, 1);
    g_assert_cmphex(qtest_readb(z->qts, steps_status(z, s)), ==, PENDING);
}

static void assert_steps_ended(Zbd *z, const struct Steps *s)
{
    g_assert_cmphex(qtest_readb(z->qts, steps_status(z, s)), ==, OK);
}

static void test_steps_reset(void)
{
    Zbd *z = zbd_new(STEPS, ",write-cache=off");
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        begin_steps(z, &steps[i]);
        zbd_restart(z);
        assert_steps_ended(z, &steps[i]);
    }
    zbd_free(z);
}

static void test_steps_unplug(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        Zbd *z = zbd_new(STEPS, ",write-cache=off");

        begin_steps(z, &steps[i]);
        qpci_unplug_acpi_device_test(z->qts, "vd", 4);
        assert_steps_ended(z, &steps[i]);
        z->vq = NULL;
        zbd_free(z);
    }
}

static void do_steps_stop(const char *device)
{
    Zbd *z = zbd_new(STEPS, device);
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        begin_steps(z, &steps[i]);
        qtest_qmp_assert_success(z->qts, "{'execute': 'stop'}");
        assert_steps_ended(z, &steps[i]);
        qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
        zbd_wait(z, 1);
    }
    zbd_free(z);
}

static void test_steps_stop(void)
{
    do_steps_stop(",write-cache=off");
}

static void test_steps_stop_iothread(void)
{
    do_steps_stop(",write-cache=off,iothread=io0 -object iothread,id=io0");
}

/* Mistakes of the guest never stop the machine */
static void test_werror(void)
{
    Zbd *z = zbd_new(HM, ",werror=stop,rerror=stop");
    QDict *resp;

    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), CAP + 8, 1), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), ZS + 8), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 8, 8, NULL), ==, INVALID);
    g_assert_cmpint(zbd_mgmt(z, RESET, 1), ==, INVALID);
    resp = qtest_qmp(z->qts, "{'execute': 'query-status'}");
    g_assert_true(qdict_get_bool(qdict_get_qdict(resp, "return"), "running"));
    qobject_unref(resp);
    zbd_free(z);
}

/*
 * What a backend may say, with which status it reaches the guest.  With
 * werror=stop, only the last line would leave requests unanswered.
 */
static void test_vz44(void)
{
    static const struct {
        int error;
        uint8_t status;
    } table[] = {
        { EINVAL, INVALID }, { ERANGE, INVALID }, { ESPIPE, UNALIGNED },
        { EFBIG, INVALID }, { EROFS, INVALID }, { ENXIO, INVALID },
        { EPERM, INVALID }, { ETOOMANYREFS, NO_OPEN },
        { EOVERFLOW, NO_ACTIVE }, { EIO, IOERR },
    };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        const uint8_t status = table[i].status;
        g_autofree char *node = g_strdup_printf(
            HM_FAULTY ",inject-error.0.event=none,inject-error.0.errno=%d",
            table[i].error);
        Zbd *z = zbd_new(node, remote ? "" : status == IOERR ?
                               ",werror=report,rerror=report" :
                               ",werror=stop,rerror=stop");

        g_assert_cmpint(zbd_in(z, ZONE(SEQ), 8), ==, status);
        g_assert_cmpint(zbd_in(z, ZONE(1) - 1, 2), ==, status);
        g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, status);
        g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, status);
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ)), ==, status);
        g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ)), ==, status);
        g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, status);
        g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ)), ==, status);
        g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, status);
        /* G-8: a report is answered all the same */
        assert_zone(z, SEQ, EMPTY, 0);
        zbd_free(z);
    }
}

/* Everything that asks for a change of the zone SEQ, which is lost */
static void assert_no_change(Zbd *z, uint8_t state)
{
    static const uint32_t ops[] = { OPEN, CLOSE, FINISH, RESET };
    unsigned int i;
    Zone zone;

    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, INVALID);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, INVALID);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        g_assert_cmpint(zbd_mgmt(z, ops[i], ZONE(SEQ)), ==, INVALID);
    }
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    zone = zbd_zone(z, SEQ);
    g_assert_cmpint(zone.state, ==, state);
    g_assert_cmphex(zone.wp, ==, UINT64_MAX);
}

/* Zones turn read-only and offline, and come back, while the guest looks on */
static void do_vz64(const char *device)
{
    Zbd *z = zbd_new(HM, device);

    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 0x42), ==, OK);
    zoned_set_state(z->qts, "zbd", ZONE(SEQ) * 512, "read-only");
    zoned_assert_lost(z->qts, ZONE(SEQ) * 512, 65536, 1, "read-only");
    assert_data(z, ZONE(SEQ), 8, 0x42);
    assert_no_change(z, RDONLY);
    assert_data(z, ZONE(SEQ), 8, 0x42);

    zoned_set_state(z->qts, "zbd", ZONE(SEQ) * 512, "offline");
    qtest_clock_step(z->qts, 1000000000);
    zoned_assert_lost(z->qts, ZONE(SEQ) * 512, 65536, 1, "offline");
    g_assert_cmpint(zbd_in(z, ZONE(SEQ), 8), ==, INVALID);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ) + CAP, 8), ==, INVALID);
    assert_no_change(z, OFFLINE);

    zoned_set_state(z->qts, "zbd", ZONE(SEQ) * 512, "full");
    assert_zone(z, SEQ, FULL, 0);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, INVALID);
    zoned_set_state(z->qts, "zbd", ZONE(SEQ) * 512, "empty");
    assert_zone(z, SEQ, EMPTY, 0);
    assert_data(z, ZONE(SEQ), 8, 0);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, OK);
    zbd_free(z);
}

static void test_vz64(void)
{
    do_vz64("");
    do_vz64(",iothread=io0 -object iothread,id=io0");
}

/* What a lost zone had taken can be taken by others */
static void test_vz64_resources(void)
{
    Zbd *z = zbd_new(HM, "");
    int i;

    for (i = 0; i < MAX_OPEN; i++) {
        g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, OK);
    }
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, NO_OPEN);
    zoned_set_state(z->qts, "zbd", ZONE(SEQ) * 512, "read-only");
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ + i + 1)), ==, NO_OPEN);
    zbd_free(z);
}

#define ONE_EIO(iotype) \
    HM_FAULTY ",inject-error.0.event=none,inject-error.0.errno=5," \
    "inject-error.0.once=on,inject-error.0.iotype=" iotype

/* A real error stops the machine, and the request is tried again after it */
static void do_io_error_stop(const char *iotype, uint32_t type, Layout layout,
                             const char *device)
{
    g_autofree char *node = g_strdup_printf(ONE_EIO("%s"), iotype);
    Zbd *z = zbd_new(node, device);
    const size_t in_len = type == APPEND ? 8 : 0;
    uint8_t rd[16 + 512], wr[9];

    z->layout = layout;
    put_header(rd, type, 0, ZONE(SEQ));
    memset(rd + 16, 0x42, 512);
    qtest_bufwrite(z->qts, z->mem, rd, sizeof(rd));
    qtest_memset(z->qts, z->mem + MEM_HALF, 0xa5, sizeof(wr));
    zbd_submit(z, 0, z->mem, sizeof(rd), 16, z->mem + MEM_HALF, in_len + 1,
               in_len + 1);
    qtest_qmp_eventwait(z->qts, "STOP");
    g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), ==, 0);

    qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
    zbd_wait(z, 1);
    qtest_bufread(z->qts, z->mem + MEM_HALF, wr, sizeof(wr));
    g_assert_cmpint(wr[in_len], ==, OK);
    if (type == APPEND) {
        g_assert_cmpuint(ldq_le_p(wr), ==, ZONE(SEQ));
    }
    z->layout = NATURAL;
    assert_zone(z, SEQ, IOPEN, 1);
    assert_data(z, ZONE(SEQ), 1, 0x42);
    zbd_free(z);
}

static void do_all_io_error_stop(const char *device)
{
    static const Layout layouts[] = { NATURAL, BYTES, MERGED };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(layouts); i++) {
        do_io_error_stop("zone-append", APPEND, layouts[i], device);
        do_io_error_stop("write", OUT, layouts[i], device);
    }
}

static void test_io_error_stop(void)
{
    do_all_io_error_stop(",werror=stop");
}

static void test_iothread_io_error(void)
{
    do_all_io_error_stop(",werror=stop,iothread=io0 "
                         "-object iothread,id=io0");
}

/* Errors of the next @nr writes for want of space */
static Zbd *zbd_new_enospc(unsigned int nr, const char *device)
{
    g_autoptr(GString) node = g_string_new(HM_FAULTY);
    unsigned int i;

    for (i = 0; i < nr; i++) {
        g_string_append_printf(node, ",inject-error.%u.event=none,"
                               "inject-error.%u.errno=28,"
                               "inject-error.%u.once=on,"
                               "inject-error.%u.iotype=write", i, i, i, i);
    }
    return zbd_new(node->str, device);
}

static void go_on_with_batch(Zbd *z, unsigned int nr)
{
    unsigned int i;

    qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
    zbd_wait(z, nr);
    for (i = 0; i < nr; i++) {
        g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, i)), ==, OK);
        assert_data(z, ZONE(SEQ) + i, 1, i + 1);
    }
    assert_zone(z, SEQ, IOPEN, nr);
    zbd_free(z);
}

/* Writes to a zone that have failed are done again in their order */
static void test_io_error_batch(void)
{
    Zbd *z = zbd_new_enospc(8, ",werror=enospc");

    submit_batch(z, OUT, 8, false);
    qtest_qmp_eventwait(z->qts, "STOP");
    g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), ==, 0);
    go_on_with_batch(z, 8);
}

/*
 * What comes between a write that fails and the stop of the machine is not at
 * the write pointer only because of that.  So late, it comes for sure.
 */
static void test_io_error_late(void)
{
    Zbd *z = zbd_new_enospc(1, ",werror=enospc,ioeventfd=off");
    uint8_t rd[16 + 512];

    submit_batch(z, OUT, 1, false);
    qtest_qmp_eventwait(z->qts, "STOP");
    put_header(rd, OUT, 0, ZONE(SEQ) + 1);
    memset(rd + 16, 2, 512);
    qtest_bufwrite(z->qts, z->mem + 1024, rd, sizeof(rd));
    qtest_writeb(z->qts, batch_answer(z, 1), 0xa5);
    zbd_submit(z, 2, z->mem + 1024, sizeof(rd), 16, batch_answer(z, 1), 1, 1);
    go_on_with_batch(z, 2);
}

/* Without space, an append stops the machine as a write does */
static void test_io_error_enospc(void)
{
    Zbd *z = zbd_new(HM_FAULTY ",inject-error.0.event=none,"
                     "inject-error.0.errno=28,inject-error.0.once=on,"
                     "inject-error.0.iotype=zone-append", ",werror=enospc");

    submit_batch(z, APPEND, 1, false);
    qtest_qmp_eventwait(z->qts, "STOP");
    g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), ==, 0);
    qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
    zbd_wait(z, 1);
    assert_zone(z, SEQ, IOPEN, 1);
    assert_data(z, ZONE(SEQ), 1, 1);
    zbd_free(z);
}

static void test_io_error_report(void)
{
    Zbd *z = zbd_new(ONE_EIO("zone-append"), ",werror=report");
    uint64_t where;

    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, IOERR);
    assert_zone(z, SEQ, EMPTY, 0);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, &where), ==, OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ));
    zbd_free(z);
}

/* An append that failed cannot pass for a success: where would its data be? */
static void test_io_error_ignore(void)
{
    Zbd *z = zbd_new(ONE_EIO("zone-append"), ",werror=ignore");

    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, IOERR);
    assert_zone(z, SEQ, EMPTY, 0);
    zbd_free(z);
}

/* A request that waits for the machine to go on goes away with a reset */
static void test_io_error_reset(void)
{
    Zbd *z = zbd_new(ONE_EIO("zone-append"), ",werror=stop");

    submit_batch(z, APPEND, 1, false);
    qtest_qmp_eventwait(z->qts, "STOP");
    qvirtio_reset(z->vdev);
    qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
    zbd_restart(z);
    assert_zone(z, SEQ, EMPTY, 0);
    zbd_free(z);
}

/*
 * Migration.  A zoned null disk cannot migrate, so the streams come from plain
 * disks, with a driver that wants no more than zoned disks offer.
 */

typedef struct Stream {
    char *dir, *path, *log;
} Stream;

/* Frees @z */
static void stream_save_from(Stream *s, Zbd *z)
{
    g_autofree char *uri = NULL;

    s->dir = g_dir_make_tmp("zoned-migrate-XXXXXX", NULL);
    s->path = g_build_filename(s->dir, "stream", NULL);
    s->log = g_build_filename(s->dir, "stderr", NULL);
    uri = g_strdup_printf("exec:cat > %s", s->path);
    qtest_qmp_assert_success(z->qts, "{'execute': 'migrate', 'arguments': "
                             "{'uri': %s}}", uri);
    zoned_migrate_wait(z->qts);
    zbd_free(z);
}

static void stream_save(Stream *s, const char *node)
{
    Zbd *z = zbd_boot(node, "");

    zbd_run_without(z, 1ull << VIRTIO_BLK_F_DISCARD |
                       1ull << VIRTIO_BLK_F_WRITE_ZEROES);
    stream_save_from(s, z);
}

/* @options: of the QEMU; @message: why the stream is refused, or NULL */
static void stream_load_by(Stream *s, const char *options,
                           const char *message)
{
    g_autofree char *uri = g_strdup_printf("exec:cat %s", s->path);
    g_autofree char *said = NULL;
    QTestState *qts = qtest_initf("%s -incoming defer 2>%s", options, s->log);

    qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming', "
                             "'arguments': {'uri': %s}}", uri);
    if (message) {
        qtest_set_expected_status(qts, EXIT_FAILURE);
        while (qtest_probe_child(qts)) {
            g_usleep(1000);
        }
    } else {
        qtest_qmp_eventwait(qts, "RESUME");
    }
    qtest_quit(qts);
    g_assert_true(g_file_get_contents(s->log, &said, NULL, NULL));
    if (message && !strstr(said, message)) {
        g_error("'%s' is not in '%s'", message, said);
    }
}

static void stream_load(Stream *s, const char *node, const char *message)
{
    g_autofree char *options = g_strdup_printf(
        "-nodefaults -blockdev node-name=zbd,%s "
        "-device virtio-blk-pci,id=vd,drive=zbd,addr=4", node);

    stream_load_by(s, options, message);
}

static void stream_free(Stream *s)
{
    unlink(s->log);
    unlink(s->path);
    rmdir(s->dir);
    g_free(s->log);
    g_free(s->path);
    g_free(s->dir);
}

/* A guest of a plain disk does not come to run on a host-managed one */
static void test_migrate_plain_to_zoned(void)
{
    Stream s;

    stream_save(&s, "driver=null-co,size=688128");
    stream_load(&s, "driver=null-co,size=688128", NULL);
    stream_load(&s, HM, "the drive is host-managed");
    stream_free(&s);
}

/* Put the geometry of HA where a zoned device would have saved it */
static void stream_add_geometry(Stream *s, uint32_t max_open,
                                uint32_t max_active)
{
    static const char name[] = "virtio-blk-zoned/geometry";
    static const uint8_t next[] = "\x05\x15virtio/64bit_features";
    uint8_t section[2 + sizeof(name) - 1 + 4 + 1 + 5 * 4 + 2 * 8];
    uint8_t *at = section;
    g_autofree char *stream = NULL;
    g_autoptr(GByteArray) out = g_byte_array_new();
    const uint32_t fields[] = { 10, max_open, max_active, 0, 512 };
    gsize len;
    char *pos;
    unsigned int i;

    *at++ = 5;                              /* a subsection */
    *at++ = sizeof(name) - 1;
    at = (uint8_t *)mempcpy(at, name, sizeof(name) - 1);
    stl_be_p(at, 1);                        /* its version */
    at += 4;
    *at++ = VIRTIO_BLK_Z_HA;
    for (i = 0; i < ARRAY_SIZE(fields); i++, at += 4) {
        stl_be_p(at, fields[i]);
    }
    stq_be_p(at, 65536);
    stq_be_p(at + 8, 655360);

    g_assert_true(g_file_get_contents(s->path, &stream, &len, NULL));
    pos = memmem(stream, len, next, sizeof(next) - 1);
    g_assert_nonnull(pos);
    g_byte_array_append(out, (uint8_t *)stream, pos - stream);
    g_byte_array_append(out, section, sizeof(section));
    g_byte_array_append(out, (uint8_t *)pos, stream + len - pos);
    g_assert_true(g_file_set_contents(s->path, (char *)out->data, out->len,
                                      NULL));
}

/* A destination with other zones is refused */
static void test_migrate_geometry(void)
{
    Stream s;

    stream_save(&s, PLAIN);
    stream_add_geometry(&s, 0, 0);
    stream_load(&s, HA ",zoned.max-append-size=0", NULL);
    stream_load(&s, PLAIN, "model is 2 there and 0 here");
    stream_load(&s, HM, "model is 2 there and 1 here");
    stream_load(&s, HA ",zoned.max-append-size=0,size=720896",
                "size is 655360 there and 720896 here");
    stream_load(&s, HA ",zoned.max-append-size=0,zoned.zone-size=128K",
                "zone size is 65536 there and 131072 here");
    stream_load(&s, HA ",zoned.max-append-size=0,"
                "zoned.write-granularity=4096",
                "write granularity is 512 there and 4096 here");
    stream_load(&s, HA, "limit of appends, in sectors, is 0 there");
    stream_free(&s);

    stream_save(&s, PLAIN);
    stream_add_geometry(&s, 4, 0);
    stream_load(&s, HA ",zoned.max-append-size=0",
                "limit of open zones is 4 there and 0 here");
    stream_free(&s);

    stream_save(&s, PLAIN);
    stream_add_geometry(&s, 0, 5);
    stream_load(&s, HA ",zoned.max-append-size=0",
                "limit of active zones is 5 there and 0 here");
    stream_free(&s);
}

static QDict *blockstats(Zbd *z)
{
    QDict *resp = qtest_qmp(z->qts, "{'execute': 'query-blockstats'}");
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(resp, "return"), entry) {
        QDict *dev = qobject_to(QDict, qlist_entry_obj(entry));

        if (!strcmp(qdict_get_str(dev, "qdev"),
                    "/machine/peripheral/vd/virtio-backend")) {
            QDict *stats = qdict_get_qdict(dev, "stats");

            qobject_ref(stats);
            qobject_unref(resp);
            return stats;
        }
    }
    g_assert_not_reached();
}

/* Trap 25 */
static void test_stats(void)
{
    Zbd *z = zbd_new(HM, "");
    QDict *stats;

    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 2, NULL), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 1, 8, NULL), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 8, 8, 1), ==, UNALIGNED);
    stats = blockstats(z);
    g_assert_cmpint(qdict_get_int(stats, "zone_append_operations"), ==, 2);
    g_assert_cmpint(qdict_get_int(stats, "zone_append_bytes"), ==, 10 * 512);
    g_assert_cmpint(qdict_get_int(stats, "invalid_zone_append_operations"), ==,
                    1);
    g_assert_cmpint(qdict_get_int(stats, "failed_zone_append_operations"), ==,
                    0);
    g_assert_cmpint(qdict_get_int(stats, "invalid_wr_operations"), ==, 1);
    g_assert_cmpint(qdict_get_int(stats, "failed_wr_operations"), ==, 0);
    g_assert_cmpint(qdict_get_int(stats, "wr_operations"), ==, 0);
    qobject_unref(stats);
    zbd_free(z);
}

/* Operations are counted apart from one another, and by how they ended */
static void test_zone_stats(void)
{
    Zbd *z = zbd_new(ONE_EIO("zone-finish"), ",werror=stop");

    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, OPEN, ZONE(SEQ)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, OPEN, 0), ==, INVALID);
    g_assert_cmpint(zbd_mgmt(z, OPEN, CAPACITY), ==, INVALID);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, CLOSE, ZONE(SEQ)), ==, INVALID);
    g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, IOERR);
    g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ)), ==, OK);
    g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ) + 1), ==, INVALID);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, NULL), ==, OK);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ) + 1, 8, NULL), ==, INVALID);
    assert_zone(z, SEQ, IOPEN, 8);
    zoned_assert_stats(z->qts, "open", 2, 0, 2);
    zoned_assert_stats(z->qts, "close", 1, 0, 1);
    zoned_assert_stats(z->qts, "finish", 1, 1, 0);
    zoned_assert_stats(z->qts, "reset", 2, 0, 1);
    zoned_assert_stats(z->qts, "offline", 0, 0, 0);
    zoned_assert_stats(z->qts, "set-extension", 0, 0, 0);
    zoned_assert_stats(z->qts, "append", 1, 0, 1);
    zbd_free(z);
}

static void test_option(void)
{
    Zbd *z = zbd_boot(HA, ",zoned=on");

    zbd_free(z);
    assert_refused(HM, ",zoned=off", "zoned=off");
    assert_refused(PLAIN, ",zoned=on", "zoned=on");
}

/* The same once more, with the queues in a thread of their own */
static void test_iothread(void)
{
    Zbd *z = zbd_new(HM " -object iothread,id=io0",
                     ",iothread=io0,num-queues=2");
    Zone zones[NR_ZONES];
    uint64_t where;

    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, &where), ==, OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ));
    assert_data(z, ZONE(SEQ), 8, 0x77);
    g_assert_cmpuint(zbd_report(z, 0, zones, NR_ZONES), ==, NR_ZONES);
    g_assert_cmpint(zbd_in(z, ZONE(SEQ + 1) - 1, 2), ==, INVALID);
    g_assert_cmpint(zbd_out(z, ZONE(1) - 4, 8, 0x42), ==, OK);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, UNALIGNED);
    g_assert_cmpint(zbd_mgmt(z, FINISH, ZONE(SEQ)), ==, OK);
    assert_zone(z, SEQ, FULL, 0);
    g_assert_cmpint(zbd_mgmt(z, RESET_ALL, 0), ==, OK);
    submit_batch(z, OUT, 64, false);
    zbd_wait(z, 64);
    assert_zone(z, SEQ, IOPEN, 64);
    zbd_restart(z);
    assert_zone(z, SEQ, IOPEN, 64);
    zbd_free(z);
}

static void test_iothread_throttled(void)
{
    do_reset_throttled(",iothread=io0 -object iothread,id=io0");
}

/*
 * A packed ring, with one request at a time
 */

enum { PACKED_AVAIL = 1 << 7, PACKED_USED = 1 << 15 };

typedef struct Packed {
    QVirtQueuePCI vqpci;
    unsigned int next;
    bool wrap;
} Packed;

static void packed_setup(Zbd *z, Packed *p)
{
    QVirtQueue *vq = &p->vqpci.vq;

    *p = (Packed) { .wrap = true };
    z->vdev->bus->queue_select(z->vdev, 0);
    vq->vdev = z->vdev;
    vq->size = z->vdev->bus->get_queue_size(z->vdev);
    vq->desc = guest_alloc(&z->qs->alloc, 16 * vq->size);
    vq->avail = guest_alloc(&z->qs->alloc, 4);
    vq->used = guest_alloc(&z->qs->alloc, 4);
    qtest_memset(z->qts, vq->desc, 0, 16 * vq->size);
    qtest_memset(z->qts, vq->avail, 0, 4);
    qtest_memset(z->qts, vq->used, 0, 4);
    p->vqpci.notify_offset = z->pci->notify_cfg_offset;
    z->vdev->bus->set_queue_address(z->vdev, vq);
    qpci_io_writew(z->pci->pdev, z->pci->bar, z->pci->common_cfg_offset +
                   offsetof(struct virtio_pci_common_cfg, queue_enable), 1);
}

static void packed_put(Zbd *z, Packed *p, unsigned int i, uint64_t addr,
                       uint32_t len, uint16_t flags)
{
    const uint64_t desc = p->vqpci.vq.desc + 16 * (p->next + i);

    flags |= p->wrap ? PACKED_AVAIL : PACKED_USED;
    qtest_writeq(z->qts, desc, addr);
    qtest_writel(z->qts, desc + 8, len);
    qtest_writew(z->qts, desc + 12, 0);
    qtest_writew(z->qts, desc + 14, flags);
}

/* Returns the status */
static uint8_t packed_send(Zbd *z, Packed *p, uint32_t type, uint64_t sector,
                           size_t out_len, size_t in_len)
{
    const gint64 start = g_get_monotonic_time();
    const uint64_t desc = p->vqpci.vq.desc + 16 * p->next;
    uint8_t header[16];
    uint16_t flags;

    put_header(header, type, 0, sector);
    qtest_bufwrite(z->qts, z->mem, header, 16);
    qtest_memset(z->qts, z->mem + 16, 0x42, MAX(out_len, 1));
    qtest_memset(z->qts, z->mem + MEM_HALF, 0xa5, in_len + 1);

    /* From the last one on, so that the first makes all of them available */
    packed_put(z, p, 1, z->mem + MEM_HALF, in_len + 1, VRING_DESC_F_WRITE);
    packed_put(z, p, 0, z->mem, 16 + out_len, VRING_DESC_F_NEXT);
    z->vdev->bus->virtqueue_kick(z->vdev, &p->vqpci.vq);
    do {
        qtest_clock_step(z->qts, 100);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
        flags = qtest_readw(z->qts, desc + 14);
    } while (!(flags & PACKED_AVAIL) != !(flags & PACKED_USED) ||
             !(flags & PACKED_USED) == p->wrap);
    z->used_len = qtest_readl(z->qts, desc + 8);

    p->next += 2;
    if (p->next == p->vqpci.vq.size) {
        p->next = 0;
        p->wrap = !p->wrap;
    }
    return qtest_readb(z->qts, z->mem + MEM_HALF + in_len);
}

static void test_packed(void)
{
    Zbd *z = zbd_boot(HM, ",packed=on,queue-size=16");
    Packed p;
    unsigned int i;

    zbd_start(z);
    g_assert_true(zbd_try_features(z, zbd_usual_features(z) |
                                      1ull << VIRTIO_F_RING_PACKED));
    packed_setup(z, &p);
    zbd_driver_ok(z);
    /* Round the ring more than once */
    for (i = 0; i < 20; i++) {
        g_assert_cmpint(packed_send(z, &p, APPEND, ZONE(SEQ), 512, 8), ==, OK);
        g_assert_cmpuint(z->used_len, ==, 9);
        g_assert_cmpuint(qtest_readq(z->qts, z->mem + MEM_HALF), ==,
                         ZONE(SEQ) + i);
    }
    g_assert_cmpint(packed_send(z, &p, OUT, ZONE(SEQ) + 20, 512, 0), ==, OK);
    g_assert_cmpint(packed_send(z, &p, OUT, ZONE(SEQ) + 20, 512, 0), ==,
                    UNALIGNED);
    g_assert_cmpint(packed_send(z, &p, REPORT, ZONE(SEQ), 0, 128), ==, OK);
    g_assert_cmpuint(qtest_readq(z->qts, z->mem + MEM_HALF + 64 + 16), ==,
                     ZONE(SEQ) + 21);
    g_assert_cmpint(packed_send(z, &p, RESET_ALL, 0, 0, 0), ==, OK);
    zbd_free(z);
}

/* The second of two queues */
static void test_multiqueue(void)
{
    Zbd *z = zbd_boot(HM, ",num-queues=2");
    uint64_t where;

    zbd_start(z);
    g_assert_true(zbd_try_features(z, zbd_usual_features(z)));
    zbd_setup_queue(z, 1);
    zbd_driver_ok(z);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 8, &where), ==, OK);
    g_assert_cmpuint(where, ==, ZONE(SEQ));
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
}

/*
 * The daemon ends without having said goodbye, and is started again
 */

/* The geometry of HM, in a new image */
#define IMAGE_OPTIONS \
    "zone_size=64k,zone_capacity=48k,conventional_zones=2," \
    "max_open_zones=3,max_active_zones=5,max_append_size=48k"

/* A write is only safe from a sudden end once it is in the image */
#define WRITETHROUGH ",writethrough=on"

typedef struct Image {
    char *dir, *path;
    char *node;             /* options of -blockdev */
    char *log;              /* what QEMU says */
    char *chardev;
} Image;

static void image_new(Image *im)
{
    const char *qemu_img = getenv("QTEST_QEMU_IMG");
    g_autofree char *command = NULL;

    g_assert_nonnull(qemu_img);
    im->dir = g_dir_make_tmp("zoned-image-XXXXXX", NULL);
    im->path = g_build_filename(im->dir, "image", NULL);
    im->log = g_build_filename(im->dir, "log", NULL);
    im->node = g_strdup_printf("driver=zoned,file.driver=file,"
                               "file.filename=%s", im->path);
    im->chardev = g_strdup_printf(",reconnect=1 2>%s", im->log);
    command = g_strdup_printf("%s create -q -f zoned -o " IMAGE_OPTIONS
                              " %s 688128", qemu_img, im->path);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_assert_true(g_file_test(im->path, G_FILE_TEST_EXISTS));
}

static void image_free(Image *im)
{
    unlink(im->log);
    unlink(im->path);
    g_assert_cmpint(rmdir(im->dir), ==, 0);
    g_free(im->chardev);
    g_free(im->node);
    g_free(im->log);
    g_free(im->path);
    g_free(im->dir);
}

/* Where the data of an image begins: see docs/interop/zoned-image.rst */
static uint64_t image_data(const char *path)
{
    uint8_t buf[8];
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, buf, sizeof(buf), 112), ==, sizeof(buf));
    close(fd);
    return ldq_le_p(buf);
}

/*
 * The options of -blockdev for an image that finds no space for @nr sectors of
 * zone SEQ from @first on, each once
 */
static char *image_without_space(const Image *im, unsigned int first,
                                 unsigned int nr)
{
    GString *node = g_string_new("driver=zoned,file.driver=blkdebug,"
                                 "file.image.driver=file");
    const uint64_t sector = image_data(im->path) / 512 + ZONE(SEQ) + first;
    unsigned int i;

    g_string_append_printf(node, ",file.image.filename=%s", im->path);
    for (i = 0; i < nr; i++) {
        g_string_append_printf(node, ",file.inject-error.%u.event=none,"
                               "file.inject-error.%u.errno=28,"
                               "file.inject-error.%u.once=on,"
                               "file.inject-error.%u.iotype=write,"
                               "file.inject-error.%u.sector=%" PRIu64,
                               i, i, i, i, i, sector + i);
    }
    return g_string_free(node, false);
}

static void do_io_error_image(uint32_t type, unsigned int nr)
{
    g_autofree char *node = NULL;
    unsigned int i;
    Image im;
    Zbd *z;

    image_new(&im);
    node = image_without_space(&im, 0, nr);
    z = zbd_new(node, ",werror=enospc");
    submit_batch(z, type, 8, false);
    qtest_qmp_eventwait(z->qts, "STOP");
    qtest_qmp_assert_success(z->qts, "{'execute': 'cont'}");
    zbd_wait(z, 8);
    for (i = 0; i < 8; i++) {
        uint64_t at = batch_answer(z, i);
        uint64_t where = ZONE(SEQ) + i;

        if (type == APPEND) {
            where = qtest_readq(z->qts, at);
            at += 8;
        }
        g_assert_cmpint(qtest_readb(z->qts, at), ==, OK);
        assert_data(z, where, 1, i + 1);
    }
    assert_zone(z, SEQ, IOPEN, 8);
    zbd_free(z);
    image_free(&im);
}

static void test_io_error_image(void)
{
    do_io_error_image(OUT, 8);
    do_io_error_image(APPEND, 8);
}

/*
 * An append fails when all memory has been sent to the destination.  What the
 * device has written must be sent again; also the status byte, although the
 * used length says nothing of it.
 */
static void do_io_error_migrate(const char *device)
{
    g_autofree char *node = NULL, *uri = NULL;
    QTestState *qts;
    uint64_t head, status;
    uint8_t rd[16 + 512];
    Image im;
    Stream s;
    Zbd *z;

    image_new(&im);
    node = g_strdup_printf("driver=blkdebug,image.driver=zoned,"
                           "image.file.driver=file,image.file.filename=%s,"
                           "inject-error.0.event=none,inject-error.0.errno=5,"
                           "inject-error.0.iotype=zone-append", im.path);
    z = zbd_new(node, device);
    head = guest_alloc(&z->qs->alloc, sizeof(rd));
    status = guest_alloc(&z->qs->alloc, 1);
    set_throttle(z, 1);
    g_assert_cmpint(zbd_append(z, ZONE(SEQ), 1, NULL), ==, IOERR);

    memset(rd, 1, sizeof(rd));
    put_header(rd, APPEND, 0, ZONE(SEQ));
    qtest_bufwrite(z->qts, head, rd, sizeof(rd));
    qtest_writeb(z->qts, status, 0xa5);
    z->vq->free_head = 0;
    qvirtqueue_add(z->qts, z->vq, head, sizeof(rd), false, true);
    qvirtqueue_add(z->qts, z->vq, z->mem, 2 * MEM_HALF, true, true);
    qvirtqueue_add(z->qts, z->vq, status, 1, true, false);
    qvirtqueue_kick(z->qts, z->vdev, z->vq, 0);
    g_assert_cmpint(qtest_readb(z->qts, status), ==, 0xa5);
    /* It is the machine's stop, at the end, that lets the append go on */
    qtest_qmp_assert_success(z->qts, "{'execute': 'migrate-set-parameters', "
                             "'arguments': {'downtime-limit': 0}}");
    stream_save_from(&s, z);

    qts = qtest_initf("-nodefaults -blockdev node-name=zbd,%s "
                      "-device virtio-blk-pci,id=vd,drive=zbd,addr=4 "
                      "-incoming defer", node);
    uri = g_strdup_printf("exec:cat %s", s.path);
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming', "
                             "'arguments': {'uri': %s}}", uri);
    qtest_qmp_eventwait(qts, "RESUME");
    g_assert_cmpint(qtest_readb(qts, status), ==, IOERR);
    qtest_quit(qts);
    stream_free(&s);
    image_free(&im);
}

static void test_io_error_migrate(void)
{
    do_io_error_migrate(",werror=report");
    do_io_error_migrate(",werror=ignore");
}

static Zbd *image_boot(Image *im)
{
    Zbd *z;

    image_new(im);
    z = zbd_boot_remote(im->node, WRITETHROUGH, "", im->chardev);
    return zbd_attach(z);
}

/* Another one listens on the same socket */
static void daemon_restart(Daemon *d, const char *node)
{
    daemon_end(d, SIGKILL);
    daemon_start(d, node, WRITETHROUGH);
}

/* Wait until QEMU has said @message */
static void wait_for_message(const Image *im, const char *message)
{
    const gint64 start = g_get_monotonic_time();

    for (;;) {
        g_autofree char *said = NULL;

        g_assert_true(g_file_get_contents(im->log, &said, NULL, NULL));
        if (strstr(said, message)) {
            return;
        }
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
        g_usleep(10000);
    }
}

/* The zones are what they were, and the guest sees no error */
static void test_reconnect(void)
{
    Image im;
    Zbd *z = image_boot(&im);
    unsigned int i;

    /* Also when the driver has not begun */
    daemon_restart(z->daemon, im.node);
    zbd_run_without(z, 0);
    make_state(z, SEQ + 1, FULL, 8);
    make_state(z, SEQ + 2, CLOSED, 16);
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(zbd_out(z, ZONE(SEQ) + 2 * i, 1, 0x40 + i), ==, OK);
        /* With a request that nobody takes at first */
        daemon_end(z->daemon, SIGKILL);
        submit_batch(z, APPEND, 1, false);
        daemon_start(z->daemon, im.node, WRITETHROUGH);
        zbd_wait(z, 1);
        g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, 0) + 8), ==, OK);
        assert_data(z, ZONE(SEQ) + 2 * i, 1, 0x40 + i);
        assert_zone(z, SEQ, IOPEN, 2 * i + 2);
    }
    assert_zone(z, SEQ + 1, FULL, 0);
    assert_zone(z, SEQ + 2, CLOSED, 16);
    /* A reset is as durable as a write */
    g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ)), ==, OK);
    daemon_restart(z->daemon, im.node);
    g_assert_cmpint(zbd_out(z, ZONE(SEQ), 8, 1), ==, OK);
    zbd_free(z);
    image_free(&im);
}

/* Another disk is not taken for the one that the guest knows */
static void test_reconnect_other(void)
{
    static const struct {
        const char *node, *message;
    } table[] = {
        { PLAIN, "the guest knows a disk with zones" },
        { HA, "model is 1 for the guest and 2 in the backend" },
        { HM ",zoned.zone-size=128K,zoned.max-active-zones=4",
          "zone size, in sectors, is 128 for" },
        { HM ",size=753664", "capacity, in sectors, is 1344 for the guest" },
        { HM ",zoned.max-open-zones=2", "limit of open zones is 3 for" },
        { HM ",zoned.max-active-zones=4", "limit of active zones is 5 for" },
        { HM ",zoned.max-append-size=16K", "limit of appends, in sectors," },
    };
    Image im;
    Zbd *z = image_boot(&im);
    unsigned int i;

    zbd_run_without(z, 0);
    make_state(z, SEQ, IOPEN, 8);
    daemon_end(z->daemon, SIGKILL);
    submit_batch(z, APPEND, 1, false);
    for (i = 0; i < ARRAY_SIZE(table); i++) {
        daemon_start(z->daemon, table[i].node, "");
        wait_for_message(&im, table[i].message);
        g_assert_cmpuint(qtest_readw(z->qts, z->vq->used + 2), !=,
                         (uint16_t)(z->used_idx + 1));
        daemon_end(z->daemon, SIGKILL);
    }
    daemon_start(z->daemon, im.node, WRITETHROUGH);
    zbd_wait(z, 1);
    g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, 0) + 8), ==, OK);
    assert_zone(z, SEQ, IOPEN, 9);
    zbd_free(z);
    image_free(&im);

    /* Nor is a zoned one taken for a plain one */
    image_new(&im);
    z = zbd_attach(zbd_boot_remote("driver=null-co,size=688128", "", "",
                                   im.chardev));
    daemon_restart(z->daemon, im.node);
    wait_for_message(&im, "the guest knows a disk without zones");
    daemon_restart(z->daemon, PLAIN);
    zbd_run_without(z, 0);
    g_assert_cmpint(zbd_in(z, 0, 8), ==, OK);
    zbd_free(z);
    image_free(&im);
}

/* A guest comes from one daemon's disk to that of another daemon */
static void remote_load(Stream *s, const char *node, const char *message)
{
    Daemon *d = daemon_new(node, "");
    g_autofree char *options = remote_options(d, "");
    g_autofree char *device = g_strdup_printf(
        "%s -device vhost-user-blk-pci,id=vd,chardev=zbd,queue-size=256,"
        "addr=4", options);

    stream_load_by(s, device, message);
    daemon_free(d);
}

static void test_remote_migrate(void)
{
    Zbd *z = zbd_attach(zbd_boot_remote(HM, "", "", ""));
    Stream s;

    zbd_run_without(z, 0);
    g_assert_cmpuint(config32(z, ZCFG(zone_sectors)), ==, ZS);
    make_state(z, SEQ, IOPEN, 8);
    stream_save_from(&s, z);
    remote_load(&s, HM, NULL);
    remote_load(&s, HM ",zoned.max-open-zones=2",
                "limit of open zones is 3 for the guest and 2 in the backend");
    remote_load(&s, HM ",size=753664", "capacity, in sectors, is 1344");
    remote_load(&s, PLAIN, "Features 0x");
    stream_free(&s);
}

/*
 * Writes one behind the other, of which the daemon has carried out some, and
 * has told the driver of some: none is lost, none fails, none comes twice.
 */
static void test_resubmit(void)
{
    const unsigned int nr = 64;
    Image im;
    Zbd *z = image_boot(&im);
    unsigned int told, i;

    zbd_run_without(z, 0);
    for (told = 0; told < nr; told += 3) {
        const uint16_t from = z->used_idx;

        g_test_message("killed when %u are done", told);
        submit_batch(z, OUT, nr, false);
        while ((uint16_t)(qtest_readw(z->qts, z->vq->used + 2) - from) <
               told) {
            /* as soon as possible */
        }
        daemon_restart(z->daemon, im.node);
        zbd_wait(z, nr);
        for (i = 0; i < nr; i++) {
            g_assert_cmpint(qtest_readb(z->qts, batch_answer(z, i)), ==, OK);
        }
        assert_zone(z, SEQ, zbd_zone(z, SEQ).state, nr);
        for (i = 0; i < nr; i++) {
            assert_data(z, ZONE(SEQ) + i, 1, i + 1);
        }
        g_assert_cmpint(zbd_mgmt(z, RESET, ZONE(SEQ)), ==, OK);
    }
    zbd_free(z);
    image_free(&im);
}

/*
 * Eight requests at once, of which a daemon's image finds no space for some.
 * Those fail; the others have their data, what is in between reads as zeroes,
 * and the zone goes on from its write pointer.
 */
static void do_remote_no_space(uint32_t type, unsigned int first,
                               unsigned int nr)
{
    g_autofree char *node = NULL;
    uint8_t data[8] = { };
    unsigned int i, failed = 0;
    Image im;
    Zone zone;
    Zbd *z;

    image_new(&im);
    node = image_without_space(&im, first, nr);
    z = zbd_attach(zbd_boot_remote(node, "", "", ""));
    zbd_run_without(z, 0);

    submit_batch(z, type, 8, false);
    zbd_wait(z, 8);
    for (i = 0; i < 8; i++) {
        uint64_t answer = batch_answer(z, i);
        uint64_t at = i;

        if (type == APPEND) {
            at = qtest_readq(z->qts, answer) - ZONE(SEQ);
            answer += 8;
        }
        if (qtest_readb(z->qts, answer) == OK) {
            g_assert_cmpuint(at, <, 8);
            data[at] = i + 1;
        } else {
            failed++;
        }
    }
    g_assert_cmpuint(failed, >, 0);

    zone = zbd_zone(z, SEQ);
    for (i = 0; i < 8; i++) {
        if (ZONE(SEQ) + i < zone.wp) {
            assert_data(z, ZONE(SEQ) + i, 1, data[i]);
        } else {
            g_assert_cmpint(data[i], ==, 0);
        }
    }
    g_assert_cmpint(zbd_out(z, zone.wp, 1, 9), ==, OK);
    assert_zone(z, SEQ, IOPEN, zone.wp + 1 - ZONE(SEQ));
    assert_data(z, zone.wp, 1, 9);
    zbd_free(z);
    image_free(&im);
}

static void test_remote_no_space(void)
{
    do_remote_no_space(OUT, 3, 1);
    do_remote_no_space(OUT, 0, 8);
    do_remote_no_space(APPEND, 3, 1);
    do_remote_no_space(APPEND, 0, 8);
}

#ifdef CONFIG_VHOST_USER_BLK_SERVER

/*
 * A client that speaks vhost-user itself, to an export of QEMU.  Addresses are
 * offsets into the memory that both share: there, the three parts of each queue
 * come first, and then its requests.
 */

#define PEER_VERSION 1
#define PEER_QUEUES 2
#define PEER_RING 8                     /* descriptors of a queue */
#define PEER_PAGE 4096
#define PEER_QUEUE(q) ((q) * 8 * PEER_PAGE)
#define PEER_AVAIL(q) (PEER_QUEUE(q) + PEER_PAGE)
#define PEER_USED(q) (PEER_QUEUE(q) + 2 * PEER_PAGE)
#define PEER_DATA(q) (PEER_QUEUE(q) + 3 * PEER_PAGE)
#define PEER_MEM PEER_QUEUE(PEER_QUEUES)

typedef struct Peer {
    int sock;
    int memfd;
    uint8_t *mem;
    int kick[PEER_QUEUES], call;
    unsigned int nr_desc[PEER_QUEUES];
} Peer;

static void peer_send(Peer *p, int request, VhostUserMsg *msg, size_t size,
                      int fd)
{
    char control[CMSG_SPACE(sizeof(fd))] = { };
    struct iovec iov = { msg, VHOST_USER_HDR_SIZE + size };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;

    msg->request = request;
    msg->flags = PEER_VERSION;
    msg->size = size;
    if (fd >= 0) {
        hdr.msg_control = control;
        hdr.msg_controllen = sizeof(control);
        cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    }
    g_assert_cmpint(sendmsg(p->sock, &hdr, 0), ==, iov.iov_len);
}

static void peer_send_u64(Peer *p, int request, uint64_t value, int fd)
{
    VhostUserMsg msg = { .payload.u64 = value };

    peer_send(p, request, &msg, sizeof(value), fd);
}

static void peer_send_state(Peer *p, int request, unsigned int queue,
                            unsigned int num)
{
    VhostUserMsg msg = { .payload.state = { .index = queue, .num = num } };

    peer_send(p, request, &msg, sizeof(msg.payload.state), -1);
}

/* Wait for the answer to @request */
static void peer_receive(Peer *p, int request)
{
    VhostUserMsg msg;

    g_assert_cmpint(recv(p->sock, &msg, VHOST_USER_HDR_SIZE, MSG_WAITALL), ==,
                    VHOST_USER_HDR_SIZE);
    g_assert_cmpint(msg.request, ==, request);
    g_assert_cmpuint(msg.size, <=, sizeof(msg.payload));
    g_assert_cmpint(recv(p->sock, &msg.payload, msg.size, MSG_WAITALL), ==,
                    msg.size);
}

/* Returns when the export has seen all messages up to now */
static void peer_sync(Peer *p)
{
    VhostUserMsg msg;

    peer_send(p, VHOST_USER_GET_FEATURES, &msg, 0, -1);
    peer_receive(p, VHOST_USER_GET_FEATURES);
}

static Peer *peer_new(const char *path)
{
    const struct timeval timeout = { .tv_sec = TIMEOUT_US / 1000000 };
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    VhostUserMsg msg = { };
    Peer *p = g_new0(Peer, 1);
    unsigned int q;

    pstrcpy(addr.sun_path, sizeof(addr.sun_path), path);
    p->sock = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(p->sock, >=, 0);
    g_assert_cmpint(setsockopt(p->sock, SOL_SOCKET, SO_RCVTIMEO, &timeout,
                               sizeof(timeout)), ==, 0);
    g_assert_cmpint(connect(p->sock, (struct sockaddr *)&addr, sizeof(addr)),
                    ==, 0);
    p->mem = qemu_memfd_alloc("peer", PEER_MEM, 0, &p->memfd, &error_abort);
    p->call = eventfd(0, 0);
    g_assert_cmpint(p->call, >=, 0);

    peer_send_u64(p, VHOST_USER_SET_FEATURES, 1ull << VIRTIO_F_VERSION_1 |
                  F_ZONED, -1);
    msg.payload.memory.nregions = 1;
    msg.payload.memory.regions[0].memory_size = PEER_MEM;
    peer_send(p, VHOST_USER_SET_MEM_TABLE, &msg, sizeof(msg.payload.memory),
              p->memfd);
    for (q = 0; q < PEER_QUEUES; q++) {
        p->kick[q] = eventfd(0, 0);
        g_assert_cmpint(p->kick[q], >=, 0);
        peer_send_state(p, VHOST_USER_SET_VRING_NUM, q, PEER_RING);
        msg.payload.addr = (struct vhost_vring_addr) {
            .index = q,
            .desc_user_addr = PEER_QUEUE(q),
            .avail_user_addr = PEER_AVAIL(q),
            .used_user_addr = PEER_USED(q),
        };
        peer_send(p, VHOST_USER_SET_VRING_ADDR, &msg,
                  sizeof(msg.payload.addr), -1);
        peer_send_u64(p, VHOST_USER_SET_VRING_CALL, q, p->call);
        peer_send_u64(p, VHOST_USER_SET_VRING_KICK, q, p->kick[q]);
    }
    peer_sync(p);
    return p;
}

static void peer_free(Peer *p)
{
    unsigned int q;

    for (q = 0; q < PEER_QUEUES; q++) {
        close(p->kick[q]);
    }
    close(p->call);
    close(p->sock);
    qemu_memfd_free(p->mem, PEER_MEM, p->memfd);
    g_free(p);
}

static uint16_t peer_done(Peer *p, unsigned int queue)
{
    return lduw_le_p(p->mem + PEER_USED(queue) + 2);
}

static void peer_wait(Peer *p, unsigned int queue, uint16_t nr)
{
    const gint64 start = g_get_monotonic_time();

    while (peer_done(p, queue) != nr) {
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
        g_usleep(1000);
    }
}

static void peer_add_desc(Peer *p, unsigned int queue, unsigned int at,
                          unsigned int len, unsigned int flags,
                          unsigned int next)
{
    struct vring_desc *desc = (void *)(p->mem + PEER_QUEUE(queue));

    g_assert_cmpuint(p->nr_desc[queue], <, PEER_RING);
    desc[p->nr_desc[queue]++] = (struct vring_desc) {
        .addr = cpu_to_le64(PEER_DATA(queue) + at),
        .len = cpu_to_le32(len),
        .flags = cpu_to_le16(flags),
        .next = cpu_to_le16(next),
    };
}

static void peer_add_head(Peer *p, unsigned int queue, unsigned int head)
{
    uint8_t *avail = p->mem + PEER_AVAIL(queue);
    const uint16_t index = lduw_le_p(avail + 2);

    stw_le_p(avail + 4 + 2 * index, head);
    smp_wmb(); /* the export may look at the index at any time */
    stw_le_p(avail + 2, index + 1);
}

static void peer_kick(Peer *p, unsigned int queue)
{
    g_assert_cmpint(eventfd_write(p->kick[queue], 1), ==, 0);
}

/* A write of one sector, without a kick */
static void peer_add_write(Peer *p, unsigned int queue, uint64_t sector)
{
    const unsigned int head = p->nr_desc[queue], at = head * 1024;

    put_header(p->mem + PEER_DATA(queue) + at, OUT, 0, sector);
    peer_add_desc(p, queue, at, 16 + 512, VRING_DESC_F_NEXT, head + 1);
    peer_add_desc(p, queue, at + 1023, 1, VRING_DESC_F_WRITE, 0);
    peer_add_head(p, queue, head);
}

static void peer_write(Peer *p, unsigned int queue, uint64_t sector)
{
    peer_add_write(p, queue, sector);
    peer_kick(p, queue);
}

/* A chain of descriptors without end */
static void peer_loop(Peer *p, unsigned int queue)
{
    const unsigned int head = p->nr_desc[queue];

    peer_add_desc(p, queue, 0, 16, VRING_DESC_F_NEXT, head);
    peer_add_head(p, queue, head);
    peer_kick(p, queue);
}

static void peer_stop(Peer *p, unsigned int queue)
{
    peer_send_state(p, VHOST_USER_GET_VRING_BASE, queue, 0);
}

static void peer_assert_stopped(Peer *p)
{
    peer_receive(p, VHOST_USER_GET_VRING_BASE);
}

/* QEMU with an export of two queues */
typedef struct Host {
    QTestState *qts;
    char *dir, *socket;
} Host;

/* @node: without an end to its options, but with a node zbd */
static void host_boot(Host *h, const char *node)
{
    h->dir = g_dir_make_tmp("zoned-peer-XXXXXX", NULL);
    g_assert_nonnull(h->dir);
    h->socket = g_build_filename(h->dir, "socket", NULL);
    h->qts = qtest_initf("-machine none -object iothread,id=iothread0 "
                         "-object throttle-group,id=tg -blockdev %s", node);
    qtest_qmp_assert_success(h->qts, "{'execute': 'block-export-add', "
        "'arguments': {'type': 'vhost-user-blk', 'id': 'exp', "
        "'node-name': 'zbd', 'writable': true, 'num-queues': 2, "
        "'addr': {'type': 'unix', 'path': %s}}}", h->socket);
}

/* No client keeps the export from going */
static void host_free(Host *h)
{
    qtest_qmp_assert_success(h->qts, "{'execute': 'block-export-del', "
        "'arguments': {'id': 'exp', 'mode': 'hard'}}");
    qtest_qmp_eventwait(h->qts, "BLOCK_EXPORT_DELETED");
    qtest_quit(h->qts);
    unlink(h->socket);
    rmdir(h->dir);
    g_free(h->socket);
    g_free(h->dir);
}

#define THROTTLED \
    "driver=throttle,node-name=zbd,throttle-group=tg," HM_AS("file.")

/* One request, and then none until there is no limit any more, or a drain */
static void host_set_limit(Host *h, int iops)
{
    qtest_qmp_assert_success(h->qts, "{'execute': 'qom-set', 'arguments': "
        "{'path': '/objects/tg', 'property': 'limits', "
        "'value': {'iops-total': %d}}}", iops);
}

/* With more than one turn of the main loop, it has seen what was there */
static void host_sync(Host *h)
{
    unsigned int i;

    for (i = 0; i < 4; i++) {
        qtest_qmp_assert_success(h->qts, "{'execute': 'query-status'}");
    }
}

/* Two writes, of which the second is in flight when the queue is stopped */
static Peer *host_stop_in_flight(Host *h)
{
    Peer *p = peer_new(h->socket);

    host_set_limit(h, 1);
    /* By one kick, so that it is taken when the other is done */
    peer_add_write(p, 0, ZONE(SEQ));
    peer_add_write(p, 0, ZONE(SEQ) + 1);
    peer_kick(p, 0);
    peer_wait(p, 0, 1);
    peer_stop(p, 0);
    host_sync(h);
    g_assert_cmpuint(peer_done(p, 0), ==, 1);
    return p;
}

/* The answer comes when the requests of the queue are done, not before */
static void test_stop_queue(void)
{
    Host h;
    Peer *p;

    host_boot(&h, THROTTLED);
    p = host_stop_in_flight(&h);
    host_set_limit(&h, 0);
    peer_assert_stopped(p);
    g_assert_cmpuint(peer_done(p, 0), ==, 2);
    /* The other one goes on */
    peer_write(p, 1, ZONE(SEQ) + 2);
    peer_wait(p, 1, 1);
    peer_free(p);
    host_free(&h);
}

/* A mistake in another queue meanwhile.  The next client finds it all well. */
static void test_stop_queue_broken(void)
{
    Host h;
    Peer *p;
    char c;

    host_boot(&h, THROTTLED);
    p = host_stop_in_flight(&h);
    peer_loop(p, 1);
    g_assert_cmpint(recv(p->sock, &c, 1, 0), ==, 0);
    host_set_limit(&h, 0);
    peer_free(p);

    p = peer_new(h.socket);
    peer_write(p, 0, ZONE(SEQ + 1));
    peer_wait(p, 0, 1);
    g_assert_cmpint(p->mem[PEER_DATA(0) + 1023], ==, OK);
    peer_free(p);
    host_free(&h);
}

static void host_set_iothread(Host *h, const char *iothread)
{
    qtest_qmp_assert_success(h->qts, "{'execute': 'x-blockdev-set-iothread', "
        "'arguments': {'node-name': 'zbd', 'force': true, 'iothread': %p}}",
        iothread ? QOBJECT(qstring_from_str(iothread)) : QOBJECT(qnull()));
}

/* The node goes to an iothread and back meanwhile */
static void test_stop_queue_iothread(void)
{
    unsigned int i;
    Host h;
    Peer *p;

    host_boot(&h, THROTTLED);
    for (i = 0; i < 2; i++) {
        host_set_iothread(&h, i ? "iothread0" : NULL);
        p = host_stop_in_flight(&h);
        host_set_iothread(&h, i ? NULL : "iothread0");
        peer_assert_stopped(p);
        g_assert_cmpuint(peer_done(p, 0), ==, 2);
        peer_sync(p);
        host_set_limit(&h, 0);
        peer_write(p, 1, ZONE(SEQ + 1) + i);
        peer_wait(p, 1, 1);
        g_assert_cmpint(p->mem[PEER_DATA(1) + 1023], ==, OK);
        peer_free(p);
        peer_free(peer_new(h.socket));
    }
    host_free(&h);
}

/* The export goes, or the client, with a request that takes its time */
static void test_stop_queue_gone(void)
{
    Host h;
    Peer *p;

    host_boot(&h, "node-name=zbd," HM ",latency-ns=100000000");
    p = peer_new(h.socket);
    peer_write(p, 0, ZONE(SEQ));
    peer_stop(p, 0);
    peer_free(p);
    p = peer_new(h.socket);
    peer_write(p, 0, ZONE(SEQ) + 1);
    peer_stop(p, 0);
    host_sync(&h);
    host_free(&h);
    peer_free(p);
}

#endif /* CONFIG_VHOST_USER_BLK_SERVER */

typedef struct Test {
    const char *name;
    void (*fn)(void);
    bool local;         /* only for a device that serves the disk itself */
} Test;

static const Test remote_tests[] = {
#ifdef CONFIG_VHOST_USER_BLK_SERVER
    { "stop-queue", test_stop_queue },
    { "stop-queue/broken", test_stop_queue_broken },
    { "stop-queue/iothread", test_stop_queue_iothread },
    { "stop-queue/gone", test_stop_queue_gone },
#endif
    { "reconnect", test_reconnect },
    { "reconnect/other-disk", test_reconnect_other },
    { "resubmit", test_resubmit },
    { "no-space", test_remote_no_space },
    { "migrate", test_remote_migrate },
};

#define LOCAL true

static const Test tests[] = {
    { "VZ-1", test_vz1 },
    { "VZ-2", test_vz2 },
    { "VZ-2/legacy-takes-bit", test_legacy_takes_bit, LOCAL },
    { "VZ-3", test_vz3 },
    { "VZ-4", test_vz4 },
    { "VZ-4/legacy", test_vz4_legacy, LOCAL },
    { "VZ-6", test_vz6 },
    { "VZ-7", test_vz7 },
    { "VZ-8", test_vz8 },
    { "VZ-9", test_vz9 },
    { "VZ-10", test_vz10 },
    { "VZ-11", test_vz11 },
    { "VZ-12", test_vz12 },
    { "VZ-13", test_vz13 },
    { "VZ-15", test_vz15 },
    { "VZ-16", test_vz16 },
    { "VZ-17", test_vz17 },
    { "VZ-18", test_vz18 },
    { "VZ-20", test_vz20 },
    { "VZ-22", test_vz22 },
    { "VZ-23", test_vz23 },
    { "VZ-24", test_vz24 },
    { "VZ-25", test_vz25 },
    { "VZ-27", test_vz27 },
    { "VZ-28", test_vz28 },
    { "VZ-29", test_vz29 },
    { "VZ-30", test_vz30 },
    { "VZ-31", test_vz31 },
    { "VZ-32", test_vz32 },
    { "VZ-33", test_vz33 },
    { "VZ-34", test_vz34 },
    { "VZ-34/single-zone", test_vz34_single },
    { "VZ-35", test_vz35 },
    { "VZ-36", test_vz36 },
    { "VZ-37", test_vz37 },
    { "VZ-38", test_vz38 },
    { "VZ-39", test_vz39 },
    { "VZ-40", test_vz40 },
    { "VZ-41", test_vz41 },
    { "VZ-42", test_vz42 },
    { "VZ-43", test_vz43 },
    { "VZ-44", test_vz44 },
    { "VZ-45", test_vz45 },
    { "VZ-45/in-header", test_in_header },
    { "VZ-46", test_vz46 },
    { "VZ-47", test_vz47 },
    { "VZ-50", test_vz50 },
    { "VZ-51", test_vz51 },
    { "VZ-53", test_vz53 },
    { "VZ-54", test_vz54 },
    { "VZ-55", test_vz55 },
    { "VZ-56", test_vz56 },
    { "VZ-56/report", test_vz56_report },
    { "VZ-57", test_vz57 },
    { "VZ-57/huge-report", test_huge_report },
    { "VZ-58", test_vz58 },
    { "VZ-59", test_vz59 },
    { "VZ-59/long", test_vz59_long },
    { "VZ-60", test_vz60 },
    { "VZ-61", test_vz61 },
    { "VZ-62", test_vz62 },
    { "VZ-63", test_vz63 },
    { "VZ-64", test_vz64, LOCAL },
    { "VZ-64/resources", test_vz64_resources, LOCAL },
    { "VZ-65", test_vz65 },
    { "G-11", test_g11 },
    { "L-3", test_l3 },
    { "L-9", test_l9 },
    { "L-19", test_l19 },
    { "state-machine", test_state_machine },
    { "malformed", test_malformed },
    { "types", test_types },
    { "sectors", test_sectors },
    { "batch/writes", test_batch_writes },
    { "batch/appends", test_batch_appends },
    { "reset-throttled", test_reset_throttled, LOCAL },
    { "reset-in-flight", test_reset_in_flight },
    { "reset-suspect", test_reset_suspect, LOCAL },
    { "unplug-in-flight", test_unplug_in_flight, LOCAL },
    { "steps/reset", test_steps_reset, LOCAL },
    { "steps/unplug", test_steps_unplug, LOCAL },
    { "steps/stop", test_steps_stop, LOCAL },
    { "steps/stop-iothread", test_steps_stop_iothread, LOCAL },
    { "io-error/stop", test_io_error_stop, LOCAL },
    { "io-error/batch", test_io_error_batch, LOCAL },
    { "io-error/late", test_io_error_late, LOCAL },
    { "io-error/image", test_io_error_image, LOCAL },
    { "io-error/enospc", test_io_error_enospc, LOCAL },
    { "io-error/report", test_io_error_report, LOCAL },
    { "io-error/ignore", test_io_error_ignore, LOCAL },
    { "io-error/reset", test_io_error_reset, LOCAL },
    { "io-error/migrate", test_io_error_migrate, LOCAL },
    { "migrate/plain-to-zoned", test_migrate_plain_to_zoned, LOCAL },
    { "migrate/geometry", test_migrate_geometry, LOCAL },
    { "packed", test_packed, LOCAL },
    { "werror", test_werror, LOCAL },
    { "stats", test_stats, LOCAL },
    { "stats/zones", test_zone_stats, LOCAL },
    { "option", test_option, LOCAL },
    { "iothread", test_iothread, LOCAL },
    { "iothread/reset-throttled", test_iothread_throttled, LOCAL },
    { "iothread/io-error", test_iothread_io_error, LOCAL },
    { "multiqueue", test_multiqueue },
};

static void run_local(const void *opaque)
{
    const Test *test = opaque;

    remote = false;
    test->fn();
}

static void run_remote(const void *opaque)
{
    const Test *test = opaque;

    remote = true;
    test->fn();
}

/* Without a storage daemon that can serve disks, there is nothing to test */
static void add_remote_tests(void)
{
#ifdef CONFIG_VHOST_USER_BLK_SERVER
    size_t i;

    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/vhost-user-blk/zoned/%s",
                                                tests[i].name);

        if (!tests[i].local) {
            qtest_add_data_func(path, &tests[i], run_remote);
        }
    }
    for (i = 0; i < ARRAY_SIZE(remote_tests); i++) {
        g_autofree char *path = g_strdup_printf("/vhost-user-blk/zoned/%s",
                                                remote_tests[i].name);

        qtest_add_data_func(path, &remote_tests[i], run_remote);
    }
#endif
}

#define PERF_PLAIN "driver=null-co,size=536870912"
#define PERF_ZONED PERF_PLAIN ",zoned.zone-size=16M"
#define PERF_ROUNDS 100

/* Writes at depth 32, each to another zone, while QEMU is being measured */
static void perf_writes(const void *opaque)
{
    Zbd *z = zbd_new(opaque, "");
    const unsigned int depth = 32, bytes = 4096;
    const uint64_t zone_sectors = 16 * MiB / 512;
    unsigned int round, i, desc;

    for (round = 0; round < PERF_ROUNDS; round++) {
        for (i = 0, desc = 0; i < depth; i++) {
            const uint64_t rd = z->mem + i * (16 + bytes);
            uint8_t header[16];

            put_header(header, OUT, 0, i * zone_sectors + round * bytes / 512);
            qtest_bufwrite(z->qts, rd, header, sizeof(header));
            desc = zbd_submit(z, desc, rd, 16 + bytes, 16,
                              z->mem + MEM_HALF + i, 1, 1);
        }
        zbd_wait(z, depth);
        for (i = 0; i < depth; i++) {
            g_assert_cmpint(qtest_readb(z->qts, z->mem + MEM_HALF + i), ==, OK);
        }
    }
    zbd_free(z);
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        qtest_add_data_func("/virtio-blk/zoned/perf/plain", PERF_PLAIN,
                            perf_writes);
        qtest_add_data_func("/virtio-blk/zoned/perf/zoned", PERF_ZONED,
                            perf_writes);
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-blk/zoned/%s",
                                                tests[i].name);

        qtest_add_data_func(path, &tests[i], run_local);
    }
    add_remote_tests();
    return g_test_run();
}
