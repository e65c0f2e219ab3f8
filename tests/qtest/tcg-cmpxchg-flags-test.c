/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CMPXCHG8B and CMPXCHG16B change ZF and no other flag
 *
 * TCG computes flags lazily. A boot sector leaves the flags of a comparison
 * pending, lets the instruction run, and stores the flags that it then sees.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"

#define RESULTS     0x7e00
#define DONE        0x7e20
#define DONE_VALUE  0xbeef

/* Of 'cmp $0x400,%esi' with 1 in %esi: CF and SF, and bit 1 is always set */
#define FLAGS_OF_CMP    0x0083
#define FLAG_ZF         0x0040

/* Where the code enters long mode, and where its descriptors are */
#define BOOT_ADDRESS    0x7c00
#define LONG_MODE       (0x7cf4 - BOOT_ADDRESS)
#define DESCRIPTORS     (0x7d80 - BOOT_ADDRESS)

#define EMIT(code, ...)                                                     \
    g_byte_array_append(code, (const uint8_t[]) { __VA_ARGS__ },            \
                        sizeof((const uint8_t[]) { __VA_ARGS__ }))

/*
 * POPF makes the flags a plain value that TCG keeps as such; the comparison
 * then has TCG note its operands. Flags that were computed from the old note
 * and the new operands would show 0x400, the direction flag.
 */
static void emit_compare16(GByteArray *code, uint8_t eax)
{
    EMIT(code, 0x6a, 0x02);                             /* push $0x2 */
    EMIT(code, 0x9d);                                   /* popf */
    EMIT(code, 0x66, 0xb8, eax, 0x00, 0x00, 0x00);      /* mov $eax,%eax */
    EMIT(code, 0x66, 0xbe, 0x01, 0x00, 0x00, 0x00);     /* mov $0x1,%esi */
    EMIT(code, 0x66, 0x81, 0xfe,                        /* cmp $0x400,%esi */
         0x00, 0x04, 0x00, 0x00);
}

static void emit_compare64(GByteArray *code, uint8_t eax)
{
    EMIT(code, 0x6a, 0x02);                             /* push $0x2 */
    EMIT(code, 0x9d);                                   /* popf */
    EMIT(code, 0xb8, eax, 0x00, 0x00, 0x00);            /* mov $eax,%eax */
    EMIT(code, 0xbe, 0x01, 0x00, 0x00, 0x00);           /* mov $0x1,%esi */
    EMIT(code, 0x81, 0xfe, 0x00, 0x04, 0x00, 0x00);     /* cmp $0x400,%esi */
}

/* Store the flags as result number nr. */
static void emit_store16(GByteArray *code, int nr)
{
    EMIT(code, 0x9c);                               /* pushf */
    EMIT(code, 0x58);                               /* pop %ax */
    EMIT(code, 0xa3, 2 * nr, 0x7e);                 /* mov %ax,0x7e00+2*nr */
}

static void emit_store64(GByteArray *code, int nr)
{
    EMIT(code, 0x9c);                               /* pushf */
    EMIT(code, 0x58);                               /* pop %rax */
    EMIT(code, 0x66, 0x89, 0x47, 256 + 2 * nr - 16); /* mov ...,2*nr-16(%rdi) */
}

/* The operand, 16 zero bytes at 0x7e10, follows the results. */
static void emit_real_mode(GByteArray *code)
{
    EMIT(code, 0xfa);                               /* cli */
    EMIT(code, 0x31, 0xc0);                         /* xor %ax,%ax */
    EMIT(code, 0x8e, 0xd8);                         /* mov %ax,%ds */
    EMIT(code, 0x8e, 0xc0);                         /* mov %ax,%es */
    EMIT(code, 0x8e, 0xd0);                         /* mov %ax,%ss */
    EMIT(code, 0xbc, 0x00, 0x70);                   /* mov $0x7000,%sp */
    EMIT(code, 0x66, 0x31, 0xd2);                   /* xor %edx,%edx */
    EMIT(code, 0x66, 0x31, 0xdb);                   /* xor %ebx,%ebx */
    EMIT(code, 0x66, 0x31, 0xc9);                   /* xor %ecx,%ecx */
    EMIT(code, 0xbf, 0x10, 0x7e);                   /* mov $0x7e10,%di */
    EMIT(code, 0x66, 0x31, 0xc0);                   /* xor %eax,%eax */
    EMIT(code, 0xb9, 0x04, 0x00);                   /* mov $0x4,%cx */
    EMIT(code, 0xfc);                               /* cld */
    EMIT(code, 0x66, 0xf3, 0xab);                   /* rep stosl */
    EMIT(code, 0xbf, 0x10, 0x7e);                   /* mov $0x7e10,%di */

    emit_compare16(code, 0);
    EMIT(code, 0x0f, 0xc7, 0x0d);                   /* cmpxchg8b (%di) */
    emit_store16(code, 0);
    emit_compare16(code, 0);
    EMIT(code, 0xf0, 0x0f, 0xc7, 0x0d);             /* lock cmpxchg8b (%di) */
    emit_store16(code, 1);
    emit_compare16(code, 9);
    EMIT(code, 0x0f, 0xc7, 0x0d);                   /* cmpxchg8b (%di) */
    emit_store16(code, 2);
    emit_compare16(code, 9);
    EMIT(code, 0xf0, 0x0f, 0xc7, 0x0d);             /* lock cmpxchg8b (%di) */
    emit_store16(code, 3);
}

/* To long mode, with one identity-mapped page of 2 MiB */
static void emit_mode_switch(GByteArray *code)
{
    EMIT(code, 0x66, 0x31, 0xc0);                   /* xor %eax,%eax */
    EMIT(code, 0xbf, 0x00, 0x10);                   /* mov $0x1000,%di */
    EMIT(code, 0xb9, 0x00, 0x0c);                   /* mov $0xc00,%cx */
    EMIT(code, 0x66, 0xf3, 0xab);                   /* rep stosl */
    EMIT(code, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20); /* movw $0x2003,0x1000 */
    EMIT(code, 0xc7, 0x06, 0x00, 0x20, 0x03, 0x30); /* movw $0x3003,0x2000 */
    EMIT(code, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00); /* movw $0x83,0x3000 */
    EMIT(code, 0x66, 0xb8, 0x20, 0x00, 0x00, 0x00); /* mov $0x20,%eax */
    EMIT(code, 0x0f, 0x22, 0xe0);                   /* mov %eax,%cr4 */
    EMIT(code, 0x66, 0xb8, 0x00, 0x10, 0x00, 0x00); /* mov $0x1000,%eax */
    EMIT(code, 0x0f, 0x22, 0xd8);                   /* mov %eax,%cr3 */
    EMIT(code, 0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0); /* mov $0xc0000080,%ecx */
    EMIT(code, 0x66, 0xb8, 0x00, 0x01, 0x00, 0x00); /* mov $0x100,%eax */
    EMIT(code, 0x66, 0x31, 0xd2);                   /* xor %edx,%edx */
    EMIT(code, 0x0f, 0x30);                         /* wrmsr */
    EMIT(code, 0x66, 0x0f, 0x01, 0x16, 0x90, 0x7d); /* lgdtl 0x7d90 */
    EMIT(code, 0x66, 0xb8, 0x11, 0x00, 0x00, 0x80); /* mov $0x80000011,%eax */
    EMIT(code, 0x0f, 0x22, 0xc0);                   /* mov %eax,%cr0 */
    EMIT(code, 0xea, 0xf4, 0x7c, 0x08, 0x00);       /* ljmp $0x8,$0x7cf4 */
}

static void emit_long_mode(GByteArray *code)
{
    EMIT(code, 0xbf, 0x10, 0x7e, 0x00, 0x00);       /* mov $0x7e10,%edi */
    EMIT(code, 0x31, 0xc9);                         /* xor %ecx,%ecx */
    EMIT(code, 0x31, 0xd2);                         /* xor %edx,%edx */

    emit_compare64(code, 0);
    EMIT(code, 0x48, 0x0f, 0xc7, 0x0f);             /* cmpxchg16b (%rdi) */
    emit_store64(code, 4);
    emit_compare64(code, 0);
    EMIT(code, 0xf0, 0x48, 0x0f, 0xc7, 0x0f);       /* lock cmpxchg16b ... */
    emit_store64(code, 5);
    emit_compare64(code, 9);
    EMIT(code, 0x48, 0x0f, 0xc7, 0x0f);             /* cmpxchg16b (%rdi) */
    emit_store64(code, 6);
    emit_compare64(code, 9);
    EMIT(code, 0xf0, 0x48, 0x0f, 0xc7, 0x0f);       /* lock cmpxchg16b ... */
    emit_store64(code, 7);

    EMIT(code, 0x66, 0xc7, 0x47, 0x10, 0xef, 0xbe); /* movw $0xbeef,0x7e20 */
    EMIT(code, 0xf4);                               /* hlt */
    EMIT(code, 0xeb, 0xfd);                         /* jmp to hlt */
    EMIT(code, 0x0f, 0x1f, 0x40, 0x00);             /* nopl */
}

/* None, 64-bit code; then what lgdt loads */
static void emit_descriptors(GByteArray *code)
{
    EMIT(code, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00);
    EMIT(code, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x20, 0x00);
    EMIT(code, 0x0f, 0x00, 0x80, 0x7d, 0x00, 0x00);
}

static GByteArray *make_boot_sector(void)
{
    GByteArray *code = g_byte_array_new();

    emit_real_mode(code);
    emit_mode_switch(code);
    g_assert_cmphex(code->len, ==, LONG_MODE);
    emit_long_mode(code);
    g_assert_cmphex(code->len, ==, DESCRIPTORS);
    emit_descriptors(code);
    g_assert_cmpint(code->len, <=, 510);
    return code;
}

/* In the order of the results: an equal operand sets ZF, another clears it */
static const struct {
    const char *insn;
    bool equal;
} insns[] = {
    { "cmpxchg8b", true },
    { "lock cmpxchg8b", true },
    { "cmpxchg8b", false },
    { "lock cmpxchg8b", false },
    { "cmpxchg16b", true },
    { "lock cmpxchg16b", true },
    { "cmpxchg16b", false },
    { "lock cmpxchg16b", false },
};

static char *make_disk(void)
{
    /* SeaBIOS wants more of a hard disk than one sector */
    g_autofree uint8_t *disk = g_malloc0(512 * KiB);
    g_autoptr(GByteArray) code = make_boot_sector();
    g_autoptr(GError) err = NULL;
    char *path;
    int fd;

    memcpy(disk, code->data, code->len);
    disk[510] = 0x55;
    disk[511] = 0xaa;

    fd = g_file_open_tmp("qtest-cmpxchg-XXXXXX", &path, &err);
    g_assert_no_error(err);
    g_assert_cmpint(write(fd, disk, 512 * KiB), ==, 512 * KiB);
    close(fd);
    return path;
}

static void wait_until_done(QTestState *qts)
{
    int tenths;

    for (tenths = 0; tenths < 600; tenths++) {
        if (qtest_readw(qts, DONE) == DONE_VALUE) {
            return;
        }
        g_usleep(G_USEC_PER_SEC / 10);
    }
    g_test_message("the boot sector did not come to its end");
    g_assert_not_reached();
}

/*
 * With one processor a LOCK prefix makes no difference to TCG; with two it
 * takes the helpers that are atomic.
 */
static void test_flags(const void *data)
{
    int cpus = GPOINTER_TO_INT(data);
    g_autofree char *disk = make_disk();
    QTestState *qts;
    size_t i;

    qts = qtest_initf("-accel tcg,thread=%s -smp %d -cpu qemu64 -m 16 "
                      "-machine pc -nic none -vga none -drive "
                      "file=%s,format=raw,if=ide,snapshot=on",
                      cpus > 1 ? "multi" : "single", cpus, disk);
    wait_until_done(qts);
    for (i = 0; i < ARRAY_SIZE(insns); i++) {
        uint16_t flags = qtest_readw(qts, RESULTS + 2 * i);
        uint16_t expected = FLAGS_OF_CMP;

        if (insns[i].equal) {
            expected |= FLAG_ZF;
        }
        g_test_message("%s, %s: flags 0x%04x", insns[i].insn,
                       insns[i].equal ? "equal" : "not equal", flags);
        g_assert_cmphex(flags, ==, expected);
    }
    qtest_quit(qts);
    unlink(disk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/tcg/cmpxchg-flags/one-cpu", GINT_TO_POINTER(1),
                        test_flags);
    qtest_add_data_func("/tcg/cmpxchg-flags/two-cpus", GINT_TO_POINTER(2),
                        test_flags);
    return g_test_run();
}
