dnl libmapfile's own tests of the system.
dnl SPDX-License-Identifier: MIT

dnl MF_TRY_LINK_FLAG(FLAG, IF-TAKEN, IF-NOT): does the linker take FLAG for a shared library?
AC_DEFUN([MF_TRY_LINK_FLAG],
[mf_saved_CFLAGS=$CFLAGS
mf_saved_LDFLAGS=$LDFLAGS
CFLAGS="$CFLAGS -fPIC"
LDFLAGS="$LDFLAGS -shared $1"
AC_LINK_IFELSE([AC_LANG_SOURCE([[int mapfile_probe(void); int mapfile_probe(void) { return 0; }]])],
  [mf_taken=yes], [mf_taken=no])
CFLAGS=$mf_saved_CFLAGS
LDFLAGS=$mf_saved_LDFLAGS
AS_IF([test "$mf_taken" = yes], [$2], [$3])])

dnl MF_LINK_FLAGS(VARIABLE, FLAGS): put those FLAGS that the linker takes into VARIABLE.
AC_DEFUN([MF_LINK_FLAGS],
[$1=
for mf_flag in $2; do
  AC_MSG_CHECKING([whether the linker takes $mf_flag])
  MF_TRY_LINK_FLAG([$mf_flag], [$1="$$1 $mf_flag"])
  AC_MSG_RESULT([$mf_taken])
done
AC_SUBST([$1])])

dnl MF_COMPILE_FLAGS(VARIABLE, FLAGS): put those FLAGS that the compiler takes into VARIABLE.
AC_DEFUN([MF_COMPILE_FLAGS],
[$1=
for mf_flag in $2; do
  AC_MSG_CHECKING([whether the compiler takes $mf_flag])
  mf_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $mf_flag"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [mf_taken=yes], [mf_taken=no])
  CFLAGS=$mf_saved_CFLAGS
  AC_MSG_RESULT([$mf_taken])
  AS_IF([test "$mf_taken" = yes], [$1="$$1 $mf_flag"])
done
AC_SUBST([$1])])

dnl MF_WARNINGS: the warnings the code is written for, as errors only with --enable-werror: a compiler of another year
dnl must not fail a user's build.
AC_DEFUN([MF_WARNINGS],
[MF_COMPILE_FLAGS([MF_WARNING_CFLAGS], [-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes])
AC_ARG_ENABLE([werror],
  [AS_HELP_STRING([--enable-werror], [take warnings for errors (for work on libmapfile itself)])],
  [], [enable_werror=no])
AS_IF([test "x$enable_werror" != xno], [MF_WARNING_CFLAGS="$MF_WARNING_CFLAGS -Werror"])
MF_WARNING_CXXFLAGS=`echo "$MF_WARNING_CFLAGS" | sed 's/ -Wstrict-prototypes//'`
AC_SUBST([MF_WARNING_CXXFLAGS])])

dnl MF_ATOMIC: where the processor has no atomic access to 64 bits, it is in a library of the compiler's.
AC_DEFUN([MF_ATOMIC],
[AC_MSG_CHECKING([for the library of atomics of 64 bits])
mf_saved_LIBS=$LIBS
mf_atomic="not found"
for mf_library in "" -latomic; do
  LIBS="$mf_library $mf_saved_LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[
      #include <stdatomic.h>
      #include <stdint.h>
      static _Atomic(uint64_t) count;]], [[
      return atomic_fetch_add(&count, 1) != 0 || !atomic_compare_exchange_strong(&count, &(uint64_t){1}, 2);]])],
    [mf_atomic=${mf_library:-none needed}
     break])
done
AS_IF([test "$mf_atomic" = "not found"], [LIBS=$mf_saved_LIBS])
AC_MSG_RESULT([$mf_atomic])])

dnl MF_PTHREAD: PTHREAD_CFLAGS, for compiling and linking.
AC_DEFUN([MF_PTHREAD],
[AC_MSG_CHECKING([for POSIX threads])
mf_saved_CFLAGS=$CFLAGS
mf_pthread=no
for mf_flag in -pthread -lpthread ""; do
  CFLAGS="$mf_saved_CFLAGS $mf_flag"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[
      #include <pthread.h>
      static void *run(void *argument) { return argument; }]], [[
      pthread_t thread;
      return pthread_create(&thread, 0, run, 0) || pthread_join(thread, 0);]])],
    [mf_pthread=yes
     PTHREAD_CFLAGS=$mf_flag
     break])
done
CFLAGS=$mf_saved_CFLAGS
AC_MSG_RESULT([$mf_pthread])
AS_IF([test "$mf_pthread" = no], [AC_MSG_ERROR([POSIX threads are needed])])
AC_SUBST([PTHREAD_CFLAGS])])

dnl MF_CHECK_TLS_MODEL: MF_TLS_MODEL, the attribute for the thread-local variables that the fault handler reads. A
dnl handler must not allocate, and the general model may, at a thread's first access, on glibc: there the initial-exec
dnl model is safe, and a library loaded by dlopen finds room in the static block's surplus. musl refuses that in dlopen,
dnl but allocates every thread's variables when the library is loaded: there the compiler's own choice is right.
AC_DEFUN([MF_CHECK_TLS_MODEL],
[AC_CACHE_CHECK([for the model of thread-local variables], [mf_cv_tls_model],
  [mf_cv_tls_model=default
   mf_saved_CFLAGS=$CFLAGS
   mf_saved_LDFLAGS=$LDFLAGS
   CFLAGS="$CFLAGS -fPIC -Werror"
   LDFLAGS="$LDFLAGS -shared"
   AC_LINK_IFELSE([AC_LANG_SOURCE([[
       #include <limits.h>
       #ifndef __GLIBC__
       #error another C library
       #endif
       static _Thread_local int mine __attribute__((tls_model("initial-exec")));
       int *mapfile_probe(void);
       int *mapfile_probe(void) { return &mine; }]])],
     [mf_cv_tls_model=initial-exec])
   CFLAGS=$mf_saved_CFLAGS
   LDFLAGS=$mf_saved_LDFLAGS])
AH_TEMPLATE([MF_TLS_MODEL], [The attribute of the thread-local variables that the fault handler reads.])
AS_IF([test "$mf_cv_tls_model" = initial-exec],
  [AC_DEFINE([MF_TLS_MODEL], [__attribute__((tls_model("initial-exec")))])
   AC_DEFINE([MF_TLS_INITIAL_EXEC], [1], [Define where that is the initial-exec model.])
   mf_tls_model="initial-exec"],
  [AC_DEFINE([MF_TLS_MODEL], [])
   mf_tls_model="the compiler's own model"])])

dnl MF_RECOVERY: how the handler leaves a fault.
AC_DEFUN([MF_RECOVERY],
[AC_ARG_WITH([recovery],
  [AS_HELP_STRING([--with-recovery=auto|pad|jump],
    [leave a fault by returning to a landing pad (Linux on x86-64 and aarch64), or by a jump from the handler (anywhere);
     auto: pad where it can be])],
  [], [with_recovery=auto])
AC_CACHE_CHECK([whether landing pads are known here], [mf_cv_landing_pad],
  [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
      #if !defined __linux__ || !((defined __x86_64__ && !defined __ILP32__) || defined __aarch64__)
      #error no
      #endif]], [])],
    [mf_cv_landing_pad=yes], [mf_cv_landing_pad=no])])
AS_CASE([$with_recovery,$mf_cv_landing_pad],
  [pad,no], [AC_MSG_ERROR([--with-recovery=pad: there is no landing pad for $host])],
  [auto,yes|pad,yes], [mf_recovery="landing pad"],
  [auto,no|jump,*], [mf_recovery="jump from the handler"
    AC_DEFINE([MF_RECOVERY_JUMP], [1], [Define to leave a fault by a jump from the handler.])],
  [AC_MSG_ERROR([--with-recovery=$with_recovery: it is auto, pad or jump])])])

dnl MF_VERSION_SCRIPT: keep all symbols but mapfile_* inside, by the linker's version script or by libtool.
AC_DEFUN([MF_VERSION_SCRIPT],
[AC_MSG_CHECKING([whether the linker takes a version script])
echo "PROBE_1 { global: mapfile_*; local: *; };" >conftest.map
MF_TRY_LINK_FLAG([-Wl,--version-script=conftest.map])
rm -f conftest.map
mf_version_script=$mf_taken
AC_MSG_RESULT([$mf_version_script])
AS_IF([test "$mf_version_script" = yes], [mf_symbols="a version script"], [mf_symbols="libtool's -export-symbols-regex"])])

dnl MF_DLOPEN: LIBDL, what a program that uses dlopen links with.
AC_DEFUN([MF_DLOPEN],
[mf_saved_LIBS=$LIBS
AC_SEARCH_LIBS([dlopen], [dl])
LIBS=$mf_saved_LIBS
AS_CASE([$ac_cv_search_dlopen], [-*], [LIBDL=$ac_cv_search_dlopen], [LIBDL=])
AC_SUBST([LIBDL])])

dnl MF_CXX: mf_have_cxx: can C++17 be compiled and linked?
AC_DEFUN([MF_CXX],
[AC_CACHE_CHECK([for C++17], [mf_cv_cxx],
  [AC_LANG_PUSH([C++])
   mf_saved_CXXFLAGS=$CXXFLAGS
   CXXFLAGS="$CXXFLAGS -std=c++17 $PTHREAD_CFLAGS"
   AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <thread>]], [[std::thread([] {}).join();]])],
     [mf_cv_cxx=yes], [mf_cv_cxx=no])
   CXXFLAGS=$mf_saved_CXXFLAGS
   AC_LANG_POP([C++])])
mf_have_cxx=$mf_cv_cxx])

dnl MF_BOOST: can a C++ program use Boost.Interprocess, which is headers only?
AC_DEFUN([MF_BOOST],
[AC_CACHE_CHECK([for Boost.Interprocess], [mf_cv_boost],
  [AC_LANG_PUSH([C++])
   AC_LINK_IFELSE([AC_LANG_PROGRAM([[
       #include <boost/interprocess/file_mapping.hpp>
       #include <boost/interprocess/mapped_region.hpp>]], [[
       boost::interprocess::file_mapping file("name", boost::interprocess::read_only);
       boost::interprocess::mapped_region region(file, boost::interprocess::read_only);
       return region.get_size() == 0;]])],
     [mf_cv_boost=yes], [mf_cv_boost=no])
   AC_LANG_POP([C++])])
mf_have_boost=$mf_cv_boost])

dnl MF_WIN32: what is only to be known on Windows: is a frame of structured exception handling written with __try?
AC_DEFUN([MF_WIN32],
[dnl A library's own variables lie near its code.
MF_COMPILE_FLAGS([MF_CFLAGS], [-fms-extensions -mcmodel=small])
AC_MSG_CHECKING([for __try])
mf_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS $MF_CFLAGS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[
    #include <windows.h>
    static int touch(volatile int *at) { return *at; }]], [[
    __try {
      return touch(0);
    } __except (GetExceptionInformation() != 0 ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
      return 0;
    }]])],
  [mf_recovery="frames by __try, else a vectored handler"
   AC_DEFINE([MF_HAVE_TRY], [1], [Define where the compiler has __try.])],
  [mf_recovery="frames by assembly where the processor has tables of them, else a vectored handler"])
CFLAGS=$mf_saved_CFLAGS
AC_MSG_RESULT([$mf_recovery])
mf_tls_model="slots of the system"
mf_symbols="declspec(dllexport)"
MF_LDFLAGS=
AC_SUBST([MF_LDFLAGS])])
