/* Count the lines of a file, whatever happens to it meanwhile. SPDX-License-Identifier: MIT */
#include <mapfile.h>
#include <stdio.h>

static unsigned long long lines;

static mapfile_status MAPFILE_CALL count_lines(void *argument) {
  const mapfile_view *view = argument;
  for (size_t i = 0; i < view->length; i++)
    lines += ((const char *)view->data)[i] == '\n';
  return MAPFILE_OK;
}

int main(int argc, char **argv) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mapfile_open(argc == 2 ? argv[1] : "", NULL, &file);
  if (status == MAPFILE_OK)
    status = mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  if (status == MAPFILE_OK && (status = mapfile_try(file, &view, count_lines, &view, &fault)) == MAPFILE_UNKNOWN)
    status = mapfile_fault_explain(&fault);
  if (status == MAPFILE_OK)
    printf("%llu lines\n", lines);
  else
    fprintf(stderr, "%s, at byte %llu\n", mapfile_strerror(status), (unsigned long long)fault.offset);
  mapfile_unpin(&view);
  mapfile_close(file);
  return status != MAPFILE_OK;
}
