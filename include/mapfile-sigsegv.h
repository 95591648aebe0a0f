/*
 * mapfile-sigsegv.h - libmapfile in a program whose SIGSEGV belongs to libsigsegv.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This header belongs to libmapfile-sigsegv, which links libsigsegv. libsigsegv is under the GNU General Public
 * License, version 2 or later, and so is this library: a program linked with it comes under that licence. libmapfile
 * itself does not need it and is under the MIT licence.
 *
 * When is it needed? libmapfile takes SIGBUS, which is what a bad page of a file raises on Linux, by a handler of its
 * own; libsigsegv there hooks SIGSEGV only, so the two live side by side and nothing of this is needed. It is for
 * programs that also want access violations to be errors: a write to a read-only view (PROTECTED) and a touch of a view
 * that has been let go (RELEASED). MAPFILE_HANDLER_ACCESS would install a SIGSEGV handler over libsigsegv's, which is
 * lost when the program next gives libsigsegv a handler. Behind libsigsegv's handler libmapfile needs none of its own:
 * leave MAPFILE_HANDLER_ACCESS unset.
 *
 *     sigsegv_install_handler(mine);      becomes      mapfile_sigsegv_attach(mine);
 *
 * Its stack-overflow handler is libsigsegv's affair as before: installed before or after, it is called for overflows
 * also inside a scope.
 *
 * Where libsigsegv hooks SIGBUS too (the BSDs, the Hurd) bad pages are served by this way as well, with the status
 * UNKNOWN. Only Linux is tested.
 *
 * What differs from libmapfile's own handler
 *
 * - The fault record's access is MAPFILE_FAULT_UNKNOWN and its code 0: libsigsegv tells the address only.
 * - The processor's floating-point modes (rounding, traps) are the usual ones after a recovery, since libsigsegv leaves
 *   by a jump: a program that changes them sets them again.
 * - A SIGSEGV that a process sends carries no address; libsigsegv passes on what lies in its place. Only where that
 *   happens to be within a view that a scope covers is it mistaken for a fault.
 * - A handler of the program that runs on the alternate stack must not touch views: it would be taken for the code it
 *   interrupted.
 */
#ifndef MAPFILE_SIGSEGV_H
#define MAPFILE_SIGSEGV_H

#include <mapfile.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same type as libsigsegv's sigsegv_handler_t; declared here so that this header needs no other. */
typedef int (*mapfile_sigsegv_handler)(void *address, int serious);

/*
 * Put libmapfile's handler behind libsigsegv's, as its one global handler. handler, which may be NULL, is called for
 * faults that no scope takes, with what libsigsegv gives (first serious 0, then 1) and as it would be without
 * libmapfile: the same signals are blocked, and it may leave by sigsegv_leave_handler. libsigsegv forgets the handler
 * that was installed before, and does not tell it: hand it over here, or it is gone.
 *
 * May be called again, to change handler, or to come back after a call of sigsegv_install_handler or another library's
 * sigaction. Any thread, at any time; not from a handler. Other threads may be in scopes meanwhile.
 *
 * OK           attached.
 * UNSUPPORTED  libsigsegv cannot catch faults on this system.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_sigsegv_attach(mapfile_sigsegv_handler handler);

/*
 * Undo it: access violations in scopes are the program's again. Where libsigsegv had SIGSEGV before the first attach,
 * it keeps it, with the handler that was given to the last attach, or none. Elsewhere what was there before libsigsegv
 * is put back, unless the program has installed a stack-overflow handler since: then libsigsegv keeps SIGSEGV.
 *
 * OK       detached.
 * INVALID  not attached.
 * CHANGED  detached; another library has installed a SIGSEGV handler over libsigsegv's since. Nothing of that was
 *          touched: faults that it hands on to libsigsegv go to the handler given to attach.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_sigsegv_detach(void);

#ifdef __cplusplus
}
#endif

#endif
