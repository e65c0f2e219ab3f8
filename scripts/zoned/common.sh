# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the scripts beside this file share. Sourced with $root set to the
# repository's top directory.
# shellcheck shell=sh

# shellcheck disable=SC2154
tree=$root/qemu
# Used by those who source this
# shellcheck disable=SC2034
cache=$root/.cache
state=$tree/.git/zoned

say()
{
    printf '%s\n' "$*" >&2
}

die()
{
    say "${0##*/}: $*"
    exit 1
}

# base_field KEY: the value of KEY in BASE
base_field()
{
    sed -n "s/^$1: *//p" "$root/BASE"
}

# sgit ARG...: git for scripts: no user's or system's configuration, so that
# hashes and patches come out alike on every machine.
sgit()
{
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \
    GIT_COMMITTER_NAME='zoned tree' GIT_COMMITTER_EMAIL='zoned@localhost' \
    GIT_AUTHOR_NAME='zoned tree' GIT_AUTHOR_EMAIL='zoned@localhost' \
        git -c core.quotePath=false -c gc.auto=0 -c core.abbrev=12 "$@"
}

# qgit ARG...: the same in the assembled tree
qgit()
{
    sgit -C "$tree" "$@"
}

# series: the names in patches/series
series()
{
    [ ! -f "$root/patches/series" ] || grep -v '^#' "$root/patches/series"
}

# patches_sum: a sum that changes with patches/
patches_sum()
{
    series | while read -r name; do
        echo "$name"
        cat "$root/patches/$name"
    done | sha256sum
}

# require_tree: stop unless the tree has been assembled
require_tree()
{
    [ -d "$state" ] || die "qemu/ is not assembled: run make (or ./configure)"
}

# require_clean_tree WHY: stop when qemu/ holds uncommitted work
require_clean_tree()
{
    for busy in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD; do
        if [ -e "$tree/.git/$busy" ]; then
            die "$1, but a rebase, merge or am is going on in qemu/:" \
                "finish or abort it first"
        fi
    done
    changed=$(qgit status --porcelain --untracked-files=all)
    if [ -n "$changed" ]; then
        say "$changed"
        die "$1, but qemu/ has uncommitted work (above): commit it in" \
            "qemu/ or stash it (git -C qemu stash -u); a new file belongs" \
            "at the repository's root, at the same path"
    fi
}
