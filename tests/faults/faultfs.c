/*
 * faultfs: a file system in memory, for tests, that fails where it is told to.
 *
 * SPDX-License-Identifier: MIT
 *
 *     faultfs -f [-o OPTION,...] [--size=BYTES] MOUNTPOINT
 *
 * It prints "ready" once the kernel talks to it, and ends when it is unmounted or on SIGTERM. The kernel caches pages
 * as it does for a disk (so the files can be mapped, also shared and writable), but asks for attributes every time.
 *
 * Commands are lines written to MOUNTPOINT/.control, which readdir does not show; reading it lists the rules:
 *
 *     KIND ERRNO OFFSET LENGTH NAME   fail KIND on bytes [OFFSET, OFFSET + LENGTH) of the files called NAME
 *     clear                           forget every rule
 *     drop NAME                       have the kernel forget the pages it caches of NAME
 *
 * KIND is read, write, open, getattr, truncate, flush (what close reports) or fsync; the range counts for read and
 * write. LENGTH may be "end". ERRNO is a name (EIO) or a number. NAME is the last part of a path, the whole path from
 * the mount point without a leading slash, or * for every file. A rule for read also drops what is cached, so that it
 * is met. A wrong line makes the write fail with EINVAL.
 *
 * Stores through a shared map go to the kernel's cache, which sends them on later: a rule for write is then met by
 * fsync, msync or close, never by the store.
 */
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, LEAF = 1024, RULES = 64, NAME_MOST = 255, CONTROL_MOST = 16384 };
static const uint64_t file_most = (uint64_t)1 << 44;

typedef struct node node;

typedef struct entry {
  struct entry *next;
  node *target;
  uint64_t cookie; /* grows, so that readdir can go on after entries were removed */
  char name[NAME_MOST + 1];
} entry;

struct node {
  struct stat stat;
  node *parent; /* of the name below; used only to tell a file's path */
  char name[NAME_MOST + 1];
  uint64_t lookups;
  char *link;
  entry *entries;
  unsigned char ***leaves; /* blocks of the file: leaves[i][j] is block i * LEAF + j, or NULL for a hole */
  size_t leaf_count;
};

enum kind { KIND_READ, KIND_WRITE, KIND_OPEN, KIND_GETATTR, KIND_TRUNCATE, KIND_FLUSH, KIND_FSYNC, KINDS };
static const char *const kind_names[KINDS] = {"read", "write", "open", "getattr", "truncate", "flush", "fsync"};

typedef struct rule {
  enum kind kind;
  int error;
  uint64_t low, high;
  char name[1024];
} rule;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fuse_session *session;
static node root, control;
static rule rules[RULES];
static size_t rule_count;
static uint64_t next_ino = 2, next_cookie = 3;
static uint64_t blocks_all = (64u << 20) / BLOCK, blocks_used;

static const struct {
  const char *name;
  int value;
} errors[] = {
    {"EIO", EIO},         {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},       {"EROFS", EROFS},   {"ENXIO", ENXIO},
    {"EREMOTEIO", 121},   {"ESTALE", ESTALE}, {"EACCES", EACCES},       {"EPERM", EPERM},   {"EBUSY", EBUSY},
    {"ENOMEM", ENOMEM},   {"EFBIG", EFBIG},   {"ETIMEDOUT", ETIMEDOUT}, {"ENODEV", ENODEV}, {"EINTR", EINTR},
    {"EUCLEAN", EUCLEAN}, {"EAGAIN", EAGAIN}, {"EINVAL", EINVAL},       {"ENOENT", ENOENT}, {"ETXTBSY", ETXTBSY},
    {"EMFILE", EMFILE},   {"ENFILE", ENFILE}, {"EBADMSG", EBADMSG}};

/*
 * Rules
 */

static int path_of(const node *file, char *path, size_t size) {
  size_t at = size - 1;

  path[at] = '\0';
  for (; file != NULL && file != &root; file = file->parent) {
    size_t length = strlen(file->name);

    if (at < length + 1) {
      return 0;
    }
    at -= length;
    memcpy(path + at, file->name, length);
    if (file->parent != NULL && file->parent != &root) {
      path[--at] = '/';
    }
  }
  memmove(path, path + at, size - at);
  return 1;
}

static int called(const node *file, const char *name) {
  char path[4096];

  return strcmp(name, "*") == 0 || strcmp(name, file->name) == 0 ||
         (path_of(file, path, sizeof path) && strcmp(name, path) == 0);
}

/* The error that a rule demands here, or 0. The lock is held. */
static int fault(const node *file, enum kind kind, uint64_t low, uint64_t length) {
  for (size_t i = 0; i < rule_count; i++) {
    const rule *r = &rules[i];
    int touches = kind > KIND_WRITE || (low < r->high && low + length > r->low);

    if (r->kind == kind && touches && called(file, r->name)) {
      return r->error;
    }
  }
  return 0;
}

static int parse_error(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);

  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (strcmp(errors[i].name, text) == 0) {
      return errors[i].value;
    }
  }
  return *end == '\0' && value > 0 && value < 4096 ? (int)value : 0;
}

static int parse_rule(const char *line, rule *r) {
  char kind[16], error[16], low[32], length[32];
  char *end = NULL;
  int at = 0;

  if (sscanf(line, "%15s %15s %31s %31s %n", kind, error, low, length, &at) != 4 || at == 0 || line[at] == '\0' ||
      strlen(line + at) >= sizeof r->name) {
    return 0;
  }
  memcpy(r->name, line + at, strlen(line + at) + 1);
  for (r->kind = 0; r->kind < KINDS && strcmp(kind, kind_names[r->kind]) != 0; r->kind++) {
  }
  r->error = parse_error(error);
  r->low = strtoull(low, &end, 0);
  if (r->kind == KINDS || r->error == 0 || *end != '\0') {
    return 0;
  }
  if (strcmp(length, "end") == 0) {
    r->high = UINT64_MAX;
    return 1;
  }
  r->high = r->low + strtoull(length, &end, 0);
  return *end == '\0';
}

/* Put what the kernel may cache of matching files into list, and return how many. The lock is held. */
static size_t gather(const node *folder, const char *name, fuse_ino_t *list, size_t most) {
  size_t count = 0;

  for (const entry *e = folder->entries; e != NULL && count < most; e = e->next) {
    if (S_ISDIR(e->target->stat.st_mode)) {
      count += gather(e->target, name, list + count, most - count);
    } else if (S_ISREG(e->target->stat.st_mode) && called(e->target, name)) {
      list[count++] = (fuse_ino_t)(uintptr_t)e->target;
    }
  }
  return count;
}

/* Not under the lock: the kernel may first write dirty pages back to us, on another of our threads. */
static void drop(const char *name) {
  enum { MOST = 1024 };
  fuse_ino_t *list = calloc(MOST, sizeof *list);
  size_t count;

  if (list == NULL) {
    return;
  }
  pthread_mutex_lock(&lock);
  count = gather(&root, name, list, MOST);
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < count; i++) {
    fuse_lowlevel_notify_inval_inode(session, list[i], 0, 0);
  }
  free(list);
}

static int obey(const char *line) {
  rule r;
  int error = 0;

  if (*line == '\0') {
    return 0;
  }
  if (strncmp(line, "drop ", 5) == 0) {
    drop(line + 5);
    return 0;
  }
  pthread_mutex_lock(&lock);
  if (strcmp(line, "clear") == 0) {
    rule_count = 0;
  } else if (!parse_rule(line, &r)) {
    error = EINVAL;
  } else if (rule_count == RULES) {
    error = ENOSPC;
  } else {
    rules[rule_count++] = r;
  }
  pthread_mutex_unlock(&lock);
  if (error == 0 && strncmp(line, "read ", 5) == 0) {
    drop(r.name);
  }
  return error;
}

static void control_write(fuse_req_t req, const char *data, size_t size) {
  char text[CONTROL_MOST + 1];
  char *rest = text, *line;
  int error = size > CONTROL_MOST ? EFBIG : 0;

  memcpy(text, data, error ? 0 : size);
  text[error ? 0 : size] = '\0';
  while (error == 0 && (line = strsep(&rest, "\n")) != NULL) {
    error = obey(line);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_write(req, size);
  }
}

static void control_read(fuse_req_t req, size_t size, uint64_t offset) {
  char *text = NULL;
  size_t length = 0;
  FILE *stream = open_memstream(&text, &length);

  if (stream == NULL) {
    fuse_reply_err(req, ENOMEM);
    return;
  }
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < rule_count; i++) {
    const rule *r = &rules[i];

    fprintf(stream, "%s %d %llu ", kind_names[r->kind], r->error, (unsigned long long)r->low);
    if (r->high == UINT64_MAX) {
      fprintf(stream, "end %s\n", r->name);
    } else {
      fprintf(stream, "%llu %s\n", (unsigned long long)(r->high - r->low), r->name);
    }
  }
  pthread_mutex_unlock(&lock);
  fclose(stream);
  if (offset >= length) {
    fuse_reply_buf(req, NULL, 0);
  } else {
    fuse_reply_buf(req, text + offset, length - offset < size ? length - offset : size);
  }
  free(text);
}

/*
 * Nodes and their blocks. The lock is held in all of these.
 */

static node *node_of(fuse_ino_t ino) {
  return ino == FUSE_ROOT_ID ? &root : (node *)(uintptr_t)ino;
}

static void touch(node *file, int modified) {
  clock_gettime(CLOCK_REALTIME, &file->stat.st_ctim);
  if (modified) {
    file->stat.st_mtim = file->stat.st_ctim;
  }
}

static unsigned char **block_slot(node *file, uint64_t index, int make) {
  size_t leaf = (size_t)(index / LEAF);

  if (leaf >= file->leaf_count) {
    unsigned char ***grown = make ? realloc(file->leaves, (leaf + 1) * sizeof *grown) : NULL;

    if (grown == NULL) {
      return NULL;
    }
    memset(grown + file->leaf_count, 0, (leaf + 1 - file->leaf_count) * sizeof *grown);
    file->leaves = grown;
    file->leaf_count = leaf + 1;
  }
  if (file->leaves[leaf] == NULL) {
    file->leaves[leaf] = make ? calloc(LEAF, sizeof **file->leaves) : NULL;
    if (file->leaves[leaf] == NULL) {
      return NULL;
    }
  }
  return &file->leaves[leaf][index % LEAF];
}

static const unsigned char *block_get(node *file, uint64_t index) {
  unsigned char **slot = block_slot(file, index, 0);

  return slot == NULL ? NULL : *slot;
}

static unsigned char *block_make(node *file, uint64_t index) {
  unsigned char **slot = block_slot(file, index, 1);

  if (slot == NULL || *slot != NULL) {
    return slot == NULL ? NULL : *slot;
  }
  if (blocks_used >= blocks_all || (*slot = calloc(1, BLOCK)) == NULL) {
    return NULL;
  }
  blocks_used++;
  file->stat.st_blocks += BLOCK / 512;
  return *slot;
}

/* Make [low, high) holes, zeroing the parts of blocks at its ends. */
static void punch(node *file, uint64_t low, uint64_t high) {
  uint64_t held = (uint64_t)file->leaf_count * LEAF * BLOCK;

  high = high > held ? held : high;
  while (low < high) {
    uint64_t start = low % BLOCK, length = BLOCK - start < high - low ? BLOCK - start : high - low;
    unsigned char **slot = block_slot(file, low / BLOCK, 0);

    if (slot == NULL) {
      length = (uint64_t)LEAF * BLOCK - low % ((uint64_t)LEAF * BLOCK);
    } else if (*slot != NULL && length < BLOCK) {
      memset(*slot + start, 0, (size_t)length);
    } else if (*slot != NULL) {
      free(*slot);
      *slot = NULL;
      blocks_used--;
      file->stat.st_blocks -= BLOCK / 512;
    }
    low += length;
  }
}

static void shed_blocks(node *file) {
  punch(file, 0, UINT64_MAX);
  for (size_t i = 0; i < file->leaf_count; i++) {
    free(file->leaves[i]);
  }
  free(file->leaves);
  file->leaves = NULL;
  file->leaf_count = 0;
}

static void release(node *file) {
  if (file->lookups == 0 && file->stat.st_nlink == 0 && file != &root && file != &control) {
    shed_blocks(file);
    free(file->link);
    free(file);
  }
}

static int resize(node *file, uint64_t size) {
  if (size > file_most) {
    return EFBIG;
  }
  if (size < (uint64_t)file->stat.st_size) {
    punch(file, size, UINT64_MAX);
  }
  file->stat.st_size = (off_t)size;
  touch(file, 1);
  return 0;
}

static entry **find_entry(node *folder, const char *name) {
  entry **e = &folder->entries;

  while (*e != NULL && strcmp((*e)->name, name) != 0) {
    e = &(*e)->next;
  }
  return e;
}

static int add_entry(node *folder, const char *name, node *target) {
  entry **end = find_entry(folder, name);
  entry *e = strlen(name) > NAME_MOST ? NULL : calloc(1, sizeof *e);

  if (e == NULL) {
    return strlen(name) > NAME_MOST ? ENAMETOOLONG : ENOMEM;
  }
  strcpy(e->name, name);
  strcpy(target->name, name);
  e->target = target;
  e->cookie = next_cookie++;
  target->parent = folder;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = e;
  touch(folder, 1);
  return 0;
}

static void remove_entry(node *folder, entry **at) {
  entry *e = *at;
  node *target = e->target;

  *at = e->next;
  free(e);
  touch(folder, 1);
  touch(target, 0);
  if (S_ISDIR(target->stat.st_mode)) {
    target->stat.st_nlink = 0;
    folder->stat.st_nlink--;
  } else {
    target->stat.st_nlink--;
  }
  release(target);
}

static node *make_node(mode_t mode, const struct fuse_ctx *who) {
  node *file = calloc(1, sizeof *file);

  if (file != NULL) {
    file->stat.st_ino = next_ino++;
    file->stat.st_mode = mode;
    file->stat.st_nlink = S_ISDIR(mode) ? 2 : 1;
    file->stat.st_uid = who->uid;
    file->stat.st_gid = who->gid;
    file->stat.st_blksize = BLOCK;
    touch(file, 1);
    file->stat.st_atim = file->stat.st_mtim;
  }
  return file;
}

static void fill_entry(node *file, struct fuse_entry_param *param) {
  memset(param, 0, sizeof *param);
  param->ino = (fuse_ino_t)(uintptr_t)file;
  param->attr = file->stat;
  file->lookups++;
}

/*
 * What the kernel asks
 */

static void fs_init(void *data, struct fuse_conn_info *conn) {
  (void)data;
  conn->want &= ~(unsigned int)FUSE_CAP_ATOMIC_O_TRUNC; /* so that emptying a file is always fs_setattr's */
  puts("ready");
  fflush(stdout);
}

static void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param param;
  node *folder = node_of(parent);
  entry *e;

  pthread_mutex_lock(&lock);
  e = *find_entry(folder, name);
  if (folder == &root && strcmp(name, ".control") == 0) {
    fill_entry(&control, &param);
  } else if (e != NULL) {
    fill_entry(e->target, &param);
  }
  pthread_mutex_unlock(&lock);
  if (e == NULL && !(folder == &root && strcmp(name, ".control") == 0)) {
    fuse_reply_err(req, ENOENT);
  } else {
    fuse_reply_entry(req, &param);
  }
}

static void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count) {
  node *file = node_of(ino);

  pthread_mutex_lock(&lock);
  file->lookups -= count;
  release(file);
  pthread_mutex_unlock(&lock);
  fuse_reply_none(req);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  struct stat stat;
  int error;

  (void)info;
  pthread_mutex_lock(&lock);
  stat = node_of(ino)->stat;
  error = fault(node_of(ino), KIND_GETATTR, 0, 0);
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_attr(req, &stat, 0);
  }
}

static void set_times(node *file, const struct stat *attr, int which) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  if (which & FUSE_SET_ATTR_ATIME) {
    file->stat.st_atim = which & FUSE_SET_ATTR_ATIME_NOW ? now : attr->st_atim;
  }
  if (which & FUSE_SET_ATTR_MTIME) {
    file->stat.st_mtim = which & FUSE_SET_ATTR_MTIME_NOW ? now : attr->st_mtim;
  }
}

static int set_attributes(node *file, const struct stat *attr, int which) {
  int error = 0;

  if (which & FUSE_SET_ATTR_SIZE && file != &control) {
    error = fault(file, KIND_TRUNCATE, 0, 0);
    error = error != 0 ? error : resize(file, (uint64_t)attr->st_size);
  }
  if (error != 0) {
    return error;
  }
  if (which & FUSE_SET_ATTR_MODE) {
    file->stat.st_mode = (file->stat.st_mode & S_IFMT) | (attr->st_mode & 07777);
  }
  if (which & FUSE_SET_ATTR_UID) {
    file->stat.st_uid = attr->st_uid;
  }
  if (which & FUSE_SET_ATTR_GID) {
    file->stat.st_gid = attr->st_gid;
  }
  set_times(file, attr, which);
  touch(file, 0);
  return 0;
}

static void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int which, struct fuse_file_info *info) {
  struct stat stat;
  int error;

  (void)info;
  pthread_mutex_lock(&lock);
  error = set_attributes(node_of(ino), attr, which);
  stat = node_of(ino)->stat;
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_attr(req, &stat, 0);
  }
}

/* Make a node under a name. Returns 0 and fills param, or an error. */
static int make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device, const char *link,
                struct fuse_entry_param *param) {
  node *folder = node_of(parent), *file;
  int error = 0;

  if (*find_entry(folder, name) != NULL || (folder == &root && strcmp(name, ".control") == 0)) {
    return EEXIST;
  }
  file = make_node(mode, fuse_req_ctx(req));
  if (file == NULL || (link != NULL && (file->link = strdup(link)) == NULL)) {
    free(file);
    return ENOMEM;
  }
  file->stat.st_rdev = device;
  file->stat.st_size = link == NULL ? 0 : (off_t)strlen(link);
  error = add_entry(folder, name, file);
  if (error != 0) {
    file->stat.st_nlink = 0;
    release(file);
    return error;
  }
  folder->stat.st_nlink += S_ISDIR(mode) ? 1 : 0;
  fill_entry(file, param);
  return 0;
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device,
                           const char *link) {
  struct fuse_entry_param param;
  int error;

  pthread_mutex_lock(&lock);
  error = make(req, parent, name, mode, device, link, &param);
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_entry(req, &param);
  }
}

static void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
  make_and_reply(req, parent, name, mode, device, NULL);
}

static void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
  make_and_reply(req, parent, name, S_IFDIR | (mode & 07777), 0, NULL);
}

static void fs_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name) {
  make_and_reply(req, parent, name, S_IFLNK | 0777, 0, link);
}

static void fs_readlink(fuse_req_t req, fuse_ino_t ino) {
  fuse_reply_readlink(req, node_of(ino)->link);
}

static void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param param;
  node *file = node_of(ino);
  int error;

  pthread_mutex_lock(&lock);
  error = *find_entry(node_of(parent), name) != NULL ? EEXIST : add_entry(node_of(parent), name, file);
  if (error == 0) {
    file->stat.st_nlink++;
    touch(file, 0);
    fill_entry(file, &param);
  }
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_entry(req, &param);
  }
}

static int remove_name(node *folder, const char *name, int is_folder) {
  entry **at = find_entry(folder, name);

  if (*at == NULL) {
    return ENOENT;
  }
  if (is_folder != S_ISDIR((*at)->target->stat.st_mode)) {
    return is_folder ? ENOTDIR : EISDIR;
  }
  if (is_folder && (*at)->target->entries != NULL) {
    return ENOTEMPTY;
  }
  remove_entry(folder, at);
  return 0;
}

static void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
  int error;

  pthread_mutex_lock(&lock);
  error = remove_name(node_of(parent), name, 0);
  pthread_mutex_unlock(&lock);
  fuse_reply_err(req, error);
}

static void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
  int error;

  pthread_mutex_lock(&lock);
  error = remove_name(node_of(parent), name, 1);
  pthread_mutex_unlock(&lock);
  fuse_reply_err(req, error);
}

static int rename_node(node *from, const char *name, node *to, const char *new_name, unsigned int flags) {
  entry **source = find_entry(from, name), **victim = find_entry(to, new_name);
  node *moved;
  int error;

  if (*source == NULL) {
    return ENOENT;
  }
  moved = (*source)->target;
  if (*victim != NULL) {
    if (flags & RENAME_NOREPLACE) {
      return EEXIST;
    }
    if ((*victim)->target == moved) {
      return 0;
    }
    error = remove_name(to, new_name, S_ISDIR(moved->stat.st_mode));
    if (error != 0) {
      return error;
    }
  }
  error = add_entry(to, new_name, moved);
  if (error != 0) {
    return error;
  }
  if (S_ISDIR(moved->stat.st_mode)) {
    to->stat.st_nlink++; /* remove_entry takes the folder for deleted, so its own count is set again below */
  } else {
    moved->stat.st_nlink++;
  }
  moved->lookups++;
  remove_entry(from, find_entry(from, name));
  moved->lookups--;
  if (S_ISDIR(moved->stat.st_mode)) {
    moved->stat.st_nlink = 2;
    for (entry *e = moved->entries; e != NULL; e = e->next) {
      moved->stat.st_nlink += S_ISDIR(e->target->stat.st_mode) ? 1 : 0;
    }
  }
  return 0;
}

static void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned int flags) {
  int error = EINVAL;

  pthread_mutex_lock(&lock);
  if ((flags & ~(unsigned int)RENAME_NOREPLACE) == 0) {
    error = rename_node(node_of(parent), name, node_of(new_parent), new_name, flags);
  }
  pthread_mutex_unlock(&lock);
  fuse_reply_err(req, error);
}

/* The kernel keeps its pages across opens; the control file's are never cached. */
static void set_caching(const node *file, struct fuse_file_info *info) {
  info->direct_io = file == &control;
  info->keep_cache = file != &control;
}

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  int error;

  pthread_mutex_lock(&lock);
  error = fault(node_of(ino), KIND_OPEN, 0, 0);
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  set_caching(node_of(ino), info);
  fuse_reply_open(req, info);
}

static void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *info) {
  struct fuse_entry_param param;
  int error;

  pthread_mutex_lock(&lock);
  error = make(req, parent, name, S_IFREG | (mode & 07777), 0, NULL, &param);
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  set_caching(node_of(param.ino), info);
  fuse_reply_create(req, &param, info);
}

static void copy_out(node *file, char *buffer, size_t size, uint64_t offset) {
  while (size > 0) {
    size_t start = (size_t)(offset % BLOCK), length = BLOCK - start < size ? BLOCK - start : size;
    const unsigned char *block = block_get(file, offset / BLOCK);

    if (block == NULL) {
      memset(buffer, 0, length);
    } else {
      memcpy(buffer, block + start, length);
    }
    buffer += length;
    offset += length;
    size -= length;
  }
}

static size_t copy_in(node *file, const char *buffer, size_t size, uint64_t offset) {
  size_t done = 0;

  while (done < size) {
    size_t start = (size_t)((offset + done) % BLOCK),
           length = BLOCK - start < size - done ? BLOCK - start : size - done;
    unsigned char *block = block_make(file, (offset + done) / BLOCK);

    if (block == NULL) {
      break;
    }
    memcpy(block + start, buffer + done, length);
    done += length;
  }
  return done;
}

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
  node *file = node_of(ino);
  uint64_t at = (uint64_t)offset, end;
  char *buffer;
  int error;

  (void)info;
  if (file == &control) {
    control_read(req, size, at);
    return;
  }
  buffer = malloc(size > 0 ? size : 1);
  pthread_mutex_lock(&lock);
  end = (uint64_t)file->stat.st_size;
  size = at >= end ? 0 : end - at < size ? (size_t)(end - at) : size;
  error = buffer == NULL ? ENOMEM : fault(file, KIND_READ, at, size);
  if (error == 0) {
    copy_out(file, buffer, size, at);
  }
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_buf(req, buffer, size);
  }
  free(buffer);
}

static void fs_write(fuse_req_t req, fuse_ino_t ino, const char *buffer, size_t size, off_t offset,
                     struct fuse_file_info *info) {
  node *file = node_of(ino);
  uint64_t at = (uint64_t)offset;
  size_t done = 0;
  int error;

  (void)info;
  if (file == &control) {
    control_write(req, buffer, size);
    return;
  }
  pthread_mutex_lock(&lock);
  error = at + size > file_most ? EFBIG : fault(file, KIND_WRITE, at, size);
  if (error == 0) {
    done = copy_in(file, buffer, size, at);
    error = done < size && done == 0 ? ENOSPC : 0;
  }
  if (done > 0) {
    if (at + done > (uint64_t)file->stat.st_size) {
      file->stat.st_size = (off_t)(at + done);
    }
    touch(file, 1);
  }
  pthread_mutex_unlock(&lock);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_write(req, done);
  }
}

static int allocate(node *file, int mode, uint64_t low, uint64_t high) {
  if (mode & FALLOC_FL_PUNCH_HOLE) {
    punch(file, low, high);
    touch(file, 1);
    return 0;
  }
  if (high > file_most) {
    return EFBIG;
  }
  for (uint64_t index = low / BLOCK; index * BLOCK < high; index++) {
    if (block_make(file, index) == NULL) {
      return ENOSPC;
    }
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE) && high > (uint64_t)file->stat.st_size) {
    file->stat.st_size = (off_t)high;
  }
  touch(file, 1);
  return 0;
}

static void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *info) {
  int error = EOPNOTSUPP;

  (void)info;
  pthread_mutex_lock(&lock);
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) == 0) {
    error = allocate(node_of(ino), mode, (uint64_t)offset, (uint64_t)offset + (uint64_t)length);
  }
  pthread_mutex_unlock(&lock);
  fuse_reply_err(req, error);
}

static void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *info) {
  node *file = node_of(ino);
  uint64_t at = (uint64_t)offset, end;

  (void)info;
  pthread_mutex_lock(&lock);
  end = (uint64_t)file->stat.st_size;
  while (at < end && (block_get(file, at / BLOCK) != NULL) != (whence == SEEK_DATA)) {
    at = (at / BLOCK + 1) * BLOCK;
  }
  pthread_mutex_unlock(&lock);
  if ((uint64_t)offset >= end || (at >= end && whence == SEEK_DATA)) {
    fuse_reply_err(req, ENXIO);
  } else {
    fuse_reply_lseek(req, (off_t)(at > end ? end : at));
  }
}

static void reply_rule(fuse_req_t req, fuse_ino_t ino, enum kind kind) {
  int error;

  pthread_mutex_lock(&lock);
  error = fault(node_of(ino), kind, 0, 0);
  pthread_mutex_unlock(&lock);
  fuse_reply_err(req, error);
}

static void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  (void)info;
  reply_rule(req, ino, KIND_FLUSH);
}

static void fs_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info) {
  (void)data_only;
  (void)info;
  reply_rule(req, ino, KIND_FSYNC);
}

static void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info) {
  (void)ino;
  (void)data_only;
  (void)info;
  fuse_reply_err(req, 0);
}

/* Cookies 1 and 2 are "." and ".."; each name goes with the cookie after which to go on. */
static void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
  node *folder = node_of(ino);
  char *buffer = malloc(size);
  size_t used = 0, need;

  (void)info;
  if (buffer == NULL) {
    fuse_reply_err(req, ENOMEM);
    return;
  }
  pthread_mutex_lock(&lock);
  for (off_t dot = offset; dot < 2; dot++) {
    used += fuse_add_direntry(req, buffer + used, size - used, dot == 0 ? "." : "..", &folder->stat, dot + 1);
  }
  for (entry *e = folder->entries; e != NULL; e = e->next) {
    if (e->cookie > (uint64_t)offset) {
      need = fuse_add_direntry(req, buffer + used, size - used, e->name, &e->target->stat, (off_t)e->cookie);
      if (need > size - used) {
        break;
      }
      used += need;
    }
  }
  pthread_mutex_unlock(&lock);
  fuse_reply_buf(req, buffer, used);
  free(buffer);
}

static void fs_statfs(fuse_req_t req, fuse_ino_t ino) {
  struct statvfs stat;

  (void)ino;
  memset(&stat, 0, sizeof stat);
  stat.f_bsize = stat.f_frsize = BLOCK;
  stat.f_namemax = NAME_MOST;
  stat.f_files = 1u << 20;
  pthread_mutex_lock(&lock);
  stat.f_blocks = blocks_all;
  stat.f_bfree = stat.f_bavail = blocks_all - blocks_used;
  stat.f_ffree = stat.f_favail = stat.f_files - (next_ino < stat.f_files ? next_ino : stat.f_files);
  pthread_mutex_unlock(&lock);
  fuse_reply_statfs(req, &stat);
}

static const struct fuse_lowlevel_ops operations = {
    .init = fs_init,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .readlink = fs_readlink,
    .mknod = fs_mknod,
    .mkdir = fs_mkdir,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .symlink = fs_symlink,
    .rename = fs_rename,
    .link = fs_link,
    .open = fs_open,
    .read = fs_read,
    .write = fs_write,
    .flush = fs_flush,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsyncdir,
    .readdir = fs_readdir,
    .statfs = fs_statfs,
    .create = fs_create,
    .fallocate = fs_fallocate,
    .lseek = fs_lseek,
};

/*
 * Starting and ending
 */

static void prepare(void) {
  struct fuse_ctx me;

  memset(&me, 0, sizeof me);
  me.uid = getuid();
  me.gid = getgid();
  root.stat.st_ino = 1;
  root.stat.st_mode = S_IFDIR | 0755;
  root.stat.st_nlink = 2;
  root.stat.st_uid = me.uid;
  root.stat.st_gid = me.gid;
  touch(&root, 1);
  root.stat.st_atim = root.stat.st_mtim;
  control.stat = root.stat;
  control.stat.st_ino = next_ino++;
  control.stat.st_mode = S_IFREG | 0600;
  control.stat.st_nlink = 1;
  control.parent = &root;
  strcpy(control.name, ".control");
}

static void free_tree(node *folder) {
  while (folder->entries != NULL) {
    node *target = folder->entries->target;

    free_tree(target);
    target->lookups = 0;
    remove_entry(folder, &folder->entries);
  }
}

static const struct fuse_opt size_option[] = {{"--size=%llu", 0, 0}, FUSE_OPT_END};

static int serve(struct fuse_args *args, const struct fuse_cmdline_opts *line) {
  struct fuse_loop_config config;
  int result = 1;

  session = fuse_session_new(args, &operations, sizeof operations, NULL);
  if (session == NULL) {
    return 1;
  }
  if (fuse_set_signal_handlers(session) == 0) {
    if (fuse_session_mount(session, line->mountpoint) == 0) {
      fuse_daemonize(line->foreground);
      config.clone_fd = 0;
      config.max_idle_threads = 10;
      result = fuse_session_loop_mt(session, &config) < 0;
      fuse_session_unmount(session);
    }
    fuse_remove_signal_handlers(session);
  }
  fuse_session_destroy(session);
  return result;
}

int main(int argc, char **argv) {
  struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
  struct fuse_cmdline_opts line;
  unsigned long long size = 64u << 20;
  int result;

  memset(&line, 0, sizeof line);
  if (fuse_opt_parse(&args, &size, size_option, NULL) != 0 || fuse_parse_cmdline(&args, &line) != 0 ||
      line.mountpoint == NULL || fuse_opt_add_arg(&args, "-odefault_permissions,fsname=faultfs,subtype=faultfs") != 0) {
    fprintf(stderr, "usage: faultfs -f [-o OPTION,...] [--size=BYTES] MOUNTPOINT\n");
    return 2;
  }
  blocks_all = size / BLOCK;
  prepare();
  result = serve(&args, &line);
  free_tree(&root);
  free(line.mountpoint);
  fuse_opt_free_args(&args);
  return result;
}
