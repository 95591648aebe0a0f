# shellcheck shell=bash disable=SC2034
# The stages of scripts/check for other processors: Debian's cross compilers build, and qemu's emulation of single
# programs runs the tests, each a program that the kernel starts like any other. scripts/stages.sh sources this.
# SPDX-License-Identifier: MIT

# The compilers by their version: the packages without one are in the way of gcc-12-multilib.
FOREIGN_PACKAGES=(qemu-user-static
  gcc-12-aarch64-linux-gnu libc6-dev-arm64-cross
  gcc-12-arm-linux-gnueabihf libc6-dev-armhf-cross
  gcc-12-s390x-linux-gnu libc6-dev-s390x-cross
  gcc-12-powerpc64le-linux-gnu libc6-dev-ppc64el-cross)

# enter_foreign QEMU HEADER PROGRAM: from here on programs like PROGRAM can be started. Where the kernel does not know
# how, it learns it in a user namespace of our own, so that nothing outside is changed. HEADER is elf_header's.
enter_foreign() {
  local qemu=$1 header=$2 program=$3
  ! "$program" 2>/dev/null || return 0
  [ -z "${MF_FOREIGN:-}" ] || skip "the kernel does not start programs through $qemu"
  export MF_FOREIGN=yes
  unshare --user --map-root-user --mount mount -t binfmt_misc none /proc/sys/fs/binfmt_misc ||
    skip "programs for another processor cannot be started here: no binfmt_misc in a user namespace"
  trap - EXIT
  # shellcheck disable=SC2016 # the inner shell fills these in
  exec unshare --user --map-root-user --mount --propagation private bash -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && printf "%s" "$1" >/proc/sys/fs/binfmt_misc/register
    exec bash "$2" --stage "$3"' enter ":foreign:M::$header:$qemu:POCF" "$TOP/scripts/check" "$STAGE"
}

# elf_header CLASS ORDER MACHINE: how programs for a processor begin, and which bits of that count. 01 is 32 bits or
# little-endian, 02 is 64 bits or big-endian.
elf_header() {
  local zeros='\x00\x00\x00\x00\x00\x00\x00\x00' ones='\xff\xff\xff\xff\xff\xff\xff\xff'
  local kind="\\x02\\x00\\x$3\\x00" mask='\xfe\xff\xff\xff'
  [ "$2" = 01 ] || kind="\\x00\\x02\\x00\\x$3" mask='\xff\xfe\xff\xff'
  printf '%s:%s\n' "\\x7fELF\\x$1\\x$2\\x01\\x00$zeros$kind" "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00$ones$mask"
}

# check_foreign ARCHITECTURE TRIPLET QEMU HEADER: build for a processor, and make check. ARCHITECTURE is Debian's name.
check_foreign() {
  local architecture=$1 triplet=$2 qemu=qemu-$3-static header=$4 bad=0
  need_commands "$triplet-gcc-12" "$qemu"
  # Where the C library of those programs is.
  export QEMU_LD_PREFIX=/usr/$triplet
  echo 'int main(void) { return 0; }' >"$TMPDIR/empty.c"
  "$triplet-gcc-12" -o "$TMPDIR/empty" "$TMPDIR/empty.c"
  enter_foreign "$(command -v "$qemu")" "$header" "$TMPDIR/empty"
  check_for "$architecture" "$triplet"
  # With Check the cases of the conformance program run under it: it need not be built as well.
  [ ${#check_variables[@]} = 0 ] || export MAKEFLAGS=bin_PROGRAMS=
  build_in "$STAGE" --host="$triplet" CC="$triplet-gcc-12" CFLAGS=-O2 CXX=no PKG_CONFIG=false "${check_variables[@]}"
  borrow_faultfs "$STAGE"
  "$triplet-gcc-12" -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Werror -O2 -fPIC -shared \
    -o mend-qemu.so "$SOURCE/tests/emulated/qemu.c"
  export QEMU_SET_ENV=LD_PRELOAD=$PWD/mend-qemu.so MAPFILE_TEST_EMULATOR=qemu
  slow_tests 20
  make_check || bad=1
  if [ ${#check_variables[@]} = 0 ]; then
    export MAPFILE_TEST_LIBRARY=$PWD/.libs/libmapfile.so.0 MAPFILE_TEST_LOADER=$PWD/tests/hosts/dlopen
    run_tap conformance ./mapfile-conformance --tap "$TMPDIR" || bad=1
  fi
  return $bad
}

# qemu hands a signal's context over without what tells a read from a write. The tests take MAPFILE_FAULT_UNKNOWN then.
access_is_not_told() {
  note_skip "whether a fault was a read or a write" "qemu does not tell"
  count 0 0 1
}

stage_aarch64() {
  check_foreign arm64 aarch64-linux-gnu aarch64 "$(elf_header 02 01 b7)"
  access_is_not_told
}

# 32 bits. qemu gives a SIGBUS the emulator's own address of the page: 4 GiB further on its lower half is the program's.
stage_armhf() {
  export QEMU_GUEST_BASE=0x100000000
  check_foreign armhf arm-linux-gnueabihf arm "$(elf_header 01 01 28)"
  access_is_not_told
}

# Big-endian. A fault's address is that of its page, and whether it was a write the processor does not tell.
stage_s390x() {
  check_foreign s390x s390x-linux-gnu s390x "$(elf_header 02 02 16)"
}

# Pages of 64 KiB.
stage_ppc64le() {
  export QEMU_PAGESIZE=65536
  check_foreign ppc64el powerpc64le-linux-gnu ppc64le "$(elf_header 02 01 15)"
  access_is_not_told
}
