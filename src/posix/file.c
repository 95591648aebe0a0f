/*
 * posix/file.c - files: opening, looking, reading, sending.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "cancel.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef HAVE_SYS_SENDFILE_H
#include <sys/sendfile.h>
#endif

/* The most one system call is asked to move: below what every kernel accepts. */
#define MOST_AT_ONCE ((size_t)1 << 30)

mapfile_status mf_status_from_errno(int error) {
  mf_set_native_error(error);
  switch (error) {
  case ENOENT:
  case ENOTDIR:
  case ENAMETOOLONG:
  case ELOOP:
    return MAPFILE_NOT_FOUND;
  case EEXIST:
    return MAPFILE_EXISTS;
  case EACCES:
  case EPERM:
  case EROFS:
    return MAPFILE_DENIED;
  case EAGAIN:
  case EBUSY:
  case ETXTBSY:
    return MAPFILE_BUSY;
  case EMFILE:
  case ENFILE:
  case EFBIG:
    return MAPFILE_LIMIT;
  case ENOMEM:
    return MAPFILE_NO_MEMORY;
  case EISDIR:
  case ENXIO:
  case ENODEV:
  case ENOSYS:
  case EOPNOTSUPP:
  case EOVERFLOW:
    return MAPFILE_UNSUPPORTED;
  case ENOSPC:
  case EDQUOT:
    return MAPFILE_NO_SPACE;
  case EBADF:
  case EINVAL:
    return MAPFILE_INVALID;
#ifdef EHWPOISON
  case EHWPOISON:
    return MAPFILE_POISONED;
#endif
  default:
    return MAPFILE_IO;
  }
}

/* Nobody can be kept from a file here, so only allowing everything can be granted. */
static bool can_be_granted(uint32_t share) {
  return share == MAPFILE_SHARE_DEFAULT ||
         share == (uint32_t)(MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE | MAPFILE_SHARE_DELETE);
}

mapfile_status os_open(const char *path, uint32_t flags, uint32_t share, uint32_t create_mode, intptr_t *handle,
                       os_name **name) {
  if (!can_be_granted(share)) {
    mf_set_native_error(0);
    return MAPFILE_UNSUPPORTED;
  }
  /* O_NONBLOCK: opening a FIFO does not wait for its other end; it means nothing for regular files. */
  int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how |= (flags & MAPFILE_WRITE) != 0 ? O_RDWR : O_RDONLY;
  how |= (flags & MAPFILE_CREATE) != 0 ? O_CREAT : 0;
  how |= (flags & MAPFILE_TRUNCATE) != 0 ? O_TRUNC : 0;
  how |= (flags & MAPFILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
  int descriptor;
  do
    WITHOUT_CANCELLATION(descriptor = open(path, how, create_mode != 0 ? (mode_t)create_mode : 0666));
  while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0)
    return mf_status_from_errno(errno);
  *handle = descriptor;
  *name = NULL;
  return MAPFILE_OK;
}

/* Parking keeps the descriptor, so there is never one to open again. */
mapfile_status os_reopen(const os_name *name, uint32_t flags, uint32_t share, intptr_t *handle) {
  (void)name;
  (void)flags;
  (void)share;
  (void)handle;
  return MAPFILE_UNSUPPORTED;
}

void os_name_free(os_name *name) {
  (void)name;
}

/* pread moves nobody's position. */
mapfile_status os_own_handle(intptr_t native, uint32_t flags, intptr_t *handle) {
  (void)flags;
  *handle = native;
  return MAPFILE_OK;
}

mapfile_status os_handle_allows(intptr_t handle, uint32_t flags) {
  if (handle < 0 || handle > INT_MAX)
    return MAPFILE_INVALID;
  int how = fcntl((int)handle, F_GETFL);
  if (how < 0)
    return mf_status_from_errno(errno);
#ifdef O_PATH
  if ((how & O_PATH) != 0)
    return MAPFILE_DENIED;
#endif
  if ((how & O_ACCMODE) == O_WRONLY)
    return MAPFILE_DENIED;
  if ((flags & MAPFILE_WRITE) != 0 && (how & O_ACCMODE) != O_RDWR)
    return MAPFILE_DENIED;
  return MAPFILE_OK;
}

/* A number that is cut to an int could mean another file's descriptor. */
static bool is_descriptor(intptr_t handle) {
  return handle >= 0 && handle <= INT_MAX;
}

mapfile_status os_close(intptr_t handle) {
  if (!is_descriptor(handle))
    return mf_status_from_errno(EBADF);
  int result;
  WITHOUT_CANCELLATION(result = close((int)handle));
  /* EINTR: the descriptor is gone all the same; closing again could hit another thread's. */
  if (result != 0 && errno != EINTR)
    return mf_status_from_errno(errno);
  return MAPFILE_OK;
}

/* Unsigned, because file systems keep times for which 64 bits of nanoseconds are too few; what wraps still differs. */
static int64_t nanoseconds(struct timespec time) {
  return (int64_t)((uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec);
}

mapfile_status os_file_look(intptr_t handle, os_file_info *info) {
  struct stat look;
  if (fstat((int)handle, &look) != 0) {
    mf_set_native_error(errno);
    return MAPFILE_IO;
  }
  info->kind = S_ISREG(look.st_mode) ? OS_FILE_REGULAR : S_ISFIFO(look.st_mode) ? OS_FILE_STREAM : OS_FILE_OTHER;
  info->size = look.st_size > 0 ? (uint64_t)look.st_size : 0;
  info->modified = nanoseconds(look.st_mtim);
  info->changed = nanoseconds(look.st_ctim);
  return MAPFILE_OK;
}

bool os_may_map(intptr_t handle) {
  (void)handle;
  return true;
}

/* Numbers are used again only for files that are gone, and what is compared here is open or has a name. */
static void identify(const struct stat *look, os_identity *identity) {
  *identity = (os_identity){.volume = (uint64_t)look->st_dev, .id = {(uint64_t)look->st_ino}};
}

mapfile_status os_handle_identity(intptr_t handle, os_identity *identity) {
  struct stat look;
  if (fstat((int)handle, &look) != 0)
    return mf_status_from_errno(errno);
  identify(&look, identity);
  return MAPFILE_OK;
}

mapfile_status os_path_identity(const char *path, os_identity *identity) {
  struct stat look;
  if (lstat(path, &look) != 0)
    return mf_status_from_errno(errno);
  identify(&look, identity);
  return MAPFILE_OK;
}

static bool is_folder(const char *path) {
  struct stat look;
  return lstat(path, &look) == 0 && S_ISDIR(look.st_mode);
}

/* Linux says EISDIR, others EPERM. */
mapfile_status os_remove(const char *path) {
  if (unlink(path) == 0)
    return MAPFILE_OK;
  int error = errno;
  if (error == EPERM && is_folder(path))
    error = EISDIR;
  return mf_status_from_errno(error);
}

/* What unlink cannot take away here, another name does not make it take away. */
mapfile_status os_remove_aside(const char *path) {
  return os_remove(path);
}

mapfile_status os_rename(const char *from, const char *to) {
  if (is_folder(from))
    return mf_status_from_errno(EISDIR);
  if (rename(from, to) == 0)
    return MAPFILE_OK;
  if (errno != EXDEV)
    return mf_status_from_errno(errno);
  mf_set_native_error(EXDEV);
  return MAPFILE_UNSUPPORTED;
}

/* Growing, or writing, past the process's limit would raise SIGXFSZ. */
static uint64_t size_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

mapfile_status os_set_size(intptr_t handle, uint64_t size) {
  int result;
  if (size > size_limit())
    return mf_status_from_errno(EFBIG);
  do
    result = ftruncate((int)handle, (off_t)size);
  while (result != 0 && errno == EINTR);
  return result == 0 ? MAPFILE_OK : mf_status_from_errno(errno);
}

/* Where the system has a call that does not write bytes of its own instead, which could undo what others write. */
mapfile_status os_allocate(intptr_t handle, uint64_t length) {
  int error = EOPNOTSUPP;
  if (length > size_limit())
    return mf_status_from_errno(EFBIG);
#ifdef FALLOC_FL_KEEP_SIZE
  do
    WITHOUT_CANCELLATION(error = fallocate((int)handle, FALLOC_FL_KEEP_SIZE, 0, (off_t)length) == 0 ? 0 : errno);
  while (error == EINTR);
#else
  (void)handle;
#endif
  return error == 0 ? MAPFILE_OK : mf_status_from_errno(error);
}

/* What reading reports is about the bytes, not about a name or a permission: some file systems over a network answer
   ENOENT or EACCES, and NOT_FOUND must not seem to be the answer of a search. */
static mapfile_status status_of_reading(int error) {
  mapfile_status status = mf_status_from_errno(error);
  switch (status) {
  case MAPFILE_NO_MEMORY:
  case MAPFILE_NO_SPACE:
  case MAPFILE_POISONED:
  case MAPFILE_INVALID:
    return status;
  default:
    return MAPFILE_IO;
  }
}

mapfile_status os_read_at(intptr_t handle, uint64_t offset, void *buffer, size_t length, size_t *done) {
  *done = 0;
  while (*done < length) {
    size_t want = length - *done < MOST_AT_ONCE ? length - *done : MOST_AT_ONCE;
    ssize_t got;
    WITHOUT_CANCELLATION(got = pread((int)handle, (char *)buffer + *done, want, (off_t)(offset + *done)));
    if (got == 0)
      return MAPFILE_OK;
    if (got < 0 && errno != EINTR)
      return status_of_reading(errno);
    if (got > 0)
      *done += (size_t)got;
  }
  return MAPFILE_OK;
}

/* What of the parts is missing behind the first *done bytes, one by one. */
static mapfile_status read_rest(intptr_t handle, uint64_t offset, const os_part *parts, unsigned count, size_t *done) {
  size_t before = 0;
  for (unsigned i = 0; i < count; before += parts[i].length, i++) {
    if (*done >= before + parts[i].length)
      continue;
    size_t skip = *done - before, wanted = parts[i].length - skip, got;
    mapfile_status status = os_read_at(handle, offset + *done, (char *)parts[i].buffer + skip, wanted, &got);
    *done += got;
    if (status != MAPFILE_OK || got < wanted)
      return status;
  }
  return MAPFILE_OK;
}

/* Whatever keeps the one call from giving all, what it did not give is asked for again and says why. */
mapfile_status os_read_parts(intptr_t handle, uint64_t offset, const os_part *parts, unsigned count, size_t *done) {
  *done = 0;
#ifdef HAVE_PREADV
  struct iovec places[OS_MOST_PARTS];
  for (unsigned i = 0; i < count; i++)
    places[i] = (struct iovec){parts[i].buffer, parts[i].length};
  ssize_t got = 0;
  if (count > 1)
    WITHOUT_CANCELLATION(got = preadv((int)handle, places, (int)count, (off_t)offset));
  if (got > 0)
    *done = (size_t)got;
#endif
  return read_rest(handle, offset, parts, count, done);
}

/* A descriptor opened with O_NONBLOCK is waited for here, where waiting is what the caller asked for. */
static mapfile_status wait_readable(int descriptor) {
  struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
  int ready;
  do
    WITHOUT_CANCELLATION(ready = poll(&wanted, 1, -1));
  while (ready < 0 && errno == EINTR);
  return ready < 0 ? status_of_reading(errno) : MAPFILE_OK;
}

/* Reads before it waits: a FIFO that nobody has open for writing is at its end, and is not waited for. */
mapfile_status os_read_stream(intptr_t handle, uint64_t offset, void *buffer, size_t length, size_t *done) {
  mapfile_status status = MAPFILE_OK;
  (void)offset;
  *done = 0;
  while (status == MAPFILE_OK) {
    ssize_t got;
    WITHOUT_CANCELLATION(got = read((int)handle, buffer, length < MOST_AT_ONCE ? length : MOST_AT_ONCE));
    if (got >= 0) {
      *done = (size_t)got;
      return MAPFILE_OK;
    }
    if (errno == EAGAIN)
      status = wait_readable((int)handle);
    else if (errno != EINTR)
      status = status_of_reading(errno);
  }
  return status;
}

static mapfile_status status_of_receiver(int error) {
  return error == EBADF ? mf_status_from_errno(EACCES) : mf_status_from_errno(error);
}

mapfile_status os_write_stream(intptr_t handle, const void *buffer, size_t length, size_t *done) {
  *done = 0;
  if (!is_descriptor(handle))
    return status_of_receiver(EBADF);
  while (*done < length) {
    size_t want = length - *done < MOST_AT_ONCE ? length - *done : MOST_AT_ONCE;
    ssize_t got;
    WITHOUT_CANCELLATION(got = write((int)handle, (const char *)buffer + *done, want));
    if (got < 0 && errno != EINTR)
      return status_of_receiver(errno);
    if (got > 0)
      *done += (size_t)got;
  }
  return MAPFILE_OK;
}

/* What writing reports is about the bytes too. EINVAL: a descriptor that takes only whole blocks. */
static mapfile_status status_of_writing(int error) {
  mapfile_status status = mf_status_from_errno(error);
  if (error == EFAULT)
    return MAPFILE_UNKNOWN;
  switch (status) {
  case MAPFILE_INVALID:
    return error == EINVAL ? MAPFILE_UNSUPPORTED : status;
  case MAPFILE_NO_MEMORY:
  case MAPFILE_DENIED:
  case MAPFILE_BUSY:
  case MAPFILE_NO_SPACE:
  case MAPFILE_POISONED:
    return status;
  default:
    return error == EFBIG ? status : MAPFILE_IO;
  }
}

/* How much to ask for at once so that nothing reaches past the limit, with which the system would send a signal. */
static size_t writable_at(uint64_t offset, size_t length, uint64_t limit) {
  uint64_t room = offset < limit ? limit - offset : 0;
  size_t most = room < MOST_AT_ONCE ? (size_t)room : MOST_AT_ONCE;
  return length < most ? length : most;
}

mapfile_status os_write_at(intptr_t handle, uint64_t offset, const void *buffer, size_t length, size_t *done) {
  uint64_t limit = size_limit();
  *done = 0;
  while (*done < length) {
    size_t want = writable_at(offset + *done, length - *done, limit);
    if (want == 0)
      return mf_status_from_errno(EFBIG);
    ssize_t put;
    WITHOUT_CANCELLATION(put = pwrite((int)handle, (const char *)buffer + *done, want, (off_t)(offset + *done)));
    if (put == 0 || (put < 0 && errno != EINTR))
      return status_of_writing(put == 0 ? EIO : errno);
    if (put > 0)
      *done += (size_t)put;
  }
  return MAPFILE_OK;
}

/* With O_APPEND Linux heeds no offset. The program may set it at any time. */
mapfile_status os_writes_where_asked(intptr_t handle) {
  int how = fcntl((int)handle, F_GETFL);
  if (how < 0)
    return mf_status_from_errno(errno);
  mf_set_native_error(0);
  return (how & O_APPEND) != 0 ? MAPFILE_UNSUPPORTED : MAPFILE_OK;
}

mapfile_status os_send_file(intptr_t file, uint64_t offset, size_t length, intptr_t handle, size_t *done) {
  *done = 0;
#ifdef HAVE_SYS_SENDFILE_H
  if (!is_descriptor(handle))
    return status_of_receiver(EBADF);
  off_t from = (off_t)offset;
  ssize_t sent;
  do
    sent = sendfile((int)handle, (int)file, &from, length < MOST_AT_ONCE ? length : MOST_AT_ONCE);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    *done = (size_t)sent;
    return MAPFILE_OK;
  }
  /* Not this pair (EINVAL: for one, a receiver opened for appending), or not this kernel. */
  if (errno == EINVAL || errno == ENOSYS || errno == EBADF)
    return MAPFILE_UNSUPPORTED;
  return status_of_receiver(errno);
#else
  (void)file;
  (void)offset;
  (void)length;
  (void)handle;
  return MAPFILE_UNSUPPORTED;
#endif
}

bool os_is_hole(intptr_t handle, uint64_t offset, uint64_t length) {
#ifdef SEEK_DATA
  off_t data = lseek((int)handle, (off_t)offset, SEEK_DATA);
  return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + length;
#else
  (void)handle;
  (void)offset;
  (void)length;
  return false;
#endif
}

bool os_file_system_full(intptr_t handle) {
  struct statvfs space;
  /* What is kept back counts as gone, for root too: file systems keep some from everybody. */
  if (fstatvfs((int)handle, &space) != 0 || space.f_blocks == 0 || space.f_bavail != 0)
    return false;
  mf_set_native_error(ENOSPC);
  return true;
}
