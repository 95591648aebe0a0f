/*
 * posix/file.c - files: opening, looking, reading, sending.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

mapfile_status os_open(const char *path, uint32_t flags, uint32_t create_mode, intptr_t *handle) {
  /* O_NONBLOCK: opening a FIFO does not wait for its other end; it means nothing for regular files. */
  int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how |= (flags & MAPFILE_WRITE) != 0 ? O_RDWR : O_RDONLY;
  how |= (flags & MAPFILE_CREATE) != 0 ? O_CREAT : 0;
  how |= (flags & MAPFILE_TRUNCATE) != 0 ? O_TRUNC : 0;
  how |= (flags & MAPFILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
  int descriptor;
  do
    descriptor = open(path, how, create_mode != 0 ? (mode_t)create_mode : 0666);
  while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0)
    return mf_status_from_errno(errno);
  *handle = descriptor;
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
  /* EINTR: the descriptor is gone all the same; closing again could hit another thread's. */
  if (close((int)handle) != 0 && errno != EINTR)
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
    ssize_t got = pread((int)handle, (char *)buffer + *done, want, (off_t)(offset + *done));
    if (got == 0)
      return MAPFILE_OK;
    if (got < 0 && errno != EINTR)
      return status_of_reading(errno);
    if (got > 0)
      *done += (size_t)got;
  }
  return MAPFILE_OK;
}

/* A descriptor opened with O_NONBLOCK is waited for here, where waiting is what the caller asked for. */
static mapfile_status wait_readable(int descriptor) {
  struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
  while (poll(&wanted, 1, -1) < 0)
    if (errno != EINTR)
      return status_of_reading(errno);
  return MAPFILE_OK;
}

/* Reads before it waits: a FIFO that nobody has open for writing is at its end, and is not waited for. */
mapfile_status os_read_stream(intptr_t handle, void *buffer, size_t length, size_t *done) {
  mapfile_status status = MAPFILE_OK;
  *done = 0;
  while (status == MAPFILE_OK) {
    ssize_t got = read((int)handle, buffer, length < MOST_AT_ONCE ? length : MOST_AT_ONCE);
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
    ssize_t got = write((int)handle, (const char *)buffer + *done, want);
    if (got < 0 && errno != EINTR)
      return status_of_receiver(errno);
    if (got > 0)
      *done += (size_t)got;
  }
  return MAPFILE_OK;
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
