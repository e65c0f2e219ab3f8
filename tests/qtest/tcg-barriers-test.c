/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With one thread for all processors, TCG keeps the guest's memory barriers
 *
 * A device may be served by another thread. Whether a barrier is there cannot
 * be told by what happens to memory, which depends on the host and on luck, so
 * this looks at the operations that TCG makes of a few instructions.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"

/* Offsets in firmware of 64 KiB, which ends where the first 4 GiB do */
#define CODE            0xff80
#define RESET_VECTOR    0xfff0

static const uint8_t jump_to_code[] = { 0xeb, 0x8e };
static const uint8_t reset_code[] = {
    0xb0, 0xfe,                                         /* mov $0xfe,%al */
    0xe6, 0x64,                                         /* out %al,$0x64 */
    0xf4,                                               /* hlt */
};

static const struct {
    const char *name;
    uint8_t code[6];
    size_t len;
} insns[] = {
    { "mfence", { 0x0f, 0xae, 0xf0 }, 3 },
    { "lock addb $0,(0)", { 0xf0, 0x80, 0x06, 0x00, 0x00, 0x00 }, 6 },
    { "xchg %al,(0)", { 0x86, 0x06, 0x00, 0x00 }, 4 },
    { "lock cmpxchg %cl,(0)", { 0xf0, 0x0f, 0xb0, 0x0e, 0x00, 0x00 }, 6 },
};

static char *make_firmware(void)
{
    g_autofree uint8_t *rom = g_malloc0(64 * KiB);
    uint8_t *code = rom + CODE;
    g_autoptr(GError) err = NULL;
    char *path;
    size_t i;
    int fd;

    for (i = 0; i < ARRAY_SIZE(insns); i++) {
        memcpy(code, insns[i].code, insns[i].len);
        code += insns[i].len;
    }
    memcpy(code, reset_code, sizeof(reset_code));
    memcpy(rom + RESET_VECTOR, jump_to_code, sizeof(jump_to_code));

    fd = g_file_open_tmp("qtest-barriers-XXXXXX", &path, &err);
    g_assert_no_error(err);
    g_assert_cmpint(write(fd, rom, 64 * KiB), ==, 64 * KiB);
    close(fd);
    return path;
}

/*
 * Run the firmware. Returns what TCG logged of it. The firmware must not end
 * before events are told, hence -S.
 */
static char *run_firmware(void)
{
    g_autofree char *firmware = make_firmware();
    g_autofree char *log = g_strconcat(firmware, ".log", NULL);
    g_autoptr(GError) err = NULL;
    char *ops;
    QTestState *qts;

    qts = qtest_initf("-S -accel tcg,thread=single -smp 2 -cpu qemu64 -m 16 "
                      "-machine pc -nic none -vga none -bios %s "
                      "-action reboot=shutdown,shutdown=pause -d op -D %s",
                      firmware, log);
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
    qtest_qmp_eventwait(qts, "SHUTDOWN");
    qtest_quit(qts);

    g_file_get_contents(log, &ops, NULL, &err);
    g_assert_no_error(err);
    unlink(log);
    unlink(firmware);
    return ops;
}

static void test_barriers(void)
{
    g_autofree char *ops = run_firmware();
    g_auto(GStrv) parts = g_strsplit(ops, "\n ---- ", 0);
    size_t i;

    /* Before the first part: what a block begins with; in it: the jump */
    g_assert_cmpint(g_strv_length(parts), >, 2 + ARRAY_SIZE(insns));
    for (i = 0; i < ARRAY_SIZE(insns); i++) {
        const char *store = g_strrstr(parts[2 + i], "\n qemu_st");
        const char *rest = store ?: parts[2 + i];

        g_test_message("%s", insns[i].name);
        g_assert_nonnull(strstr(rest, "\n mb "));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/tcg/barriers/one-thread", test_barriers);
    return g_test_run();
}
