/*
 * A zoned SCSI disk for qtests, and a raw driver for it on virtio-scsi
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "scsi/constants.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_ring.h"
#include "standard-headers/linux/virtio_scsi.h"
#include "scsi-zbc-disk.h"

#define DEVFN QPCI_DEVFN(4, 0)

bool disks_are_images;

/*
 * Images
 */

/* Add what the option of a null node is called for an image */
static void image_option(GString *options, const char *option)
{
    static const char *const names[][2] = {
        { "model", "zone_model" },
        { "write-granularity", "logical_block_size" },
    };
    g_auto(GStrv) pair = g_strsplit(option, "=", 2);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (g_str_equal(pair[0], names[i][0])) {
            g_string_append_printf(options, ",%s=%s", names[i][1], pair[1]);
            return;
        }
    }
    g_strdelimit(pair[0], "-", '_');
    g_string_append_printf(options, ",%s=%s", pair[0], pair[1]);
}

char *image_new(const char *node)
{
    g_auto(GStrv) words = g_strsplit(node, ",", -1);
    g_autoptr(GString) options = g_string_new("");
    const char *qemu_img = getenv("QTEST_QEMU_IMG");
    const char *size = NULL;
    char *path = NULL;
    int fd, i, status;

    g_assert_nonnull(qemu_img);
    fd = g_file_open_tmp("scsi-zbc-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    for (i = 0; words[i]; i++) {
        if (g_str_has_prefix(words[i], "zoned.")) {
            image_option(options, words[i] + strlen("zoned."));
        } else if (g_str_has_prefix(words[i], "size=")) {
            size = words[i] + strlen("size=");
        }
    }
    {
        const char *argv[] = { qemu_img, "create", "-q", "-f", "zoned", "-o",
                               options->str + 1, path, size, NULL };

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL,
                                   NULL, NULL, &status, NULL));
    }
    g_assert_cmpint(status, ==, 0);
    return path;
}

void image_free(char *path)
{
    unlink(path);
    g_free(path);
}

char *image_node(const char *path)
{
    return g_strdup_printf("driver=zoned,file.driver=file,file.filename=%s",
                           path);
}

/* The format is described in docs/interop/zoned-image.rst */
void image_set_state(const char *path, unsigned int zone, uint8_t condition)
{
    bool found = false;
    uint8_t block[4096];
    uint64_t at;
    int fd = open(path, O_RDWR);
    int copy;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, block, 4096, 0), ==, 4096);
    at = ldq_le_p(&block[96]);
    for (copy = 0; copy < 2; copy++, at += 4096) {
        g_assert_cmpint(pread(fd, block, 4096, at), ==, 4096);
        if (!ldl_le_p(&block[4])) {
            continue;   /* never written */
        }
        found = true;
        block[32 + zone * 8 + 7] = condition == COND_RDONLY ? 0x20 : 0x30;
        stl_le_p(&block[0], 0);
        stl_le_p(&block[0], crc32c(0xffffffff, block, 4096));
        g_assert_cmpint(pwrite(fd, block, 4096, at), ==, 4096);
    }
    g_assert_true(found);
    close(fd);
}

/*
 * The machine and the driver's start
 */

void disk_start(Disk *d)
{
    uint64_t features;
    int i;

    qvirtio_pci_device_enable(d->pci);
    qvirtio_start_device(d->vdev);
    features = qvirtio_get_features(d->vdev);
    features &= ~(QVIRTIO_F_BAD_FEATURE | (1ull << VIRTIO_RING_F_EVENT_IDX) |
                  (1ull << VIRTIO_RING_F_INDIRECT_DESC));
    qvirtio_set_features(d->vdev, features);
    for (i = 0; i < 3; i++) {
        d->vq[i] = qvirtqueue_setup(d->vdev, &d->qs->alloc, i);
    }
    qvirtio_set_driver_ok(d->vdev);
    d->used_idx = 0;
}

Disk *disk_boot(const char *node, const char *props, uint16_t bs,
                const char *hba)
{
    const uint8_t test_unit_ready[6] = { 0 };
    Disk *d = g_new0(Disk, 1);
    g_autofree char *image = NULL;

    if (disks_are_images && strstr(node, "zoned.")) {
        const char *read_only = strstr(node, ",read-only=on");
        g_autofree char *zbd = NULL;

        d->image = image_new(node);
        zbd = image_node(d->image);
        node = image = g_strconcat(zbd, read_only, NULL);
    }
    d->qs = qtest_pc_boot("-nodefaults -blockdev node-name=zbd,%s "
                          "-device virtio-scsi-pci,id=hba,addr=4%s "
                          "-device scsi-hd,id=hd,drive=zbd%s",
                          node, hba, props);
    d->qts = d->qs->qts;
    d->bs = bs;
    d->mem = guest_alloc(&d->qs->alloc, MEM_SIZE);
    d->pci = virtio_pci_new(d->qs->pcibus, &(QPCIAddress) { .devfn = DEVFN });
    d->vdev = &d->pci->vdev;
    disk_start(d);
    /* Unit attention: power on */
    g_assert_cmphex(cmd_in(d, test_unit_ready, NULL, 0), ==, 0x62900);
    return d;
}

Disk *disk_new(const char *node, const char *props)
{
    return disk_boot(node, props, 512, "");
}

void disk_stop(Disk *d)
{
    int i;

    for (i = 0; i < 3; i++) {
        qvirtqueue_cleanup(d->vdev->bus, d->vq[i], &d->qs->alloc);
    }
}

void disk_free(Disk *d)
{
    disk_stop(d);
    qvirtio_pci_device_disable(d->pci);
    g_free(d->pci->pdev);
    g_free(d->pci);
    qtest_shutdown(d->qs);
    if (d->image) {
        image_free(d->image);
    }
    g_free(d);
}

/*
 * Commands
 */

/* The length of a command is told by the group of its opcode */
static size_t cdb_len(uint8_t opcode)
{
    static const uint8_t groups[] = { 6, 10, 10, 16, 16, 12, 16, 16 };

    return groups[opcode >> 5];
}

static void put_request(uint8_t *to, const uint8_t *cdb)
{
    memset(to, 0, sizeof(struct virtio_scsi_cmd_req));
    to[0] = 1;
    memcpy(to + offsetof(struct virtio_scsi_cmd_req, cdb), cdb,
           cdb_len(cdb[0]));
}

static uint32_t parse_response(Disk *d, const uint8_t *resp)
{
    const struct virtio_scsi_cmd_resp *r = (const void *)resp;

    d->resid = le32_to_cpu(r->resid);
    if (r->response != VIRTIO_SCSI_S_OK) {
        return 0x1000000 + r->response;
    }
    if (r->status == GOOD) {
        return 0;
    }
    if (r->status != CHECK_CONDITION) {
        return 0x2000000 + r->status;
    }
    g_assert_cmphex(r->sense[0], ==, 0x70);
    return r->sense[2] << 16 | r->sense[12] << 8 | r->sense[13];
}

void disk_wait(Disk *d, uint16_t nr)
{
    const gint64 start = g_get_monotonic_time();
    const uint16_t until = d->used_idx + nr;

    while (qtest_readw(d->qts, d->vq[REQUEST_QUEUE]->used + 2) != until) {
        qtest_clock_step(d->qts, 100);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
    d->used_idx = until;
}

unsigned int queue_cmd(Disk *d, unsigned int slot, unsigned int desc,
                       const uint8_t *cdb, uint64_t data,
                       size_t out_len, size_t in_len)
{
    QVirtQueue *vq = d->vq[REQUEST_QUEUE];
    uint8_t req[sizeof(struct virtio_scsi_cmd_req)];
    uint64_t at = d->mem + slot * 1024;

    put_request(req, cdb);
    qtest_bufwrite(d->qts, at, req, sizeof(req));
    qtest_memset(d->qts, at + MEM_RESP, 0xa5,
                 sizeof(struct virtio_scsi_cmd_resp));
    vq->free_head = desc;
    qvirtqueue_add(d->qts, vq, at, sizeof(req), false, true);
    if (out_len) {
        qvirtqueue_add(d->qts, vq, data, out_len, false, true);
    }
    qvirtqueue_add(d->qts, vq, at + MEM_RESP,
                   sizeof(struct virtio_scsi_cmd_resp), true, in_len);
    if (in_len) {
        qvirtqueue_add(d->qts, vq, data, in_len, true, false);
    }
    return vq->free_head;
}

uint32_t slot_result(Disk *d, unsigned int slot)
{
    uint8_t resp[sizeof(struct virtio_scsi_cmd_resp)];

    qtest_bufread(d->qts, d->mem + slot * 1024 + MEM_RESP, resp, sizeof(resp));
    return parse_response(d, resp);
}

uint32_t cmd(Disk *d, const uint8_t *cdb, const void *out,
             size_t out_len, void *in, size_t in_len)
{
    uint64_t data = d->mem + MEM_DATA;

    g_assert_cmpuint(MAX(in_len, out_len), <=, DATA_MAX);
    if (out_len) {
        qtest_bufwrite(d->qts, data, out, out_len);
    }
    if (in_len) {
        qtest_memset(d->qts, data, 0xa5, in_len);
    }
    queue_cmd(d, 0, 0, cdb, data, out_len, in_len);
    qvirtqueue_kick(d->qts, d->vdev, d->vq[REQUEST_QUEUE], 0);
    disk_wait(d, 1);
    if (in_len) {
        qtest_bufread(d->qts, data, in, in_len);
    }
    return slot_result(d, 0);
}

uint32_t cmd_in(Disk *d, const uint8_t *cdb, void *in, size_t len)
{
    return cmd(d, cdb, NULL, 0, in, len);
}

uint32_t inquiry(Disk *d, int page, uint8_t *buf, size_t len)
{
    uint8_t cdb[16] = { INQUIRY, page >= 0, MAX(page, 0), len >> 8, len };

    return cmd_in(d, cdb, buf, len);
}

void rw_cdb(uint8_t *cdb, uint8_t opcode, uint64_t lba, uint32_t n)
{
    memset(cdb, 0, 16);
    cdb[0] = opcode;
    switch (opcode >> 5) {
    case 0:
        cdb[1] = lba >> 16;
        cdb[2] = lba >> 8;
        cdb[3] = lba;
        cdb[4] = n;
        break;
    case 1:
    case 2:
        stl_be_p(&cdb[2], lba);
        stw_be_p(&cdb[7], n);
        break;
    case 5:
        stl_be_p(&cdb[2], lba);
        stl_be_p(&cdb[6], n);
        break;
    default:
        stq_be_p(&cdb[2], lba);
        stl_be_p(&cdb[10], n);
        break;
    }
}

uint32_t write_op(Disk *d, uint8_t opcode, uint64_t lba, uint32_t n,
                  uint8_t pattern)
{
    g_autofree uint8_t *buf = g_malloc(n * d->bs);
    uint8_t cdb[16];

    rw_cdb(cdb, opcode, lba, n);
    memset(buf, pattern, n * d->bs);
    return cmd(d, cdb, buf, n * d->bs, NULL, 0);
}

uint32_t do_write(Disk *d, uint64_t lba, uint32_t n)
{
    return write_op(d, WRITE_16, lba, n, 0x5a);
}

uint32_t read_op(Disk *d, uint8_t opcode, uint64_t lba, uint32_t n)
{
    g_autofree uint8_t *buf = g_malloc(n * d->bs);
    uint8_t cdb[16];

    rw_cdb(cdb, opcode, lba, n);
    return cmd_in(d, cdb, buf, n * d->bs);
}

uint32_t do_read(Disk *d, uint64_t lba, uint32_t n)
{
    return read_op(d, READ_16, lba, n);
}

void assert_data(Disk *d, uint64_t lba, uint32_t n, uint8_t pattern)
{
    g_autofree uint8_t *buf = g_malloc(n * d->bs);
    uint8_t cdb[16];
    size_t i;

    rw_cdb(cdb, READ_16, lba, n);
    g_assert_cmphex(cmd_in(d, cdb, buf, n * d->bs), ==, 0);
    for (i = 0; i < n * d->bs; i++) {
        g_assert_cmphex(buf[i], ==, pattern);
    }
}

uint32_t mgmt_ex(Disk *d, uint8_t action, uint64_t lba, bool all,
                 uint16_t count)
{
    uint8_t cdb[16] = { ZBC_OUT, action, [14] = all };

    stq_be_p(&cdb[2], lba);
    stw_be_p(&cdb[12], count);
    return cmd_in(d, cdb, NULL, 0);
}

uint32_t mgmt(Disk *d, uint8_t action, uint64_t lba)
{
    return mgmt_ex(d, action, lba, false, 0);
}

uint32_t mgmt_all(Disk *d, uint8_t action)
{
    return mgmt_ex(d, action, 0, true, 0);
}

uint32_t report_raw(Disk *d, uint64_t lba, uint8_t options,
                    uint32_t alloc, uint8_t *buf)
{
    uint8_t cdb[16] = { ZBC_IN, 0, [14] = options };

    stq_be_p(&cdb[2], lba);
    stl_be_p(&cdb[10], alloc);
    return cmd_in(d, cdb, buf, alloc);
}

Report parse_report(const uint8_t *buf, size_t len)
{
    Report r = {
        .nr = ldl_be_p(buf) / 64,
        .same = buf[4],
        .max_lba = ldq_be_p(&buf[8]),
        .granularity = ldq_be_p(&buf[16]),
    };
    size_t i, j;

    g_assert_cmpuint((uint32_t)ldl_be_p(buf) % 64, ==, 0);
    for (i = 24; i < 64; i++) {
        g_assert_cmphex(buf[i], ==, 0);
    }
    r.got = MIN(r.nr, len / 64 - 1);
    for (i = 0; i < r.got && i < ARRAY_SIZE(r.zones); i++) {
        const uint8_t *p = buf + 64 + 64 * i;

        r.zones[i] = (Zone) {
            .type = p[0],
            .cond = p[1] >> 4,
            .non_seq = p[1] & 2,
            .len = ldq_be_p(&p[8]),
            .start = ldq_be_p(&p[16]),
            .wp = ldq_be_p(&p[24]),
        };
        g_assert_cmphex(p[1] & 0xd, ==, 0);
        for (j = 2; j < 8; j++) {
            g_assert_cmphex(p[j], ==, 0);
        }
        for (j = 32; j < 64; j++) {
            g_assert_cmphex(p[j], ==, 0);
        }
    }
    return r;
}

Report report(Disk *d, uint64_t lba, uint8_t options, uint32_t room)
{
    size_t len = 64 + 64 * room;
    g_autofree uint8_t *buf = g_malloc(len);

    g_assert_cmphex(report_raw(d, lba, options, len, buf), ==, 0);
    return parse_report(buf, len);
}

Zone get_zone(Disk *d, unsigned int n)
{
    Report r = report(d, ZONE(n), PARTIAL, 1);

    g_assert_cmpuint(r.nr, ==, 1);
    return r.zones[0];
}

void assert_zone(Disk *d, unsigned int n, uint8_t cond, uint64_t wp)
{
    Zone z = get_zone(d, n);

    g_assert_cmpint(z.cond, ==, cond);
    if (cond != FULL) {
        g_assert_cmpuint(z.wp, ==, ZONE(n) + wp);
    }
}

void assert_nr(Disk *d, uint8_t option, uint32_t nr)
{
    g_assert_cmpuint(report(d, 0, option, 64).nr, ==, nr);
}

void make(Disk *d, unsigned int n, uint8_t cond, unsigned int written)
{
    if (written) {
        g_assert_cmphex(do_write(d, ZONE(n), written), ==, 0);
    }
    switch (cond) {
    case EOPEN:
        g_assert_cmphex(mgmt(d, OPEN, ZONE(n)), ==, 0);
        break;
    case CLOSED:
        g_assert_cmphex(mgmt(d, CLOSE, ZONE(n)), ==, 0);
        break;
    case FULL:
        g_assert_cmphex(mgmt(d, FINISH, ZONE(n)), ==, 0);
        break;
    default:
        break;
    }
    assert_zone(d, n, cond, written);
}

uint8_t *snapshot(Disk *d)
{
    uint8_t *buf = g_malloc(SNAPSHOT_SIZE);

    g_assert_cmphex(report_raw(d, 0, 0, SNAPSHOT_SIZE, buf), ==, 0);
    return buf;
}
