/*
 * mapfile.h - files as memory, without the price that mmap usually has.
 *
 * SPDX-License-Identifier: MIT
 *
 * In ten lines:
 *
 *     mapfile *file;
 *     mapfile_view view = MAPFILE_VIEW_INIT;
 *     mapfile_fault fault = MAPFILE_FAULT_INIT;
 *
 *     if (mapfile_open("log", NULL, &file) != MAPFILE_OK) ...
 *     if (mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view) != MAPFILE_OK) ...
 *     if (mapfile_try(file, &view, read_it, view.data, &fault) != MAPFILE_OK)
 *         report(mapfile_strerror(mapfile_fault_explain(&fault)), fault.offset);
 *     mapfile_unpin(&view);
 *     mapfile_close(file);
 *
 * Rules that hold for every call here
 *
 * - Every call that can fail returns a mapfile_status; results go to out-parameters, which are left as they were when
 *   the call fails, unless the call says otherwise. mapfile_native_error() gives the system's own error.
 * - Offsets and sizes in files are uint64_t bytes, sizes in memory size_t bytes.
 * - Every call may be made from any thread, and one mapfile may be used by many threads at once. Only closing is
 *   exclusive: when mapfile_close is called, no other call on that mapfile may be running or come later.
 *   No call is a point at which a thread is cancelled (pthread_cancel), callbacks and guarded code excepted.
 * - No call may be made from a signal handler, except mapfile_handle_signal and mapfile_handle_address.
 * - A struct that the caller allocates begins with its own size, which its _INIT macro sets. Members named reserved
 *   must be zero, members named internal are the library's. Such a struct must not be copied or moved while in use.
 * - No call changes the signal mask (unless MAPFILE_HANDLER_UNBLOCK asks), the current directory or the file position
 *   of a borrowed descriptor (unless it is read as a stream).
 */
#ifndef MAPFILE_H
#define MAPFILE_H

#include <stddef.h>
#include <stdint.h>
#ifndef _WIN32
#include <setjmp.h>
#endif

#define MAPFILE_VERSION_MAJOR 0
#define MAPFILE_VERSION_MINOR 1
#define MAPFILE_VERSION_PATCH 0
#define MAPFILE_VERSION_NUMBER (MAPFILE_VERSION_MAJOR * 1000000 + MAPFILE_VERSION_MINOR * 1000 + MAPFILE_VERSION_PATCH)

/* MAPFILE_STATIC: define it before including this header to link the static library on Windows. The library itself is
   built with MAPFILE_BUILDING, and what goes into its DLL with DLL_EXPORT too, as libtool does. */
#if defined(_WIN32) && defined(MAPFILE_BUILDING) && defined(DLL_EXPORT)
#define MAPFILE_API __declspec(dllexport)
#elif defined(_WIN32) && !defined(MAPFILE_BUILDING) && !defined(MAPFILE_STATIC)
#define MAPFILE_API __declspec(dllimport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define MAPFILE_API __attribute__((visibility("default")))
#else
#define MAPFILE_API
#endif

#ifdef _WIN32
#define MAPFILE_CALL __cdecl
#else
#define MAPFILE_CALL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Status codes. Each has one meaning on every platform.
 */
typedef int32_t mapfile_status;

enum {
  /* Done. */
  MAPFILE_OK = 0,

  /* An argument is wrong, or the object is closed or already unpinned. A mistake in the program: mend the call. */
  MAPFILE_INVALID = 1,

  /* Memory for the library's own records or for a copied view could not be had. Free some and try again. */
  MAPFILE_NO_MEMORY = 2,

  /* No such file, or the bytes searched for are not there. */
  MAPFILE_NOT_FOUND = 3,

  /* The file is there already and MAPFILE_EXCLUSIVE was asked. */
  MAPFILE_EXISTS = 4,

  /* The system does not permit it: permissions, a read-only file system, a descriptor opened for less. */
  MAPFILE_DENIED = 5,

  /* Something is in use: views are pinned, or another process holds the file. Let go, then try again. */
  MAPFILE_BUSY = 6,

  /* A budget or a limit of the system is reached: address space, maps, descriptors, stream size. Unpin something, pin
     less, read with mapfile_read or walk with mapfile_scan. */
  MAPFILE_LIMIT = 7,

  /* It did not happen within the time allowed. No call of this version returns it. */
  MAPFILE_TIMEOUT = 8,

  /* This platform, file system or kind of file cannot do it. Trying again will not help. */
  MAPFILE_UNSUPPORTED = 9,

  /* It is not known. As the status of a fault: the page could not be reached, and the cause has not been looked for
     (mapfile_fault_explain does) or can no longer be told. */
  MAPFILE_UNKNOWN = 10,

  /* The work was given up because it was asked to stop. No call of this version returns it of its own accord. */
  MAPFILE_CANCELLED = 11,

  /* The range reaches past the end of the file. */
  MAPFILE_END = 12,

  /* The file became shorter than it was known to be, and the bytes asked for are gone. */
  MAPFILE_TRUNCATED = 13,

  /* The file was changed by someone else since the library last looked. The new state is now the known one where the
     call says so. */
  MAPFILE_CHANGED = 14,

  /* The device or the file system reported an error for these bytes. */
  MAPFILE_IO = 15,

  /* No space or quota is left for these bytes. */
  MAPFILE_NO_SPACE = 16,

  /* The memory that holds these bytes is broken (a hardware error). Never touch this page again. */
  MAPFILE_POISONED = 17,

  /* The access is not allowed: a write to a read-only view. Seen only with MAPFILE_HANDLER_ACCESS, or injected. */
  MAPFILE_PROTECTED = 18,

  /* The view has been let go and its memory is no longer mapped. Seen only with MAPFILE_HANDLER_ACCESS, or injected. */
  MAPFILE_RELEASED = 19,

  /* The mapfile was parked, and the name that it was opened by now means another file, or none, or the file system does
     not tell which. Close it, and open the name anew if the new file is wanted. */
  MAPFILE_STALE = 20
};

/* A short English sentence for a status, never NULL, for the life of the process. Any thread, also in a handler. */
MAPFILE_API const char *MAPFILE_CALL mapfile_strerror(mapfile_status status);

/* The system's error behind the last call on this thread that failed: errno on POSIX, GetLastError or an NTSTATUS on
   Windows; 0 where the library itself refused. As with errno, it means nothing after a call that succeeded. */
MAPFILE_API int64_t MAPFILE_CALL mapfile_native_error(void);

/* The version of the library that runs, as MAPFILE_VERSION_NUMBER. With text not NULL, *text is set to "1.2.3". */
MAPFILE_API uint32_t MAPFILE_CALL mapfile_version(const char **text);

/*
 * 1. Opening
 */

/* An open file and the way it is accessed. Opaque. */
typedef struct mapfile mapfile;

/* Flags of mapfile_options. */
enum {
  MAPFILE_WRITE = 1u << 0,     /* open for writing too; MAPFILE_SHARED pins need it */
  MAPFILE_CREATE = 1u << 1,    /* make the file where it is missing; implies MAPFILE_WRITE */
  MAPFILE_TRUNCATE = 1u << 2,  /* empty the file; needs MAPFILE_WRITE */
  MAPFILE_EXCLUSIVE = 1u << 3, /* with CREATE: EXISTS where there is a file */
  MAPFILE_IMMUTABLE = 1u << 4, /* the program vouches that nobody changes the file's bytes while it is open; nor does
                                  mapfile_write */
  MAPFILE_STREAM = 1u << 5,    /* read a pipe, or a file that states no size (/proc), into memory whole, waiting until
                                  its writers close it; a FIFO without a writer is empty */
  MAPFILE_ADOPT = 1u << 6,     /* mapfile_open_handle: the library owns and closes the descriptor, also on failure */
  MAPFILE_SEPARATE_CACHE = 1u << 7 /* maps of this file need not show what read and write do, or late (some network file
                                      systems): all but LIVE, SHARED and PRIVATE pins go through the file calls. So it
                                      is on OpenBSD, HP-UX and QNX without this flag. Not with MAPFILE_ACCESS_MAPPED */
};

/* How the bytes are had. */
enum {
  MAPFILE_ACCESS_AUTO = 0,   /* mapped where that works, else copied; on 32-bit hosts copied but for LIVE, SHARED and
                                PRIVATE pins and those too long to be copied */
  MAPFILE_ACCESS_MAPPED = 1, /* mapped; an ANY pin that cannot be mapped is still copied */
  MAPFILE_ACCESS_COPIED = 2  /* read into buffers; LIVE and SHARED pins are UNSUPPORTED */
};

/* Values of mapfile_options.share: what other programs may do with the file while this mapfile has it open. Windows
   alone can forbid; elsewhere everything but MAPFILE_SHARE_DEFAULT and all three together is UNSUPPORTED. */
enum {
  MAPFILE_SHARE_DEFAULT = 0, /* read, write, remove and rename it */
  MAPFILE_SHARE_READ = 1u << 0,
  MAPFILE_SHARE_WRITE = 1u << 1,
  MAPFILE_SHARE_DELETE = 1u << 2, /* remove or rename it */
  MAPFILE_SHARE_NONE = 1u << 3    /* nothing; alone */
};

/* mapfile_options.idle_ms: never park of its own accord. */
#define MAPFILE_IDLE_NEVER UINT32_MAX

typedef struct mapfile_options {
  uint32_t size;          /* sizeof(mapfile_options); a larger struct from a newer header is accepted while the
                             members this library does not know are zero, else UNSUPPORTED */
  uint32_t flags;         /* MAPFILE_WRITE ... */
  uint32_t access;        /* MAPFILE_ACCESS_... */
  uint32_t create_mode;   /* permission bits of a created file, before the umask; 0: 0666 (POSIX) */
  uint64_t map_bytes;     /* most address space that this mapfile's maps may take; 0: only the process's limit */
  uint64_t map_count;     /* most maps this mapfile may have; 0: only the process's limit */
  uint64_t reserve;       /* bytes of file to make room for in address space, so that a file that grows up to there
                             needs no new map; 0: a little more than the file */
  uint64_t stream_limit;  /* most bytes a stream may have; 0: 64 MiB. More is LIMIT */
  uint32_t idle_ms;       /* park the mapfile (group 7) once nothing of it has been pinned or read for so many
                             milliseconds; 0: 2000 on Windows, elsewhere never; MAPFILE_IDLE_NEVER */
  uint32_t share;         /* MAPFILE_SHARE_...; mapfile_open only */
  uint64_t cache_bytes;   /* most memory that windows of this mapfile may take, where it is read: 0: only the process's
                             limit */
  uint32_t revalidate_ms; /* how long a window may be used again without asking the system whether the file has
                             changed; 0: it is always asked, but for MAPFILE_IMMUTABLE. What mapfile_write has written
                             through this mapfile shows at once in any case */
  uint32_t window_bytes;  /* a hint: how much of the file a window shall hold, 64 KiB to 1 MiB; more where accesses lie
                             close together, less where they are scattered. 0: what fits the file and the limit */
  uint64_t reserved[3];   /* zero */
} mapfile_options;

#define MAPFILE_OPTIONS_INIT                                                                                       \
  {                                                                                                                \
    (uint32_t)sizeof(mapfile_options), 0, MAPFILE_ACCESS_AUTO, 0, 0, 0, 0, 0, 0, MAPFILE_SHARE_DEFAULT, 0, 0, 0, { \
      0, 0, 0                                                                                                      \
    }                                                                                                              \
  }

/*
 * Open the file at path (UTF-8; the bytes are passed to the system as they are on POSIX). options may be NULL: read
 * only, access chosen by the library. An empty file opens. The descriptor is close-on-exec. Opening never waits for
 * the other end of a FIFO.
 *
 * OK           *file is the new mapfile; close it with mapfile_close.
 * INVALID      path or file is NULL, path is empty, the options contradict one another.
 * NOT_FOUND    no such file, or a folder of the path is missing.
 * EXISTS       MAPFILE_EXCLUSIVE, and there is a file.
 * DENIED       the system does not permit it; opening a folder for writing is UNSUPPORTED.
 * UNSUPPORTED  a folder, socket, device, or a FIFO without MAPFILE_STREAM; an option this library does not know.
 * BUSY         another process holds a lease or opened the file without sharing.
 * LIMIT        too many open files; a stream longer than stream_limit; no thread can be had for idle_ms.
 * NO_SPACE     no space or quota for a new file.
 * NO_MEMORY    as it says.
 * IO           the file system failed.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_open(const char *path, const mapfile_options *options, mapfile **file);

/*
 * The same on a descriptor (POSIX) that is already open for reading, or for both with MAPFILE_WRITE. Without
 * MAPFILE_ADOPT the descriptor is borrowed: it is never duplicated nor closed, so the host's fcntl locks are safe, and
 * it must stay open until mapfile_close. With MAPFILE_ADOPT it is closed by mapfile_close, and also when this call
 * fails. CREATE, TRUNCATE, EXCLUSIVE and a share mode are INVALID here. A stream is read from where the descriptor
 * stands.
 *
 * INVALID      the descriptor is not open; file is NULL.
 * DENIED       the descriptor was opened for less than asked.
 * Others as mapfile_open.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_open_handle(intptr_t native, const mapfile_options *options,
                                                            mapfile **file);

/*
 * Close. NULL is OK and does nothing.
 *
 * BUSY     views are pinned, or a zero-fill scope is open: nothing was done, unpin and call again.
 * INVALID  not an open mapfile (noticed in debug builds and, mostly, in others).
 * IO, NO_SPACE  the system reported an error on closing (NFS does); the mapfile is gone all the same.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_close(mapfile *file);

/* The size in bytes, as last known: at opening, the last mapfile_check, mapfile_resize or pin with MAPFILE_VERIFY; at
   least the end of what mapfile_write has written since. No system call. INVALID for NULL. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_size(mapfile *file, uint64_t *size);

/*
 * Ask the system whether the file has changed since the library last looked (size, and the times of modification and
 * change as exactly as the file system keeps them; some do not show a change within one tick of their clock). The new
 * state becomes the known one. A stream never changes.
 *
 * OK         nothing has changed.
 * TRUNCATED  the file is shorter than it was known to be.
 * CHANGED    anything else: longer, written to, or its times changed.
 * INVALID, IO
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_check(mapfile *file);

typedef struct mapfile_statistics {
  uint32_t size;            /* sizeof(mapfile_statistics) */
  uint32_t reserved0;       /* zero */
  uint64_t open_files;      /* mapfiles open (1 for one mapfile) */
  uint64_t pinned_views;    /* views pinned now */
  uint64_t maps;            /* maps that count against the map-count budget */
  uint64_t mapped_bytes;    /* their address space */
  uint64_t copied_bytes;    /* memory of copied views and streams */
  uint64_t maps_made;       /* maps made so far */
  uint64_t evictions;       /* idle maps given up for a budget so far */
  uint64_t fallbacks;       /* pins that could not be mapped and were read so far */
  uint64_t filled_pages;    /* pages replaced by zeros so far */
  uint64_t map_count_limit; /* the budgets in force */
  uint64_t map_bytes_limit; /* UINT64_MAX: none */
  uint64_t parks;           /* times that a mapfile was parked so far, by a call or when idle */
  uint64_t cache_bytes;     /* memory of windows: parts of files that copied access keeps (docs/limits.md) */
  uint64_t cache_loads;     /* windows read so far */
  uint64_t cache_misses;    /* copied pins that were read, wholly or in part, instead, so far */
  uint64_t reserved[1];
} mapfile_statistics;

#define MAPFILE_STATISTICS_INIT                                                             \
  {                                                                                         \
    (uint32_t)sizeof(mapfile_statistics), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { \
      0                                                                                     \
    }                                                                                       \
  }

/* Counts for one mapfile, or for the process where file is NULL. Counts taken while other threads work are a
   snapshot, each right at some moment of the call. INVALID for NULL statistics or a wrong size. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_stats(mapfile *file, mapfile_statistics *statistics);

/*
 * 2. Views
 */

#define MAPFILE_TO_END UINT64_MAX

/* Flags of mapfile_pin. */
enum {
  MAPFILE_ANY = 0,            /* a map or a copy, whichever works; view.kind says which */
  MAPFILE_LIVE = 1u << 0,     /* a map: changes to the file show. Else LIMIT or UNSUPPORTED */
  MAPFILE_COPY = 1u << 1,     /* a copy: the bytes stay as they are. Not atomic with respect to writers */
  MAPFILE_VERIFY = 1u << 2,   /* ask the system for the size first; mapfile_view_check and mapfile_try over this view
                                 then tell whether the file has changed since this pin */
  MAPFILE_PRIVATE = 1u << 3,  /* writable, copy-on-write: the file never sees what is stored, but by mapfile_commit */
  MAPFILE_SHARED = 1u << 4,   /* writable and live: stores reach the file; needs MAPFILE_WRITE */
  MAPFILE_ZERO_FILL = 1u << 5 /* read-only memory of its own, in which mapfile_scope_begin may replace bad pages by
                                 zeros; not with PRIVATE or SHARED */
};

/* Values of mapfile_view.kind. */
enum { MAPFILE_KIND_NONE = 0, MAPFILE_KIND_LIVE = 1, MAPFILE_KIND_COPIED = 2, MAPFILE_KIND_PRIVATE = 3 };

typedef struct mapfile_view {
  uint32_t size;   /* sizeof(mapfile_view) */
  uint32_t kind;   /* MAPFILE_KIND_... */
  void *data;      /* the bytes; written only where PRIVATE or SHARED was asked; never NULL once pinned */
  size_t length;   /* bytes at data */
  uint64_t offset; /* where in the file data lies */
  uintptr_t internal[4];
  uint64_t stamp[3];
} mapfile_view;

#define MAPFILE_VIEW_INIT                                                          \
  {                                                                                \
    (uint32_t)sizeof(mapfile_view), MAPFILE_KIND_NONE, NULL, 0, 0, {0, 0, 0, 0}, { \
      0, 0, 0                                                                      \
    }                                                                              \
  }

/*
 * Make length bytes at offset addressable. offset may be anything up to the end; length may be MAPFILE_TO_END. A
 * range of no bytes is a view of length 0 whose data must not be read. The pointer stays valid until mapfile_unpin,
 * whatever happens to the file and its name; what may happen to the bytes, only a scope guards against.
 *
 * Inside a range that is mapped already, this and mapfile_unpin make no system call and wait for nobody.
 *
 * OK           view is pinned.
 * INVALID      NULL, a wrong size, flags that contradict one another, a view that is pinned already.
 * END          the range reaches past the last known size (with VERIFY: the true one). After the file has grown, call
 *              mapfile_check or pin with VERIFY.
 * LIMIT        the budgets or the address space do not allow it. An ANY pin that cannot be mapped is read, up to 1 GiB
 *              (64 MiB on 32-bit hosts); for more use mapfile_scan or mapfile_read.
 * UNSUPPORTED  LIVE or SHARED where the file cannot be mapped or access is COPIED.
 * DENIED       SHARED without MAPFILE_WRITE, or the file system forbids it.
 * NO_MEMORY    a copy or a record could not be allocated.
 * TRUNCATED, IO, NO_SPACE, POISONED   reading for a copied view failed.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags,
                                                    mapfile_view *view);

/*
 * Let a view go, from any thread. After it the view may be pinned again.
 *
 * INVALID  NULL, a wrong size or not pinned (also: unpinned twice).
 * UNKNOWN  done, but bytes that the view showed had been replaced by zeros (MAPFILE_ZERO_FILL).
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_unpin(mapfile_view *view);

/*
 * Ask the system whether the file has changed since this view was pinned with MAPFILE_VERIFY, so that a file that
 * shrank and grew back is noticed where the file system's times show it. The known state is not touched.
 *
 * OK, TRUNCATED (the file now ends before the view does), CHANGED, IO; INVALID without MAPFILE_VERIFY.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_view_check(const mapfile_view *view);

typedef struct mapfile_limits {
  uint32_t size;      /* sizeof(mapfile_limits) */
  uint32_t reserved0; /* zero */
  uint64_t map_count; /* most maps of all mapfiles; 0: the default, three quarters of what the system allows */
  uint64_t map_bytes; /* most address space of all maps; 0: the default, no limit on 64-bit hosts */
  uint64_t
      cache_bytes; /* most memory of all windows, which copied access keeps; 0: the default, 64 MiB on 64-bit hosts,
                      32 MiB on 32-bit ones; less than a window (1, say): none are kept; UINT64_MAX: no limit */
  uint64_t reserved[5]; /* zero */
} mapfile_limits;

#define MAPFILE_LIMITS_INIT                         \
  {                                                 \
    (uint32_t)sizeof(mapfile_limits), 0, 0, 0, 0, { \
      0, 0, 0, 0, 0                                 \
    }                                               \
  }

/* Set the budgets of the process. Idle maps and windows above them are given up at once; pinned ones as they are
   unpinned, and no new one is made until then. INVALID for NULL, a wrong size or reserved members that are not zero. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_set_limits(const mapfile_limits *limits);

/*
 * 3. Scopes: where a fault becomes an error
 *
 * A scope covers one view (its pages), or with a NULL view all views of one mapfile. Scopes nest to any depth; the
 * innermost that covers the address takes the fault. A fault outside every scope goes where it would have gone without
 * this library. A view that a scope covers, and the fault record, must stay where they are until the scope has ended;
 * the view may be unpinned meanwhile. A scope belongs to its thread; it covers what the thread itself does, not signal
 * handlers that interrupt it, and it must be on the thread's own stack or its alternate signal stack (coroutine stacks:
 * UNSUPPORTED).
 *
 * Recovery is a jump: locks that the guarded code holds stay locked, C++ destructors between the scope and the fault
 * do not run, memory it allocated leaks. Guard small pieces of plain code; for code that holds locks use the zero-fill
 * form, mapfile_read or a copied view.
 *
 * The first scope of the process installs a SIGBUS handler (see group 8). Where SIGBUS is blocked at a thread's first
 * scope, the scope is UNSUPPORTED unless MAPFILE_HANDLER_UNBLOCK was set; blocking it later makes a fault fatal.
 */

/* Values of mapfile_fault.access. */
enum { MAPFILE_FAULT_UNKNOWN = 0, MAPFILE_FAULT_READ = 1, MAPFILE_FAULT_WRITE = 2 };

typedef struct mapfile_fault {
  uint32_t size;         /* sizeof(mapfile_fault) */
  mapfile_status status; /* OK: no fault; UNKNOWN until explained, except where the system said it at once */
  mapfile *file;         /* the mapfile concerned, NULL where no page was at fault */
  uint64_t offset;       /* byte of the file that could not be reached, as exactly as the processor reports */
  const void *address;   /* its address */
  uint32_t access;       /* MAPFILE_FAULT_READ ... */
  int32_t signal;        /* the signal's number, 0 on Windows and where no signal came */
  int64_t code;          /* si_code, or the NTSTATUS */
  int64_t native_error;  /* errno or Windows error found by mapfile_fault_explain, or 0 */
  uint64_t length;       /* bytes around offset known to be bad: a page, or what the hardware says */
  uint64_t filled_pages; /* pages that were replaced by zeros (zero-fill scopes) */
  uint64_t reserved[6];
} mapfile_fault;

#define MAPFILE_FAULT_INIT                                                                              \
  {                                                                                                     \
    (uint32_t)sizeof(mapfile_fault), MAPFILE_OK, NULL, 0, NULL, MAPFILE_FAULT_UNKNOWN, 0, 0, 0, 0, 0, { \
      0, 0, 0, 0, 0, 0                                                                                  \
    }                                                                                                   \
  }

/* Where the library saves a scope's registers itself. */
#if defined(__GNUC__) && (defined(_WIN32) || (defined(__linux__) && !defined(__ANDROID__) && !defined(__ILP32__) && \
                                              (defined(__x86_64__) || defined(__aarch64__))))
#define MAPFILE_SAVES_REGISTERS 1
#endif

/* How the routine that does so is called. */
#if defined(MAPFILE_SAVES_REGISTERS) && defined(__i386__)
#define MAPFILE_SAVE_CALL __attribute__((regparm(3)))
#else
#define MAPFILE_SAVE_CALL MAPFILE_CALL
#endif

/* Define MAPFILE_USE_SETJMP where MAPFILE_TRY shall use setjmp there too, for tools that follow a program's calls by
   it, and ways to guard returns that only the C library knows. Known ones are seen to here. Not on Windows. */
#if !defined(MAPFILE_USE_SETJMP) && !defined(_WIN32)
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_HWADDRESS__) || defined(__ARM_FEATURE_GCS_DEFAULT)
#define MAPFILE_USE_SETJMP 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(hwaddress_sanitizer) || __has_feature(shadow_call_stack)
#define MAPFILE_USE_SETJMP 1
#endif
#endif
#endif

#ifdef _WIN32
typedef uintptr_t mapfile_registers[sizeof(void *) > 4 ? 30 : 7];
#else
typedef jmp_buf mapfile_registers;
/* The one that leaves the signal mask alone, which would take a system call. */
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#define MAPFILE_SETJMP(registers) _setjmp(registers)
#else
#define MAPFILE_SETJMP(registers) setjmp(registers)
#endif
#endif

/* The place a scope keeps in its caller's frame. All of it is the library's. */
typedef struct mapfile_scope {
  uint32_t size;
  uint32_t depth;
  uintptr_t state;
  mapfile *file;
  const mapfile_view *view;
  mapfile_fault *fault;
  volatile uint32_t *leave; /* where leaving is no more than a store of 0: that place; else NULL */
  mapfile_registers registers;
  uintptr_t internal[5];
} mapfile_scope;

/* What a scope runs. It must not leave by longjmp or an exception. */
typedef mapfile_status(MAPFILE_CALL *mapfile_body)(void *argument);

/*
 * Run body(argument) in a scope. fault may be NULL; it is filled in when the call returns.
 *
 * Returns what body returned, or
 * UNKNOWN      a page could not be reached; fault says which, mapfile_fault_explain says why.
 * POISONED, PROTECTED, RELEASED   the same, with the cause known at once.
 * TRUNCATED, CHANGED   body returned OK, view was pinned with VERIFY and the file has changed since.
 * IO           body returned OK, view was pinned with VERIFY and the system could not be asked.
 * INVALID      file or body is NULL, view is not a pinned view of file, fault has a wrong size: body did not run.
 * UNSUPPORTED  SIGBUS is blocked, the stack is not the thread's, or the system does not let handlers be installed: body
 *              did not run.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_try(mapfile *file, const mapfile_view *view, mapfile_body body,
                                                    void *argument, mapfile_fault *fault);

/*
 * The same in place:
 *
 *     MAPFILE_TRY(file, &view, &fault) {
 *       sum = add_up(view.data, view.length);
 *     }
 *     MAPFILE_CATCH {
 *       fprintf(stderr, "%s\n", mapfile_strerror(mapfile_fault_explain(&fault)));
 *     }
 *     MAPFILE_END_TRY
 *
 * fault must not be NULL. The MAPFILE_CATCH block runs after a fault, and also when the scope could not be entered
 * (fault.status is then INVALID or UNSUPPORTED). Leaving either block by break, continue, return or goto ends the
 * scope. As with setjmp, a local variable that the first block changes and the second reads must be volatile. Views
 * pinned with VERIFY are not looked at again here: call mapfile_view_check at the end of the block.
 *
 * Only for compilers with __attribute__((cleanup)); elsewhere these macros are not defined: use mapfile_try.
 */
#if defined(__GNUC__)
#if defined(MAPFILE_SAVES_REGISTERS) && !defined(MAPFILE_USE_SETJMP)
#define MAPFILE_IF_ENTERED_(scope, file, view, record) if (mapfile_scope_save(&(scope), file, view, record) == 0) {
#else
/* The record's address is stored before the registers are saved: to a compiler that has not seen it go, a record of the
   enclosing function would still hold in the CATCH block what it held before. */
#define MAPFILE_IF_ENTERED_(scope, file, view, record) \
  (scope).fault = (record);                            \
  if (MAPFILE_SETJMP((scope).registers) == 0) {        \
    mapfile_scope_enter(&(scope), file, view, (scope).fault);
#endif
#define MAPFILE_JOIN_(a, b) a##b
#define MAPFILE_NAME_(a, b) MAPFILE_JOIN_(a, b)
#define MAPFILE_SCOPE_ MAPFILE_NAME_(mapfile_scope_at_line_, __LINE__)

#define MAPFILE_TRY(file, view, record)                                                 \
  {                                                                                     \
    mapfile_scope MAPFILE_SCOPE_ __attribute__((cleanup(mapfile_scope_leave_quickly))); \
    MAPFILE_IF_ENTERED_(MAPFILE_SCOPE_, file, view, record)
#define MAPFILE_CATCH \
  }                   \
  else
#define MAPFILE_END_TRY }
#endif

/* For the macros above only. enter comes after setjmp: it jumps back where it cannot enter, and returns 0. save does
   without setjmp, and returns a second time, 1, after a fault or where it could not enter. */
MAPFILE_API int MAPFILE_CALL mapfile_scope_enter(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                                 mapfile_fault *fault);
#ifdef MAPFILE_SAVES_REGISTERS
MAPFILE_API int MAPFILE_SAVE_CALL mapfile_scope_save(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                                     mapfile_fault *fault) __attribute__((returns_twice));
#endif
MAPFILE_API void MAPFILE_CALL mapfile_scope_leave(mapfile_scope *scope);

#if defined(__GNUC__)
static inline void mapfile_scope_leave_quickly(mapfile_scope *scope) {
  /* The compiler may not move an access of the guarded block to behind this. */
  __asm__ __volatile__("" : : : "memory");
  if (scope->leave != NULL) {
    *scope->leave = 0;
    __asm__ __volatile__("" : : : "memory");
  } else {
    mapfile_scope_leave(scope);
  }
}
#endif

#define MAPFILE_SCOPE_INIT(scope) ((scope)->size = (uint32_t)sizeof(mapfile_scope), (scope)->state = 0)

/*
 * The zero-fill scope never jumps: a bad page becomes zeros, for every thread and for good, and mapfile_scope_end
 * reports it. It covers one view pinned with MAPFILE_ZERO_FILL, or with a NULL view all such views of the mapfile.
 * Meanwhile their memory stays mapped, even if they are unpinned. Set up the scope with MAPFILE_SCOPE_INIT(&scope).
 *
 * begin: OK; INVALID: NULL, a scope in use, or a view that has no memory of its own; UNSUPPORTED as mapfile_try;
 *        UNSUPPORTED on maps on Windows.
 * end:   OK: every byte was the file's. UNKNOWN: pages were, or had been, replaced by zeros: fault (may be NULL) has
 *        the first one and their number. TRUNCATED, CHANGED as mapfile_try. INVALID: the scope is not open on this
 *        thread. Scopes must end in the reverse order of their beginning.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_scope_begin(mapfile_scope *scope, mapfile *file,
                                                            const mapfile_view *view);
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_scope_end(mapfile_scope *scope, mapfile_fault *fault);

/*
 * Find the cause of a fault, in normal context, while its mapfile is open. It asks for the size, reads the page and
 * looks at the free space, so it may wait for the device. Sets fault->status and fault->native_error and returns the
 * status: TRUNCATED, IO, NO_SPACE, POISONED, PROTECTED, RELEASED; CHANGED where the file has changed since and the page
 * can be read now; UNKNOWN where it can be read and nothing shows why it could not. OK where fault holds no fault.
 * INVALID for NULL or a wrong size.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_fault_explain(mapfile_fault *fault);

/*
 * Turn the EFAULT or short count of a system call on a view's memory into the same record. address and length are
 * what the call was given, done the bytes it reports, or less than 0 for none (EFAULT). The bytes from there on are
 * touched in a scope; the first that cannot be reached is the fault. After EFAULT, the pages of a SHARED view are also
 * stored to, without a change.
 *
 * OK       every byte can be reached (now): the short count had another reason, fault->status is OK.
 * UNKNOWN, POISONED, ...  as mapfile_try; explain it.
 * INVALID  the range does not lie in the view. UNSUPPORTED as mapfile_try.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_fault_from_call(mapfile *file, const mapfile_view *view,
                                                                const void *address, size_t length, int64_t done,
                                                                mapfile_fault *fault);

/*
 * 4. Whole operations. Guarded inside: they need no scope, and report how far they came.
 *
 * *done (may be NULL) is always set, also on failure: the bytes that were completed, counted from offset. All of them
 * return, besides what each says:
 * INVALID (NULL, offset + length overflows), END (the range reaches past the end; what there was is done),
 * TRUNCATED (the file ended before its known size), IO, NO_SPACE, POISONED, NO_MEMORY, LIMIT, UNKNOWN, CHANGED.
 */

/* Copy length bytes at offset into buffer. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_read(mapfile *file, uint64_t offset, void *buffer, size_t length,
                                                     size_t *done);

/*
 * Find the first occurrence of needle that lies within [offset, offset + length); length may be MAPFILE_TO_END. OK:
 * *found is its offset in the file. NOT_FOUND: it is not there, all was searched. An empty needle is found at offset.
 * After an error *done says how much was searched.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_find(mapfile *file, uint64_t offset, uint64_t length,
                                                     const void *needle, size_t needle_length, uint64_t *found,
                                                     uint64_t *done);

/* Compare length bytes at offset with buffer. OK: *order is less than, equal to or greater than 0 as memcmp's, for the
   file against the buffer, and *done is the length of the equal start. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_compare(mapfile *file, uint64_t offset, const void *buffer,
                                                        size_t length, int *order, size_t *done);

/* Flags of mapfile_scan. */
enum {
  MAPFILE_SCAN_COPY = 1u << 0, /* hand over copies: the callback is never left by a jump */
  MAPFILE_SCAN_ONCE = 1u << 1  /* these bytes will not be needed again: let the system forget them behind the scan, so
                                  that other data stays cached and little memory is used */
};

/* One chunk, in order and without gaps. Runs on the thread that called mapfile_scan. Return OK to go on; any other
   status ends the scan, which returns it. */
typedef mapfile_status(MAPFILE_CALL *mapfile_chunk)(void *argument, const void *data, size_t length, uint64_t offset);

/*
 * Call chunk for successive pieces of [offset, offset + length); length may be MAPFILE_TO_END. Reads ahead, and keeps
 * the resident set small by letting go of what lies behind. size is the most bytes a piece may have: 0 for the
 * library's choice, else it is rounded up to whole pages. Where the bytes are mapped, chunk runs in a scope and is left
 * by a jump when a page cannot be reached: it must then hold no lock, or ask for MAPFILE_SCAN_COPY. *done counts the
 * pieces that chunk finished.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_scan(mapfile *file, uint64_t offset, uint64_t length, size_t size,
                                                     uint32_t flags, mapfile_chunk chunk, void *argument,
                                                     uint64_t *done);

/*
 * Write length bytes at offset (MAPFILE_TO_END: to the end) to an open descriptor: a file, pipe or socket. A bad page
 * is a status, never a signal; SIGPIPE stays the caller's to ignore, as with write. BUSY: the descriptor does not block
 * and is full: go on from offset + *done. DENIED: it is not open for writing. NO_SPACE and IO may also be the
 * receiver's: native_error tells.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_send(mapfile *file, uint64_t offset, uint64_t length, intptr_t native,
                                                     uint64_t *done);

/*
 * 5. Writing
 *
 * Bytes go into the file by the system's file calls, never through a map: what goes wrong is a status, and no signal is
 * raised. When a call returns, live views, maps and reads of other processes, and all that this mapfile pins or reads
 * from then on show what was written (maps of a file with MAPFILE_SEPARATE_CACHE perhaps later); nothing of it waits
 * for views or for readers. It is then in the system's memory, as after write(2): what the system finds wrong only when
 * it brings it to the device, mapfile_close may tell.
 */

/*
 * Write length bytes from buffer at offset. Where they reach past the end, the file becomes longer, what lies between
 * reads as zeros, and the new size is known at once. Copied views that are pinned keep their bytes; windows of other
 * mapfiles of the same file, in this process too, stay for their own revalidate_ms. mapfile_check and
 * mapfile_view_check take the library's own writing for a change, since a file's times do not tell whose it was.
 *
 * buffer may lie in a view of any mapfile, but not in the bytes that are being written. A page of that view which
 * cannot be reached is a status, without a scope: the one that mapfile_fault_explain would find.
 *
 * *done (may be NULL) is always set, also on failure: the bytes written, counted from the first. Writing ends at the
 * first error; what comes before it is written and stays. As with write(2), others may see a part of it before the call
 * returns, and two threads that write to the same place at once may leave a mixture.
 *
 * OK           all of it is written.
 * INVALID      NULL, not open, offset + length overflows; or buffer cannot be read and is no view of the library's.
 * UNSUPPORTED  a stream; a descriptor of the program's that was opened for appending, or that takes whole blocks only.
 * DENIED       the mapfile was opened without MAPFILE_WRITE or with MAPFILE_IMMUTABLE, or the system forbids it.
 * NO_SPACE     no space or quota is left. Make room, and go on from *done.
 * LIMIT        it reaches past what the system, the file system or the process's file size limit allows; what lies
 *              below is written. No SIGXFSZ is raised.
 * BUSY         another process has locked these bytes (Windows), or uses the file in a way that forbids it.
 * IO           the device or the file system failed.
 * TRUNCATED, IO, NO_SPACE, POISONED, CHANGED, UNKNOWN   buffer lies in a view, and a page of that cannot be reached.
 * STALE, NO_MEMORY
 *
 * A range that mapfile_inject made fail ends the writing at its first page, with the status that was injected.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_write(mapfile *file, uint64_t offset, const void *buffer, size_t length,
                                                      size_t *done);

/*
 * Write bytes of a PRIVATE view into its file, at the place that the view shows: length of them, from the byte at
 * (char *)view->data + from on. Ask for what was changed and no more: what was not would go over what others have
 * written there since. The view stays pinned with its bytes as they are: pages that were stored to do not follow the
 * file afterwards either. It is the same for views that are mapped and views that are copied.
 *
 * Returns what mapfile_write does, and
 * INVALID         view is NULL, not pinned or not PRIVATE, or the range does not lie in it.
 * TRUNCATED       the file was cut before the range's end. Pages of a mapped view that lay behind the new end are gone,
 *                 with what was stored to them, also where the file is made longer again and nobody is told.
 * IO, NO_SPACE, POISONED   also: a page that was never stored to cannot be reached any more.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_commit(const mapfile_view *view, size_t from, size_t length,
                                                       size_t *done);

/* Flags of mapfile_resize. */
enum {
  MAPFILE_RESIZE_ALLOCATE = 1u << 0 /* reserve space for every byte, holes included, so that storing into a SHARED view
                                       needs none */
};

/*
 * Make the file longer or shorter. What is added reads as zeros. Live views stay as they are and never hold growth up;
 * later pins reach the new end. The state of the file after it, all changes of others included, is the known one.
 *
 * OK           the file has this size.
 * BUSY         views are pinned that may reach beyond the new end: nothing was changed. Live views share maps that are
 *              larger than they are, so any of this mapfile's may count, wherever it lies; copied ones never do, nor do
 *              views of other mapfiles (on Windows, any map in any process does).
 * DENIED       the mapfile was opened without MAPFILE_WRITE, or the system does not permit it.
 * UNSUPPORTED  a stream; with MAPFILE_RESIZE_ALLOCATE: the file system cannot reserve. Nothing was changed.
 * NO_SPACE     with MAPFILE_RESIZE_ALLOCATE: there is not as much. The size was not changed.
 * LIMIT        more than the system, the file system or the process's file size limit allows.
 * INVALID      NULL, not open, unknown flags.
 * STALE, IO
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_resize(mapfile *file, uint64_t size, uint32_t flags);

/*
 * 7. Names and locks
 *
 * On Windows a map keeps every process from shortening, replacing or removing the file, and an open handle keeps its
 * name taken. Parking lets both go and keeps the mapfile usable. Elsewhere nothing is locked; parking frees address
 * space.
 */

/*
 * Give up all maps and, on Windows, close the file. The mapfile stays open: the next call that needs the file opens the
 * path again as it was resolved by mapfile_open, and maps what is asked for. That call may return, besides its own
 * statuses,
 *
 *   STALE      the path now leads to another file or to none, by volume, file id and creation time, or the file system
 *              does not tell. The next call looks again; mapfile_close, mapfile_size, mapfile_stats and mapfile_park
 *              work all the same. Never where parking keeps the descriptor.
 *   TRUNCATED  the bytes asked for are not there any more. Where parking keeps the descriptor, a live view may be
 *              pinned all the same, and touching it is the fault.
 *   DENIED, BUSY, ...  as mapfile_open.
 *
 * A mapfile with idle_ms is parked in the same way, by a thread of the library's, once that time has passed without a
 * pin, a pinned view or another call that needs the file; the file of a handle that was given is only unmapped. So is
 * one whose file system does not tell which file it is.
 *
 * OK           parked; also where it was parked already.
 * BUSY         views are pinned, a zero-fill scope is open, or a call of another thread is at work on the mapfile:
 *              nothing was changed.
 * UNSUPPORTED  Windows: the handle was given by the program.
 * INVALID      NULL, not open.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_park(mapfile *file);

/*
 * Remove the file at path (UTF-8), or the link where path is one. Where it is in use, this process's own mapfiles of
 * that file are parked as if they were idle, if nothing of them is pinned, and it is tried again for a fraction of a
 * second; then the file is given another name beside the old one and removed there. A file that is still open somewhere
 * lives on without a name, until it is closed.
 *
 * OK           the name is gone (on Windows before version 10, maybe only when the file is closed everywhere).
 * BUSY         it is in use: nothing was changed.
 * NOT_FOUND, DENIED, IO
 * UNSUPPORTED  a folder.
 * INVALID      path is NULL or empty.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_remove(const char *path);

/*
 * Give the file at from the name to, on the same file system; a file that has that name is replaced. Where one of the
 * two is in use, mapfiles of this process are parked as mapfile_remove does.
 *
 * OK           from is gone and to is what from was.
 * BUSY         one of them is in use: nothing was changed.
 * NOT_FOUND    from does not exist, or a folder of to is missing.
 * UNSUPPORTED  one of them is a folder; they lie on different file systems.
 * NO_SPACE     no space or quota for the new name.
 * DENIED, LIMIT, IO
 * INVALID      one of them is NULL or empty.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_rename(const char *from, const char *to);

/*
 * 8. Process
 */

/* Flags of mapfile_handler_configure. */
enum {
  MAPFILE_HANDLER_HOST = 1u << 0,    /* install no handler: the host calls mapfile_handle_signal from its own */
  MAPFILE_HANDLER_UNBLOCK = 1u << 1, /* unblock SIGBUS at a thread's first scope */
  MAPFILE_HANDLER_ACCESS = 1u << 2   /* handle SIGSEGV too: writes to read-only views are PROTECTED, touching a view
                                        that was let go RELEASED */
};

/* Choose how faults are taken; before the first scope, or the flags must be the same (else BUSY). INVALID: unknown
   flags. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_handler_configure(uint32_t flags);

/* Is the library's handler the one the system calls? OK; CHANGED: another was installed over it since (it may chain to
   ours or not); UNSUPPORTED: none is installed, because no scope was entered or the host owns the signals. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_handler_check(void);

/* Put the library's handler on top again; the present one becomes the one that is called for faults that are not ours.
   Also installs it before the first scope. OK; UNSUPPORTED with MAPFILE_HANDLER_HOST; LIMIT where 16 others lie one
   over another with ours in between, each of which may go back to the one below. */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_handler_rearm(void);

/*
 * For a host that owns the handlers: call it first from a handler installed with SA_SIGINFO (and best SA_ONSTACK), with
 * the handler's three arguments. Async-signal-safe. Returns 1 where the fault was ours: return from the handler at
 * once (on some processors it does not return at all); 0 where it was not, and nothing was changed.
 * UNSUPPORTED on Windows (0).
 */
MAPFILE_API int MAPFILE_CALL mapfile_handle_signal(int signo, void *siginfo, void *ucontext);

/*
 * The same on Windows, for a host's own vectored handler: pass its EXCEPTION_POINTERS. Returns 1 where the fault was
 * ours: return EXCEPTION_CONTINUE_EXECUTION at once; 0 where it was not, or belongs to a frame that will see it later
 * (a scope of mapfile_try may be one): return EXCEPTION_CONTINUE_SEARCH. 0 on other systems.
 */
MAPFILE_API int MAPFILE_CALL mapfile_handle_exception(void *exception_pointers);

/*
 * For a host whose fault handler is given an address and little more, such as libsigsegv's. signo is the signal, 0
 * where the host does not know it. Async-signal-safe. Returns 1 where a scope of this thread covers address; the scope
 * has then ended: leave the handler in the host's own way, with the signal mask of the interrupted code, and call
 * (*resume)(*argument), which does not return. 0 where none does. With resume NULL it only answers, and changes
 * nothing.
 *
 * The fault's access is unknown. Its status is PROTECTED or RELEASED where signo can only mean a forbidden access
 * (SIGSEGV on Linux), else UNKNOWN. Zero-fill scopes are passed over, since a page that is good but forbidden must not
 * be filled. Where the handler runs on an alternate stack, it is the thread's own stack that counts as interrupted.
 */
MAPFILE_API int MAPFILE_CALL mapfile_handle_address(int signo, void *address, void(MAPFILE_CALL **resume)(void *),
                                                    void **argument);

/* Values of mapfile_event.kind. */
enum {
  MAPFILE_EVENT_OPEN = 1,
  MAPFILE_EVENT_CLOSE = 2,
  MAPFILE_EVENT_MAP = 3,      /* a map was made */
  MAPFILE_EVENT_UNMAP = 4,    /* a map was given up */
  MAPFILE_EVENT_EVICT = 5,    /* an idle map was given up for a budget */
  MAPFILE_EVENT_FALLBACK = 6, /* a range could not be mapped and was read; status says why */
  MAPFILE_EVENT_FAULT = 7,    /* a fault was recovered, told after the scope has ended */
  MAPFILE_EVENT_FILL = 8,     /* pages were replaced by zeros, told when the scope ends */
  MAPFILE_EVENT_PARK = 9      /* a mapfile was parked */
};

typedef struct mapfile_event {
  uint32_t size;
  uint32_t kind;
  mapfile *file;
  uint64_t offset;
  uint64_t length;
  mapfile_status status;
  int32_t reserved0;
  int64_t native_error;
} mapfile_event;

typedef void(MAPFILE_CALL *mapfile_trace)(void *argument, const mapfile_event *event);

/* Have trace called for each event, NULL for none. It runs on the thread that caused the event (one of the library's
   where a mapfile is parked because it was idle), never in a signal handler, perhaps with the library's lock held: it
   may call nothing of this library but mapfile_strerror. Set it before other threads use the library. */
MAPFILE_API void MAPFILE_CALL mapfile_set_trace(mapfile_trace trace, void *argument);

/*
 * 9. Testing one's own recovery
 */

/*
 * Make the pages of [offset, offset + length) fail (MAPFILE_TO_END: to the end), as if the file had failed there:
 * touching them in live views, present and later, and in copied views pinned from now on is a real fault, explained as
 * status; mapfile_read, find, compare, scan, send, write and commit report status. Copied views that are pinned already
 * keep their bytes. status OK makes the range good again, for live views present too.
 *
 * status may be TRUNCATED, IO, NO_SPACE, POISONED, PROTECTED, RELEASED, CHANGED or UNKNOWN, else INVALID. LIMIT,
 * NO_MEMORY: nothing was changed; where the system refuses even to undo what was begun, the range fails until it is
 * made good. UNSUPPORTED: the platform cannot make such memory. Making a range good may return what reading it does.
 */
MAPFILE_API mapfile_status MAPFILE_CALL mapfile_inject(mapfile *file, uint64_t offset, uint64_t length,
                                                       mapfile_status status);

#ifdef __cplusplus
}
#endif

#endif
